-- The demo with Kafka on both sides.
-- The events come from the topic telemetry of a real Kafka broker; alerts leave exactly once to the topic alerts.
-- ./dev demo --kafka starts a broker, the simulator and this pipeline.
SET pipeline = 'demo-kafka';
SET home = 'sqlite:demo-kafka.leat';
SET checkpoint_interval = '1 second';

CREATE TABLE telemetry (
  eventId text NOT NULL,
  value double precision,
  deviceId text,
  deviceSequenceNumber bigint,
  type text,
  createdAt timestamptz NOT NULL,
  complexData jsonb
) WITH (connector = 'kafka', topic = 'telemetry', "bootstrap.servers" = '${KAFKA:-127.0.0.1:9092}',
        event_time = 'createdAt', watermark_delay = '3 seconds');

-- The device registry: loaded whole before the first event, read again every minute.
CREATE TABLE devices (deviceId text PRIMARY KEY, site text, threshold double precision)
WITH (connector = 'file', path = 'examples/telemetry/devices.csv', format = 'csv', refresh = '1 minute');

-- Each event once, however often it was sent.
CREATE VIEW clean WITH (horizon = '1 minute') AS
SELECT DISTINCT ON (eventId) * FROM telemetry;

CREATE VIEW enriched AS
SELECT t.*, d.site, d.threshold FROM clean t LEFT JOIN devices d ON d.deviceId = t.deviceId;

CREATE MATERIALIZED VIEW per_device WITH (retention = '10 minutes') AS
SELECT deviceId, type, window_start, window_end, count(*) AS events, avg(value) AS mean,
       min(value) AS lowest, max(value) AS highest, avg(complexData.moreData4) AS moreData4
FROM tumble(clean, createdAt, INTERVAL '10 seconds')
GROUP BY deviceId, type, window_start, window_end;

CREATE MATERIALIZED VIEW per_site WITH (retention = '1 hour') AS
SELECT coalesce(site, 'unknown') AS site, window_start, count(*) AS events,
       count(DISTINCT deviceId) AS devices, count(*) FILTER (WHERE value > threshold) AS hot
FROM tumble(enriched, createdAt, size => INTERVAL '1 minute')
GROUP BY coalesce(site, 'unknown'), window_start;

-- An aggregate over a windowed aggregate: closes with the inner window.
CREATE MATERIALIZED VIEW busiest WITH (emit = 'final') AS
SELECT window_start, max(events) AS busiest, count(*) AS devices FROM per_device GROUP BY window_start;

CREATE TABLE alerts (eventId text, deviceId text, site text, value double precision, createdAt timestamptz)
WITH (connector = 'kafka', topic = 'alerts', key = 'deviceId', "bootstrap.servers" = '${KAFKA:-127.0.0.1:9092}');
INSERT INTO alerts
SELECT eventId, deviceId, site, value, createdAt FROM enriched WHERE type = 'TEMP' AND value > threshold;
