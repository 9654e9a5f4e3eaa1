SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW busy AS SELECT k, window_start, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start HAVING count(*) > 1;
CREATE MATERIALIZED VIEW heavy AS SELECT k, window_start FROM tumble(events, t, INTERVAL '10 seconds') WHERE v < 100 GROUP BY k, window_start HAVING sum(v) >= 8 AND k <> 'c';
