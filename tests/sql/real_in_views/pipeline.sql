SET http = 'off';
CREATE TABLE events (k text, r real) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW plain AS SELECT k, r, r + 1 AS wide FROM events;
CREATE MATERIALIZED VIEW sums AS SELECT sum(r) AS total, min(r) AS low, max(r) AS high FROM events;
