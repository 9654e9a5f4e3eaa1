SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE VIEW firsts AS SELECT DISTINCT ON (k, window_start) * FROM tumble(events, t, INTERVAL '10 seconds');
CREATE MATERIALIZED VIEW one_each AS SELECT k, v, window_start FROM firsts;
