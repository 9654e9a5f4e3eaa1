SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW overall AS SELECT count(*) AS n, sum(v) AS total FROM events;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS n FROM events GROUP BY k;
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE TABLE out (k text) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k FROM events;
