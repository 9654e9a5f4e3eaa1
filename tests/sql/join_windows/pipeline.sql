SET http = 'off';
CREATE TABLE orders (shop text, amount int, t timestamptz) WITH (connector = 'file', path = 'orders.ndjson', event_time = 't');
CREATE TABLE visits (shop text, t timestamptz) WITH (connector = 'file', path = 'visits.ndjson', event_time = 't');
CREATE VIEW sold AS SELECT shop, window_start, window_end, sum(amount) AS amount FROM tumble(orders, t, INTERVAL '10 seconds') GROUP BY shop, window_start, window_end;
CREATE VIEW seen AS SELECT shop, window_start, window_end, count(*) AS n FROM tumble(visits, t, INTERVAL '10 seconds') GROUP BY shop, window_start, window_end;
CREATE MATERIALIZED VIEW both_sides AS
SELECT a.shop, a.window_start, a.amount, b.n FROM sold a JOIN seen b ON a.window_start = b.window_start AND a.shop = b.shop;
CREATE MATERIALIZED VIEW left_side AS
SELECT a.shop, a.window_end, a.amount, b.n FROM sold a LEFT JOIN seen b ON a.window_end = b.window_end AND a.shop = b.shop;
