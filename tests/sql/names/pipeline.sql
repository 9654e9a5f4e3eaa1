SET http = 'off';
CREATE TABLE Events (deviceId text, "DeviceID" text, "with space" int, "select" int, Größe int) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW MixedCase AS SELECT "deviceId", "DeviceID" AS other, "with space" AS spaced, "select", größe FROM events;
CREATE MATERIALIZED VIEW "odd view" AS SELECT "deviceId" AS ID, "select" + 1 AS "the sum" FROM EVENTS e WHERE E."with space" > 1;
CREATE TABLE Out (ID text, "Plus One" int) WITH (connector = 'file', path = 'Out.ndjson');
INSERT INTO out SELECT id, "the sum" FROM "odd view";
