SET http = 'off';
CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');

CREATE VIEW positive AS SELECT k, v, t FROM events WHERE v > 0;
CREATE VIEW doubled AS SELECT k, v * 2 AS v2, t FROM positive;
CREATE MATERIALIZED VIEW plain AS SELECT k, v2 FROM doubled WHERE v2 < 100;
CREATE MATERIALIZED VIEW from_plain AS SELECT k || '!' AS k, v2 + 1 AS v3 FROM plain WHERE k <> 'b';
CREATE MATERIALIZED VIEW w AS SELECT k, window_start, window_end, sum(v2) AS total FROM tumble(doubled, t, INTERVAL '10 seconds') GROUP BY k, window_start, window_end;
CREATE MATERIALIZED VIEW from_w AS SELECT k, total, window_end FROM w WHERE total > 10;
CREATE MATERIALIZED VIEW outer_w AS SELECT window_start, max(total) AS high FROM w GROUP BY window_start;
