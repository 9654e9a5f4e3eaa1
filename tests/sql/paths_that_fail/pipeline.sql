SET http = 'off';
CREATE TABLE events (id int, d jsonb) WITH (connector = 'file', path = 'events.ndjson');
CREATE TABLE out (id int, v double precision) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT id, (d ->> 'x')::double precision FROM events WHERE id > 0;
