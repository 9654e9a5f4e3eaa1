SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz) WITH (connector = 'file', path = 'in', event_time = 't', watermark_delay = '1 second');
CREATE VIEW clean AS SELECT DISTINCT ON (k) * FROM events;
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n, sum(v) AS total FROM tumble(clean, t, INTERVAL '1 minute') GROUP BY window_start;
CREATE MATERIALIZED VIEW s AS SELECT window_start, window_end, count(*) AS n FROM session(events, t, INTERVAL '30 seconds') GROUP BY window_start, window_end;
