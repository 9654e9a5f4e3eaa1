SET http = 'off';
CREATE TABLE events (id int, s text) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW texts AS
SELECT id, upper(s) AS up, length(s) AS len, substring(s FROM 2 FOR 3) AS mid, s LIKE '%\_%' AS underscore, s ILIKE 'Ä%' AS a_umlaut, s ~ '^[a-z]+$' AS lower_only,
       replace(s, 'a', 'AA') AS replaced, split_part(s, '-', 2) AS second, position('b' IN s) AS at_b, left(s, -1) AS chopped, s || NULL AS nothing, concat(s, NULL, 1) AS joined,
       (regexp_match(s, '([0-9]+)-([0-9]+)'))[2] AS digits, regexp_replace(s, '[aeiou]', '*', 'g') AS stars, reverse(s) AS back, lpad(s, 6, '.') AS padded
FROM events;
CREATE MATERIALIZED VIEW cases AS
SELECT id, CASE WHEN s LIKE 'a%' THEN 'A' WHEN s IS NULL THEN 'none' ELSE 'other' END AS kind, coalesce(s, '-') AS s, nullif(s, 'abc') AS not_abc,
       CASE length(s) WHEN 3 THEN 'three' WHEN 0 THEN 'zero' END AS size, greatest(s, 'b') AS g
FROM events;
