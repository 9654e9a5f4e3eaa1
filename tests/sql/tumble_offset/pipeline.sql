SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW w AS
SELECT window_start, window_end, count(*) AS n FROM tumble(events, t, INTERVAL '1 minute', INTERVAL '15 seconds') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW named AS
SELECT window_end, sum(v) AS total FROM tumble(events, t, size => INTERVAL '1 minute') GROUP BY window_end;
-- moved by whole windows they are the same
CREATE MATERIALIZED VIEW back AS
SELECT window_start, window_end, count(*) AS n FROM tumble(events, t, INTERVAL '1 minute', INTERVAL '-1 hour -45 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW hop_back AS
SELECT window_end, count(*) AS n FROM hop(events, t, slide => INTERVAL '1 minute', size => INTERVAL '2 minutes', "offset" => INTERVAL '-45 seconds')
GROUP BY window_end;
