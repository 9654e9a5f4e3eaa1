SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE VIEW per_k AS SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start, window_end;
CREATE MATERIALIZED VIEW busiest AS SELECT window_start, max(n) AS most, count(*) AS ks FROM per_k GROUP BY window_start;
CREATE MATERIALIZED VIEW per_minute AS
SELECT window_end, max(n) AS most, sum(total) AS total
FROM tumble((SELECT k, n, total, window_end AS closed FROM per_k), closed, INTERVAL '1 minute') GROUP BY window_end;
CREATE MATERIALIZED VIEW totals AS SELECT window_end, sum(total) AS total
FROM (SELECT k, window_end, sum(v) AS total FROM tumble(events, t, INTERVAL '20 seconds') GROUP BY k, window_end) q
GROUP BY window_end HAVING sum(total) > 130 OR window_end < '2026-01-01T00:00:30Z';
