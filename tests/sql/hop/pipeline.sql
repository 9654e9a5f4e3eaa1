SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW h AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM hop(events, t, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY k, window_start, window_end;
CREATE MATERIALIZED VIEW named AS
SELECT window_start, count(*) AS n FROM hop(events, t, size => INTERVAL '10 seconds', slide => INTERVAL '5 seconds') GROUP BY window_start;
