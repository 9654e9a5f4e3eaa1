SET http = 'off';
CREATE TABLE events (id int, d jsonb) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW paths AS
SELECT id, d.a.b AS raw, d.a.b * 2.0 AS doubled, d.s = 'text' AS is_text, d ->> 's' AS s, d #>> '{l,1}' AS second, d -> 'a' AS a, d #> '{l}' AS l, jsonb_typeof(d -> 'l') AS kind FROM events;
CREATE MATERIALIZED VIEW alias AS SELECT e.id, e.d.s AS s FROM events e WHERE upper(e.d.s) LIKE 'T%' OR (e.d -> 't')::boolean;
CREATE MATERIALIZED VIEW found AS SELECT id FROM events WHERE d ? 'l' AND d @> '{"a":{}}';
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(d.a.b) AS s, avg(d.a.b) AS m FROM events;
