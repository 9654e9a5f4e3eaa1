-- Nine readings of three devices: one copy, one broken record, one that comes too late.
-- leat run examples/rooms/rooms.sql      (from the project's root)
CREATE TABLE readings (id text NOT NULL, device text, value double precision, at timestamptz NOT NULL)
WITH (connector = 'file', path = 'examples/rooms/readings.ndjson',
      event_time = 'at', watermark_delay = '5 seconds');

-- Reference data: read whole before the first event.
CREATE TABLE rooms (device text PRIMARY KEY, room text, threshold double precision)
WITH (connector = 'file', path = 'examples/rooms/rooms.csv', format = 'csv');

-- Each reading once.
CREATE VIEW clean WITH (horizon = '1 minute') AS
SELECT DISTINCT ON (id) * FROM readings;

-- The mean of each device every 10 seconds.
CREATE MATERIALIZED VIEW means AS
SELECT device, window_start, count(*) AS readings, avg(value) AS mean
FROM tumble(clean, at, INTERVAL '10 seconds')
GROUP BY device, window_start;

-- The same of the last 10 seconds, every 5 seconds.
CREATE MATERIALIZED VIEW moving AS
SELECT device, window_start, window_end, max(value) AS highest
FROM hop(clean, at, slide => INTERVAL '5 seconds', size => INTERVAL '10 seconds')
GROUP BY device, window_start, window_end;

-- How long each device spoke without a pause of more than 10 seconds.
CREATE MATERIALIZED VIEW spells AS
SELECT device, window_start, window_end, count(*) AS readings
FROM session(clean, at, INTERVAL '10 seconds', partition_by => device)
GROUP BY device, window_start, window_end;

-- Each device beside the whole house: two windowed results, joined on their window.
CREATE MATERIALIZED VIEW house AS
SELECT window_start, avg(value) AS mean
FROM tumble(clean, at, INTERVAL '10 seconds') GROUP BY window_start;

CREATE MATERIALIZED VIEW compared AS
SELECT m.window_start, m.device, m.mean, m.mean - h.mean AS above
FROM means m JOIN house h ON m.window_start = h.window_start;

-- What is too warm goes to a file, each reading once.
CREATE TABLE warm (room text, value double precision, at timestamptz)
WITH (connector = 'file', path = 'warm.ndjson');
INSERT INTO warm
SELECT coalesce(r.room, c.device), c.value, c.at
FROM clean c LEFT JOIN rooms r ON r.device = c.device
WHERE c.value >= coalesce(r.threshold, 25);
