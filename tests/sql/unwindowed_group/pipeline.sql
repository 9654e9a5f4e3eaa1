SET http = 'off';
CREATE TABLE events (k text, v int, x double precision) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS n, sum(v) AS total FROM events GROUP BY k;
CREATE MATERIALIZED VIEW overall AS SELECT count(*) AS n, max(v) AS high, sum(v) FILTER (WHERE v > 100) AS none FROM events;
CREATE MATERIALIZED VIEW parity AS SELECT v % 2 AS odd, v % 2 = 0 AS even, count(*) AS n FROM events GROUP BY v % 2 HAVING count(*) > 1;
CREATE MATERIALIZED VIEW by_position AS SELECT upper(k) AS u, count(*) FROM events GROUP BY 1;
CREATE TABLE out (k text, n bigint) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k, count(*) FROM events GROUP BY k HAVING sum(v) > 1;
CREATE MATERIALIZED VIEW zero AS SELECT x, count(*) AS n FROM events GROUP BY x;
