SET http = 'off';
CREATE TABLE events (id int, s text, d jsonb) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW plain AS SELECT id, s, d.a AS a FROM events;
