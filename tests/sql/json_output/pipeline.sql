SET http = 'off';
CREATE TABLE events (b boolean, s smallint, i int, l bigint, f real, d double precision, n numeric(8,3), x text, u uuid, day date, at timestamptz, gap interval, j jsonb, raw text)
WITH (connector = 'file', path = 'events.ndjson');
CREATE TABLE out (b boolean, s smallint, i int, l bigint, f real, d double precision, n numeric(8,3), x text, u uuid, day date, at timestamptz, gap interval, j jsonb, raw bytea)
WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT b, s, i, l, f, d, n, x, u, day, at, gap, j, decode(raw, 'hex') FROM events;
