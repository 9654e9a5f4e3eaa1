SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '5 seconds');

CREATE MATERIALIZED VIEW w AS SELECT k, window_start, count(*) AS n, sum(v) AS total, min(v) AS low, max(v) AS high FROM tumble(events, t, INTERVAL '1 minute') GROUP BY k, window_start;
CREATE TABLE out (k text, v int) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k, v FROM events WHERE v % 2 = 0;
CREATE TABLE sums (k text, window_start timestamptz, total bigint) WITH (connector = 'file', path = 'sums.ndjson');
INSERT INTO sums SELECT k, window_start, sum(v) FROM tumble(events, t, INTERVAL '1 minute') GROUP BY k, window_start;
