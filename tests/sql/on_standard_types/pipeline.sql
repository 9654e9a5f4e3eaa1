SET http = 'off';
CREATE TABLE events (id uuid PRIMARY KEY, day date NOT NULL, gap interval, "when" timestamp, name varchar(5), r real) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW plain AS SELECT id, day + 1 AS next, gap * 2 AS twice, date_trunc('hour', "when") AS hour, name, r * 2 AS r2, extract(dow FROM day) AS dow FROM events;
