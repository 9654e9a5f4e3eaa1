SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW per_k AS
SELECT k, window_start, window_end, count(*) AS n, count(v) AS nv, sum(v) AS total, avg(v) AS mean, min(v) AS low, max(v) AS high
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start, window_end;
