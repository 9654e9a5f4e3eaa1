-- Killed half-way by a program whose homes had format version 2; home.sql is what it left.
SET http = 'off';
CREATE TABLE events (id text, k text, v int, at timestamptz)
    WITH (connector = 'file', path = 'events.ndjson', event_time = 'at', watermark_delay = '2 seconds');
CREATE VIEW clean AS SELECT DISTINCT ON (id) * FROM events;
CREATE MATERIALIZED VIEW windows AS
    SELECT k, window_start, count(*) AS n, sum(v) AS total, count(DISTINCT v) AS different
    FROM tumble(clean, at, INTERVAL '10 seconds') GROUP BY k, window_start;
CREATE MATERIALIZED VIEW totals AS SELECT k, count(*) AS n, avg(v) AS mean, max(at) AS latest FROM clean GROUP BY k;
CREATE MATERIALIZED VIEW plain AS SELECT id, v / 2.0::double precision AS half, v > 20 AS much, at FROM events WHERE v % 3 = 0;
CREATE TABLE results (k text, window_end timestamptz, n bigint) WITH (connector = 'file', path = 'results.ndjson');
INSERT INTO results SELECT k, window_end, count(*) FROM tumble(clean, at, INTERVAL '5 seconds') GROUP BY k, window_end;
