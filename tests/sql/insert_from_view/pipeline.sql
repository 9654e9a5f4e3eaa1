SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE VIEW w AS SELECT k, window_end, count(*) AS n FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_end;
CREATE TABLE counts (device text, closed timestamptz, n int) WITH (connector = 'file', path = 'counts.ndjson');
INSERT INTO counts SELECT k, window_end, n FROM w;
CREATE TABLE mixed (what text, n numeric(6,1)) WITH (connector = 'file', path = 'mixed.ndjson');
INSERT INTO mixed SELECT 'row', v FROM events WHERE v > 10;
INSERT INTO mixed SELECT 'window', n FROM w WHERE n > 1;
