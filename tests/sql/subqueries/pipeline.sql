SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW with_clause AS
WITH big AS (SELECT k, v, t FROM events WHERE v >= 4), named AS (SELECT k AS name, v FROM big WHERE k <> 'c') SELECT name, v + 1 AS v FROM named;
CREATE MATERIALIZED VIEW nested AS SELECT x.name, x.w FROM (SELECT y.k AS name, y.v * 10 AS w FROM (SELECT * FROM events WHERE v < 10) y) x WHERE x.w > 20;
CREATE MATERIALIZED VIEW renamed AS SELECT * FROM (SELECT k, v FROM events) AS r(key, val) WHERE val = 1;
CREATE MATERIALIZED VIEW windowed AS SELECT window_start, count(*) AS n FROM tumble((SELECT k, t FROM events WHERE v > 3), t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW literal AS SELECT 1 AS one, 'x' AS x, NULL AS nothing, k FROM events WHERE v = 128;
