SET http = 'off';
CREATE TABLE events (k text, t timestamptz) WITH (connector = 'file', path = 'in/part-*.ndjson', event_time = 't');
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE TABLE folder (k text, t timestamptz) WITH (connector = 'file', path = 'in/sub', event_time = 't');
CREATE MATERIALIZED VIEW f AS SELECT k FROM folder;
