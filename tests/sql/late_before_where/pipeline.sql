SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE MATERIALIZED VIEW after AS SELECT window_start, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') WHERE k = 'a' GROUP BY window_start;
CREATE MATERIALIZED VIEW before AS SELECT window_start, count(*) AS n FROM tumble((SELECT * FROM events WHERE k = 'a'), t, INTERVAL '10 seconds') GROUP BY window_start;
