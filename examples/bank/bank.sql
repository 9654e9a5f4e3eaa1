-- A bank: each transfer is one event and two entries, one on either side. However the run is cut, the
-- balances of all accounts add up to nothing, in every epoch that a reader can see: a record's rows go
-- through the queries together, and the views of an epoch change together.
--
--   leat run examples/bank/bank.sql
--   sqlite3 bank.leat "SELECT * FROM balances; SELECT * FROM total"
--   leat test examples/bank --kill --shuffle 20

CREATE TABLE transfers (
  id bigint NOT NULL, debit text NOT NULL, credit text NOT NULL, amount numeric(12,2) NOT NULL,
  at timestamptz NOT NULL
) WITH (connector = 'file', path = 'examples/bank/transfers.ndjson', event_time = 'at',
        watermark_delay = '10 seconds');

CREATE VIEW entries AS
SELECT debit AS account, -amount AS amount, at FROM transfers
UNION ALL
SELECT credit, amount, at FROM transfers;

CREATE MATERIALIZED VIEW balances AS
SELECT account, sum(amount) AS balance, count(*) AS entries FROM entries GROUP BY account;

CREATE MATERIALIZED VIEW total AS
SELECT sum(amount) AS total, count(*) AS entries FROM entries;

CREATE MATERIALIZED VIEW per_minute AS
SELECT window_start, sum(amount) AS total, sum(abs(amount)) / 2 AS moved, count(*) AS entries
FROM tumble(entries, at, INTERVAL '1 minute') GROUP BY window_start;
