SET http = 'off';
CREATE TABLE events (id int, v int, s text) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW divided AS SELECT id, 100 / v AS q FROM events;
CREATE MATERIALIZED VIEW cast_text AS SELECT id, s::int AS n FROM events;
CREATE MATERIALIZED VIEW guarded AS SELECT id, CASE WHEN v <> 0 THEN 100 / v END AS q FROM events;
CREATE MATERIALIZED VIEW filtered AS SELECT id FROM events WHERE 8 / v > 2;
