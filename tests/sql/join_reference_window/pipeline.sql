SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE TABLE sites (k text PRIMARY KEY, site text) WITH (connector = 'file', path = 'sites.ndjson');
CREATE VIEW enriched AS SELECT e.*, s.site FROM events e LEFT JOIN sites s ON s.k = e.k;
CREATE MATERIALIZED VIEW per_site AS
SELECT coalesce(site, 'unknown') AS site, window_start, count(*) AS n, count(DISTINCT k) AS ks
FROM tumble(enriched, t, INTERVAL '1 minute') GROUP BY coalesce(site, 'unknown'), window_start;
