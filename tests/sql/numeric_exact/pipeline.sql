SET http = 'off';
CREATE TABLE events (id int, p numeric(10,2), q numeric, b bigint) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW plain AS SELECT id, p, q, b, p * q AS product, p + 1 AS plus, p / 3 AS third, b::numeric / 3 AS bthird, round(q, 3) AS rounded, p = 0.10 AS equal FROM events;
CREATE MATERIALIZED VIEW total AS SELECT sum(p) AS sp, sum(q) AS sq, avg(p) AS ap, sum(b) AS sb, max(q) AS mq, count(DISTINCT p) AS dp FROM events;
CREATE TABLE out (id int, p numeric(12,3), q numeric) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT id, p, q FROM events;
