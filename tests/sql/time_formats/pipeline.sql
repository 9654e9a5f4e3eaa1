SET http = 'off';
CREATE TABLE events (id int, t timestamptz, d date, ts timestamp, i interval) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW times AS SELECT id, t FROM events WHERE t IS NOT NULL;
CREATE MATERIALIZED VIEW others AS SELECT id, d, ts, i, t + i AS later FROM events WHERE d IS NOT NULL;
