SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't', watermark_delay = '3 seconds');

CREATE MATERIALIZED VIEW c AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM cumulate(events, t, INTERVAL '5 seconds', INTERVAL '20 seconds') GROUP BY k, window_start, window_end;
-- either of the two implies the other
CREATE MATERIALIZED VIEW named AS
SELECT window_start, count(*) AS n
FROM cumulate((SELECT * FROM events WHERE v > 1), t, size => INTERVAL '20 seconds', step => INTERVAL '10 seconds') WHERE k <> 'c' GROUP BY window_start;
CREATE MATERIALIZED VIEW keys WITH (emit = 'final') AS
SELECT window_end, count(DISTINCT k) AS ks FROM cumulate(events, t, INTERVAL '5 seconds', INTERVAL '20 seconds') GROUP BY window_end;
-- outer steps: of each end, of each start, of wider windows
CREATE MATERIALIZED VIEW by_end AS SELECT window_end, max(total) AS most FROM c GROUP BY window_end;
CREATE MATERIALIZED VIEW by_start AS SELECT window_start, count(*) AS n, sum(total) AS total FROM c GROUP BY window_start;
CREATE MATERIALIZED VIEW wider AS
SELECT window_start, sum(n) AS n FROM tumble((SELECT n, window_end AS ended FROM c), ended, INTERVAL '1 minute') GROUP BY window_start;
CREATE MATERIALIZED VIEW shares AS
SELECT c.k, c.window_end, c.n, keys.ks FROM c JOIN keys ON c.window_end = keys.window_end WHERE c.k = 'a';
CREATE TABLE out (k text, ended timestamptz, n bigint) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k, window_end, n FROM c WHERE n > 2;
-- over results of windows, too: either of the two implies the other
CREATE MATERIALIZED VIEW again AS
SELECT window_start, sum(n) AS n FROM cumulate((SELECT n, window_end AS ended FROM keys_of), ended, INTERVAL '10 seconds', INTERVAL '20 seconds')
GROUP BY window_start;
CREATE MATERIALIZED VIEW again_both AS
SELECT window_start, window_end, sum(n) AS n FROM cumulate((SELECT n, window_end AS ended FROM keys_of), ended, INTERVAL '10 seconds', INTERVAL '20 seconds')
GROUP BY window_start, window_end;
CREATE VIEW keys_of AS SELECT window_end, count(*) AS n FROM tumble(events, t, INTERVAL '5 seconds') GROUP BY window_end;
