SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '5 seconds');

CREATE MATERIALIZED VIEW s AS
SELECT k, window_start, window_end, sum(v) AS total FROM session(events, t, INTERVAL '10 seconds', partition_by => k) GROUP BY k, window_start, window_end;
