-- Each file is broken in its own way; what is whole is a row.
SET http = 'off';
CREATE TABLE events (id int NOT NULL, d jsonb)
WITH (connector = 'file', path = 'in/*.json', format = 'json_array');
CREATE MATERIALIZED VIEW good AS SELECT id FROM events;
