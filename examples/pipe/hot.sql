-- A filter in a pipe: standard input to standard output.
-- leat generate --events 1000 --seed 1 | leat run --quiet examples/pipe/hot.sql
SET http = 'off';

CREATE TABLE telemetry (eventId text, deviceId text, type text, value double precision)
WITH (connector = 'file', path = '-');

CREATE TABLE hot (deviceId text, value double precision)
WITH (connector = 'file', path = '-');

INSERT INTO hot SELECT deviceId, value FROM telemetry WHERE type = 'TEMP' AND value > 0.99;
