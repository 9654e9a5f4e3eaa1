SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE TABLE limits (k text, low int, high int, PRIMARY KEY (k)) WITH (connector = 'file', path = 'limits.csv', format = 'csv', delimiter = '|');
CREATE VIEW checked AS SELECT e.k, e.v, e.t, e.v BETWEEN l.low AND l.high AS fine FROM events e JOIN limits l ON l.k = e.k;
CREATE MATERIALIZED VIEW bad AS SELECT k, window_end, count(*) AS n, bool_and(fine) AS fine FROM tumble(checked, t, INTERVAL '10 seconds') GROUP BY k, window_end HAVING NOT bool_and(fine);
CREATE TABLE alerts (k text, v int) WITH (connector = 'file', path = 'alerts.ndjson');
INSERT INTO alerts SELECT k, v FROM checked WHERE NOT fine;
