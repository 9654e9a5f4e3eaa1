-- One array, each element a record with its own byte; blanks, brackets in strings, a byte order mark.
SET http = 'off';
CREATE TABLE events (
  k text, v int, t timestamptz, d jsonb,
  byte bigint GENERATED ALWAYS AS (metadata('offset')) STORED
) WITH (connector = 'file', path = 'events.json', format = 'json_array', event_time = 't');
CREATE MATERIALIZED VIEW plain AS
SELECT k, v, d ->> 's' AS s, d #>> '{list,1,1}' AS inner, byte FROM events;
CREATE MATERIALIZED VIEW windows AS SELECT k, window_start, count(*) AS n, sum(v) AS total
FROM tumble(events, t, INTERVAL '5 minutes') GROUP BY k, window_start;
CREATE TABLE nothing (a int) WITH (connector = 'file', path = 'nothing.json', format = 'json_array');
CREATE MATERIALIZED VIEW empty AS SELECT count(*) AS n FROM nothing;
