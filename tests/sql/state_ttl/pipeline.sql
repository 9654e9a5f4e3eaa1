SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '2 seconds');
CREATE MATERIALIZED VIEW ten WITH (state_ttl = '10 seconds') AS
SELECT k, count(*) AS n, sum(v) AS total FROM events GROUP BY k;
-- to one of 11 seconds the last row of b still belongs, to one of 10 it begins b anew
CREATE MATERIALIZED VIEW eleven WITH (state_ttl = '11 seconds') AS SELECT k, sum(v) AS total FROM events GROUP BY k HAVING sum(v) > 100;
CREATE VIEW four WITH (state_ttl = '4 seconds') AS SELECT upper(k) AS up, count(*) AS n, min(v) AS least FROM events WHERE v <> 512 GROUP BY upper(k);
CREATE TABLE out (up text, n bigint, least int) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT * FROM four;
CREATE MATERIALIZED VIEW of_windows WITH (state_ttl = '15 seconds') AS
SELECT k, sum(n) AS n FROM (SELECT k, window_end, count(*) AS n FROM tumble(events, t, INTERVAL '5 seconds') GROUP BY k, window_end) w GROUP BY k;
CREATE MATERIALIZED VIEW all_of_them WITH (state_ttl = '1000 days') AS SELECT k, sum(v) AS total FROM events GROUP BY k;
