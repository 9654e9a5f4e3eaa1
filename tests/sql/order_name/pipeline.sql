SET http = 'off';
CREATE TABLE events (k text, t timestamptz) WITH (connector = 'file', path = 'in/*.ndjson', order = 'name', event_time = 't');
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW everything AS SELECT k FROM events;
