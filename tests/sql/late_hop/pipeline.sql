SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW h AS
SELECT window_start, count(*) AS n, sum(v) AS total FROM hop(events, t, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY window_start;
