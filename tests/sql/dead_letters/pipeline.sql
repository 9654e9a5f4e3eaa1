SET http = 'off';
CREATE TABLE events (id int NOT NULL, v double precision, t timestamptz) WITH (connector = 'file', path = 'events.ndjson', event_time = 't');
CREATE MATERIALIZED VIEW good AS SELECT id, v, t FROM events;
