SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW w AS
SELECT window_start, window_end, count(*) AS n FROM tumble(events, t, INTERVAL '1 minute', INTERVAL '15 seconds') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW named AS
SELECT window_end, sum(v) AS total FROM tumble(events, t, size => INTERVAL '1 minute') GROUP BY window_end;
