SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW w WITH (emit = 'final') AS SELECT k, window_start, sum(v) AS total FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start;
CREATE TABLE out (k text, window_start timestamptz, total bigint) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k, window_start, total FROM w;
