-- Reads what the demo writes: alerts per site and minute, and the newest alert of each device.
-- ./dev demo --kafka prints the broker's address; then, in another terminal:
-- KAFKA=127.0.0.1:PORT leat run examples/kafka/alerts-per-site.sql
CREATE TABLE alerts (
  eventId text, deviceId text, site text, value double precision, createdAt timestamptz NOT NULL,
  sentIn int GENERATED ALWAYS AS (metadata('partition')) STORED
) WITH (connector = 'kafka', topic = 'alerts', "bootstrap.servers" = '${KAFKA:-127.0.0.1:9092}',
        event_time = 'createdAt', watermark_delay = '5 seconds');

CREATE MATERIALIZED VIEW alerts_per_site AS
SELECT coalesce(site, 'unknown') AS site, window_start, count(*) AS alerts, max(value) AS highest
FROM tumble(alerts, createdAt, INTERVAL '1 minute')
GROUP BY coalesce(site, 'unknown'), window_start;

-- No window: one row a device, for ever. leat explain says what that costs.
CREATE MATERIALIZED VIEW newest AS
SELECT deviceId, count(*) AS alerts, max(createdAt) AS newest, last_value(value) AS value
FROM alerts GROUP BY deviceId;
