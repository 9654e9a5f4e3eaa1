SET http = 'off';
CREATE TABLE events (a text, b int, v int, t timestamptz) WITH (connector = 'file', path = 'events.ndjson', event_time = 't');
CREATE MATERIALIZED VIEW everyone AS
SELECT window_start, window_end, count(*) AS n FROM session(events, t, INTERVAL '5 seconds') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW pairs AS
SELECT a, b, window_start, window_end, count(*) AS n FROM session(events, t, INTERVAL '5 seconds', partition_by => (a, b)) GROUP BY a, b, window_start, window_end;
CREATE MATERIALIZED VIEW split AS
SELECT a, b, window_start, window_end, sum(v) AS total FROM session(events, t, INTERVAL '5 seconds', partition_by => a) GROUP BY a, b, window_start, window_end;
