SET http = 'off';
CREATE TABLE one (k text, v int) WITH (connector = 'file', path = 'one.ndjson');
CREATE TABLE two (v double precision, k text) WITH (connector = 'file', path = 'two.csv', format = 'csv');
CREATE MATERIALIZED VIEW both_of AS SELECT k, v FROM one UNION ALL SELECT k, v FROM two WHERE v > 1 UNION ALL SELECT 'const', v * 2 FROM one;
CREATE TABLE merged (k text, n bigint) WITH (connector = 'file', path = 'merged.ndjson');
INSERT INTO merged SELECT k, count(*) FROM (SELECT k FROM one UNION ALL SELECT k FROM two) u GROUP BY k;
