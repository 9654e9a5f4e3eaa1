SET http = 'off';
CREATE TABLE events (id int, a int, b text, c boolean) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW greater AS SELECT id, a FROM events WHERE a > 1;
CREATE MATERIALIZED VIEW not_greater AS SELECT id FROM events WHERE NOT (a > 1);
CREATE MATERIALIZED VIEW distinct_from AS SELECT id FROM events WHERE a IS DISTINCT FROM 1;
CREATE MATERIALIZED VIEW unknowns AS SELECT id, b IS NULL AS no_b, (a > 1) AND c AS both_true, (a > 1) OR c AS any_true FROM events WHERE b IS NULL OR c;
CREATE MATERIALIZED VIEW in_list AS SELECT id FROM events WHERE a IN (1, 3, NULL);
CREATE MATERIALIZED VIEW not_in_list AS SELECT id FROM events WHERE a NOT IN (1, NULL);
