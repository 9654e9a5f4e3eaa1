SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '3 seconds');

CREATE VIEW clean AS SELECT DISTINCT ON (k) * FROM events;
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n, sum(v) AS total FROM tumble(clean, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW plain AS SELECT k FROM clean WHERE v > 2;
