SET http = 'off';
CREATE TABLE events (g text, i int, b bigint, d double precision, n numeric(10,2), x boolean, s text, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');
CREATE MATERIALIZED VIEW agg AS
SELECT g, window_start, count(*) AS rows, count(DISTINCT s) AS ds, count(DISTINCT i) AS di, sum(i) AS si, sum(b) AS sb, avg(b) AS ab, sum(n) AS sn, avg(n) AS an,
       sum(d) AS sd, avg(d) AS ad, bool_and(x) AS every_x, bool_or(x) AS some_x, min(s) AS mins, max(s) AS maxs, min(t) AS mint, max(n) AS maxn
FROM tumble(events, t, INTERVAL '1 minute') GROUP BY g, window_start;
CREATE MATERIALIZED VIEW spread AS
SELECT window_start, stddev(d) AS sd, stddev_pop(d) AS sp, variance(i) AS vi, var_pop(i) AS vp, stddev_samp(i) AS si
FROM tumble(events, t, INTERVAL '1 minute') WHERE g = 'p' GROUP BY window_start;
CREATE MATERIALIZED VIEW filtered AS
SELECT window_start, count(*) FILTER (WHERE x) AS xs, count(*) FILTER (WHERE NOT x) AS not_xs, sum(i) FILTER (WHERE i > 2) AS big, count(DISTINCT s) FILTER (WHERE g = 'q') AS ds,
       max(i) FILTER (WHERE false) AS nothing, first_value(s) AS f, last_value(s) AS l
FROM tumble(events, t, INTERVAL '1 minute') GROUP BY window_start;
