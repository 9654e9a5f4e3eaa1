SET http = 'off';
CREATE TABLE events (
  id int, ms bigint,
  at timestamptz GENERATED ALWAYS AS (to_timestamp(ms / 1000.0)) STORED,
  twice int GENERATED ALWAYS AS (id * 2) STORED,
  file text GENERATED ALWAYS AS (metadata('filename')) STORED,
  part int GENERATED ALWAYS AS (metadata('partition')) STORED,
  byte bigint GENERATED ALWAYS AS (metadata('offset')) STORED
) WITH (connector = 'file', path = 'events.ndjson', event_time = 'at');
CREATE MATERIALIZED VIEW plain AS SELECT id, at, twice, part, byte, file LIKE '%events.ndjson' AS named FROM events;
CREATE MATERIALIZED VIEW w AS SELECT window_start, count(*) AS n, sum(twice) AS total FROM tumble(events, at, INTERVAL '10 seconds') GROUP BY window_start;
