SET http = 'off';
CREATE TABLE events (id int, n text, s text) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW casts AS
SELECT id, coalesce(n::numeric(12,3), 7) AS a, greatest(n::numeric(12,3), 1) AS b, (n::numeric(12,3))::numeric AS c,
       CASE WHEN id > 0 THEN n::numeric(12,3) ELSE id END AS d, (n::numeric(12,3))::numeric(12,1) AS e,
       coalesce(s::varchar(2), 'xyz') AS f, (s::varchar(3))::varchar AS g
FROM events;
