SET http = 'off';
CREATE TABLE events (id int, device text, v double precision) WITH (connector = 'file', path = 'events.ndjson');
CREATE TABLE devices (device text PRIMARY KEY, site text, threshold double precision) WITH (connector = 'file', path = 'devices.csv', format = 'csv');
CREATE MATERIALIZED VIEW joined AS SELECT e.id, d.site, d.threshold FROM events e LEFT JOIN devices d ON d.device = e.device;
CREATE MATERIALIZED VIEW inner_joined AS SELECT e.id, d.site FROM events e JOIN devices d ON e.device = d.device WHERE e.v > d.threshold;
CREATE MATERIALIZED VIEW unmatched AS SELECT e.* FROM events e LEFT JOIN devices d ON d.device = e.device WHERE d.device IS NULL;
