SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE VIEW firsts WITH (horizon = '10 seconds') AS SELECT DISTINCT ON (k) * FROM events;
CREATE MATERIALIZED VIEW passed AS SELECT k, v FROM firsts;
