SET http = 'off';
CREATE TABLE events (id int, v int) WITH (connector = 'file', path = 'events.ndjson', on_error = 'skip');
CREATE MATERIALIZED VIEW good AS SELECT id, v FROM events;
