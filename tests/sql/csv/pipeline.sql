SET http = 'off';
CREATE TABLE events (name text, amount numeric(8,2), t timestamptz, "odd ""name""" int)
WITH (connector = 'file', path = 'events.csv', format = 'csv', event_time = 't');
CREATE MATERIALIZED VIEW plain AS SELECT name, amount, "odd ""name""" AS odd, name IS NULL AS no_name, t FROM events;
CREATE TABLE bare (a text, b int, c text) WITH (connector = 'file', path = 'bare.txt', format = 'csv', header = false, delimiter = ';');
CREATE MATERIALIZED VIEW positions AS SELECT a, b, c FROM bare;
