SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '2 seconds');

CREATE MATERIALIZED VIEW w AS
SELECT window_start, count(*) AS n, sum(v) AS total FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW everything AS SELECT v FROM events;
