"""PostgreSQL 15 as the judge: the same question over the same rows has the same answer.

Each test generates rows from a seed, lets the program run one pipeline with many views over them as
files, loads the rows with their `seen` into PostgreSQL, and asks it in plain SQL with windows written
out. Which rows count follows from `seen` alone: for a window those with window_end > seen, for a
session those not older than seen."""
import json
import re

import pytest

from support.data import (SECOND, auctions, clicks, first_of_key, stamp, telemetry, telemetry_line,
                          with_seen)
from support.rows import Home, assert_same, parse

ZONE = re.compile(r'(\d)\+00:00"')
WAYS = [{}, {"LEAT_BATCH_ROWS": "random:7", "LEAT_WORKERS": 3, "LEAT_EPOCH_ROWS": 500}]


def judge(postgres, home, questions):
    for view, sql in questions.items():
        expected = [parse(ZONE.sub(r'\1Z"', row)) for row in postgres.json_rows(sql)]
        assert expected, f"{view}: the judge has no rows, the question is empty"
        assert_same(expected, home.rows(view), view)


def time(us):
    return None if us is None else stamp(us)


TELEMETRY = """
SET http = 'off';
CREATE TABLE telemetry (
  eventId text NOT NULL, value double precision, deviceId text, deviceSequenceNumber bigint,
  type text, createdAt timestamptz NOT NULL, complexData jsonb,
  part int GENERATED ALWAYS AS (metadata('partition')) STORED
) WITH (connector = 'file', path = 'in', event_time = 'createdAt', watermark_delay = '3 seconds');
CREATE TABLE devices (deviceId text PRIMARY KEY, site text, threshold double precision)
WITH (connector = 'file', path = 'devices.csv', format = 'csv');
CREATE VIEW clean WITH (horizon = '20 seconds') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE VIEW enriched AS
SELECT t.*, d.site, d.threshold FROM clean t LEFT JOIN devices d ON d.deviceId = t.deviceId;
CREATE MATERIALIZED VIEW per_device AS
SELECT deviceId, type, window_start, window_end, count(*) AS events, count(value) AS vs,
       sum(value) AS total, avg(value) AS mean, min(value) AS low, max(value) AS high,
       avg(deviceSequenceNumber) AS meanNumber, sum(deviceSequenceNumber) AS numbers,
       stddev(deviceSequenceNumber) AS spread, avg(complexData.moreData4) AS more
FROM tumble(telemetry, createdAt, INTERVAL '10 seconds')
GROUP BY deviceId, type, window_start, window_end;
CREATE MATERIALIZED VIEW sliding AS
SELECT type, window_start, window_end, count(*) AS events, count(DISTINCT deviceId) AS devices,
       max(value) FILTER (WHERE value < 50) AS below
FROM hop(telemetry, createdAt, INTERVAL '5 seconds', INTERVAL '15 seconds')
GROUP BY type, window_start, window_end;
CREATE MATERIALIZED VIEW growing AS
SELECT type, window_start, window_end, count(*) AS events, sum(deviceSequenceNumber) AS numbers
FROM cumulate(telemetry, createdAt, INTERVAL '5 seconds', INTERVAL '20 seconds')
GROUP BY type, window_start, window_end;
CREATE MATERIALIZED VIEW grown AS
SELECT window_start, max(events) AS most, sum(numbers) AS numbers FROM growing GROUP BY window_start;
CREATE MATERIALIZED VIEW cleaned AS
SELECT deviceId, window_start, count(*) AS events, count(DISTINCT eventId) AS ids
FROM tumble(clean, createdAt, INTERVAL '10 seconds') GROUP BY deviceId, window_start;
CREATE MATERIALIZED VIEW per_site AS
SELECT coalesce(site, 'unknown') AS site, window_start, count(*) AS events,
       count(DISTINCT deviceId) AS devices, count(*) FILTER (WHERE value > threshold) AS hot
FROM tumble(enriched, createdAt, INTERVAL '1 minute') GROUP BY coalesce(site, 'unknown'), window_start;
CREATE MATERIALIZED VIEW busiest AS
SELECT window_start, max(events) AS most, count(*) AS groups, sum(numbers) AS numbers
FROM per_device GROUP BY window_start HAVING count(*) > 1;
CREATE MATERIALIZED VIEW hot AS
SELECT eventId, deviceId, value, createdAt, complexData.moreData1 * 10.0 AS more
FROM telemetry WHERE type = 'TEMP' AND value > 40;
CREATE MATERIALIZED VIEW overall AS
SELECT type, value IS NULL AS unknown, count(*) AS n, max(createdAt) AS newest
FROM telemetry GROUP BY type, value IS NULL;
CREATE MATERIALIZED VIEW lately WITH (state_ttl = '5 seconds') AS
SELECT deviceId, part, count(*) AS events, sum(deviceSequenceNumber) AS numbers
FROM telemetry WHERE type <> 'CO2' GROUP BY deviceId, part;
"""


def load_telemetry(postgres, table, rows):
    postgres.load(table, [("eventId", "text"), ("value", "double precision"), ("deviceId", "text"),
                          ("deviceSequenceNumber", "bigint"), ("type", "text"),
                          ("createdAt", "timestamptz"), ("complexData", "jsonb"),
                          ("seen", "timestamptz"), ("part", "int"), ("number", "int")],
                  [(r["eventId"], r["value"], r["deviceId"], r["deviceSequenceNumber"], r["type"],
                    time(r["us"]), json.dumps(r["complexData"]), time(r["seen"]), r.get("part"),
                    number) for number, r in enumerate(rows)])


def windows(table, slide, size):
    """Rows of a table, once for each of its open windows."""
    return f"""(SELECT e.*, w AS window_start, w + interval '{size}' AS window_end FROM "{table}" e,
      generate_series(date_bin('{slide}', "createdAt", '1970-01-01Z') - interval '{size}'
                        + interval '{slide}',
                      date_bin('{slide}', "createdAt", '1970-01-01Z'), interval '{slide}') w
      WHERE seen IS NULL OR w + interval '{size}' > seen) q"""


def steps(table, step, size):
    """Rows of a table, once for each open step of the window that they are in."""
    return f"""(SELECT e.*, w AS window_start, w + n * interval '{step}' AS window_end
      FROM (SELECT *, date_bin('{size}', "createdAt", '1970-01-01Z') AS w FROM "{table}") e,
      generate_series(1, (extract(epoch from interval '{size}')
                          / extract(epoch from interval '{step}'))::int) n
      WHERE w + n * interval '{step}' > "createdAt"
        AND (seen IS NULL OR w + n * interval '{step}' > seen)) q"""


@pytest.mark.parametrize("way", WAYS, ids=["plain", "chopped"])
@pytest.mark.parametrize("seed,events,partitions", [(1, 200, 1), (2, 2000, 3), (3, 12000, 4)])
def test_telemetry(leat, postgres, seed, events, partitions, way):
    lists = with_seen(telemetry(seed, events, partitions), 3 * SECOND)
    for number, rows in enumerate(lists):
        leat.write(f"in/{number}.ndjson", "".join(telemetry_line(r) + "\n" for r in rows))
        for row in rows:
            row["part"] = number
    devices = [(f"contoso-device-id-{i:06d}", f"site {i % 3}", i * 8) for i in range(0, 13, 2)]
    leat.write("devices.csv", "deviceId,site,threshold\n" +
               "".join(f"{d},{s},{t}\n" for d, s, t in devices))
    leat.write("pipeline.sql", TELEMETRY)
    leat.ok("run", "pipeline.sql", env=way)
    load_telemetry(postgres, "telemetry", [row for rows in lists for row in rows])
    load_telemetry(postgres, "clean", first_of_key(lists, "eventId", 20 * SECOND))
    postgres.load("devices", [("deviceId", "text"), ("site", "text"), ("threshold", "float8")],
                  devices)
    ten, minute = windows("telemetry", "10 s", "10 s"), windows("clean", "1 min", "1 min")
    per_device = f"""
        SELECT "deviceId", type, window_start, window_end, count(*) AS events, count(value) AS vs,
               sum(value) AS total, avg(value) AS mean, min(value) AS low, max(value) AS high,
               avg("deviceSequenceNumber") AS "meanNumber", sum("deviceSequenceNumber") AS numbers,
               stddev("deviceSequenceNumber") AS spread,
               avg(("complexData" ->> 'moreData4')::float8) AS more
        FROM {ten} GROUP BY 1, 2, 3, 4"""
    home = Home(leat.folder / "pipeline.leat")
    judge(postgres, home, {
        "per_device": per_device,
        "sliding": f"""
            SELECT type, window_start, window_end, count(*) AS events,
                   count(DISTINCT "deviceId") AS devices, max(value) FILTER (WHERE value < 50) AS below
            FROM {windows("telemetry", "5 s", "15 s")} GROUP BY 1, 2, 3""",
        "growing": f"""
            SELECT type, window_start, window_end, count(*) AS events,
                   sum("deviceSequenceNumber") AS numbers
            FROM {steps("telemetry", "5 s", "20 s")} GROUP BY 1, 2, 3""",
        "grown": f"""
            SELECT window_start, max(events) AS most, sum(numbers) AS numbers FROM (
              SELECT type, window_start, window_end, count(*) AS events,
                     sum("deviceSequenceNumber") AS numbers
              FROM {steps("telemetry", "5 s", "20 s")} GROUP BY 1, 2, 3) g GROUP BY 1""",
        "cleaned": f"""
            SELECT "deviceId", window_start, count(*) AS events, count(DISTINCT "eventId") AS ids
            FROM {windows("clean", "10 s", "10 s")} GROUP BY 1, 2""",
        "per_site": f"""
            SELECT coalesce(site, 'unknown') AS site, window_start, count(*) AS events,
                   count(DISTINCT q."deviceId") AS devices,
                   count(*) FILTER (WHERE value > threshold) AS hot
            FROM {minute} LEFT JOIN devices d ON d."deviceId" = q."deviceId" GROUP BY 1, 2""",
        "busiest": f"""
            SELECT window_start, max(events) AS most, count(*) AS groups, sum(numbers) AS numbers
            FROM ({per_device}) p GROUP BY 1 HAVING count(*) > 1""",
        "hot": """
            SELECT "eventId", "deviceId", value, "createdAt",
                   ("complexData" #>> '{moreData1}')::float8 * 10.0 AS more
            FROM telemetry WHERE type = 'TEMP' AND value > 40""",
        "overall": """
            SELECT type, value IS NULL AS unknown, count(*) AS n, max("createdAt") AS newest
            FROM telemetry GROUP BY 1, 2""",
        # a row that comes 5 s of its partition's watermark after the last one of its group, or
        # later, begins the group anew; at the end what is so old is gone
        "lately": """
            SELECT "deviceId", part, count(*) AS events, sum("deviceSequenceNumber") AS numbers FROM (
              SELECT *, count(*) FILTER (WHERE anew) OVER (PARTITION BY "deviceId", part ORDER BY number)
                        AS life,
                     count(*) FILTER (WHERE anew) OVER (PARTITION BY "deviceId", part) AS lives FROM (
                SELECT *, coalesce(max("createdAt") OVER (
                         PARTITION BY "deviceId", part ORDER BY number
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + interval '5 s' <= seen,
                         false) AS anew
                FROM telemetry WHERE type <> 'CO2') a) b
            WHERE life = lives GROUP BY 1, 2
            HAVING max("createdAt") + interval '5 s' > (SELECT max("createdAt") - interval '3 s'
                                                        FROM telemetry)"""})
    late = postgres.json_rows("""
        SELECT count(*) AS n FROM telemetry
        WHERE date_bin('10 s', "createdAt", '1970-01-01Z') + interval '10 s' <= seen""")
    assert home.query("SELECT count(*) AS n FROM late_rows WHERE query = 'per_device'") == \
        [json.loads(row) for row in late]


CLICKS = """
SET http = 'off';
CREATE TABLE clicks (who text, page int, v int, at timestamptz)
WITH (connector = 'file', path = 'in', event_time = 'at', watermark_delay = '2 seconds');
CREATE MATERIALIZED VIEW sessions AS
SELECT who, window_start, window_end, count(*) AS n, sum(v) AS total, count(DISTINCT page) AS pages
FROM session(clicks, at, INTERVAL '10 seconds', partition_by => who)
GROUP BY who, window_start, window_end;
CREATE MATERIALIZED VIEW split AS
SELECT who, page, window_start, count(*) AS n, max(v) AS high
FROM session(clicks, at, INTERVAL '10 seconds', partition_by => (who, page))
GROUP BY who, page, window_start;
CREATE MATERIALIZED VIEW by_page AS
SELECT who, page, window_start, window_end, count(*) AS n
FROM session(clicks, at, INTERVAL '10 seconds', partition_by => who)
GROUP BY who, page, window_start, window_end;
CREATE MATERIALIZED VIEW longest AS
SELECT window_end, max(n) AS n FROM tumble(
  (SELECT n, window_end AS ended FROM (
     SELECT who, window_end, count(*) AS n
     FROM session(clicks, at, INTERVAL '10 seconds', partition_by => who) GROUP BY who, window_end) s),
  ended, INTERVAL '1 minute') GROUP BY window_end;
"""


def sessions(columns):
    """Rows with the session they belong to: a pause of more than the gap begins a new one."""
    return f"""(SELECT *, min(at) OVER s AS window_start,
                       max(at) OVER s + interval '10 s' AS window_end FROM (
        SELECT *, count(*) FILTER (WHERE opens) OVER (PARTITION BY {columns} ORDER BY at, n) AS number
        FROM (SELECT *, coalesce(at - lag(at) OVER (PARTITION BY {columns} ORDER BY at, n)
                                 > interval '10 s', true) AS opens
              FROM clicks WHERE seen IS NULL OR at >= seen) a) b
      WINDOW s AS (PARTITION BY {columns}, number)) c"""


@pytest.mark.parametrize("way", WAYS, ids=["plain", "chopped"])
@pytest.mark.parametrize("seed,events", [(11, 90), (12, 900), (13, 5000)])
def test_sessions(leat, postgres, seed, events, way):
    lists = with_seen(clicks(seed, events, 10 * SECOND), 2 * SECOND)
    for number, rows in enumerate(lists):
        leat.write(f"in/{number}.ndjson", [{"who": r["who"], "page": r["page"], "v": r["v"],
                                            "at": stamp(r["us"])} for r in rows])
    leat.write("pipeline.sql", CLICKS)
    leat.ok("run", "pipeline.sql", env=way)
    postgres.load("clicks", [("n", "int"), ("who", "text"), ("page", "int"), ("v", "int"),
                             ("at", "timestamptz"), ("seen", "timestamptz")],
                  [(r["n"], r["who"], r["page"], r["v"], time(r["us"]), time(r["seen"]))
                   for rows in lists for r in rows])
    home = Home(leat.folder / "pipeline.leat")
    judge(postgres, home, {
        "sessions": f"""
            SELECT who, window_start, window_end, count(*) AS n, sum(v) AS total,
                   count(DISTINCT page) AS pages FROM {sessions("who")} GROUP BY 1, 2, 3""",
        "split": f"""
            SELECT who, page, window_start, count(*) AS n, max(v) AS high
            FROM {sessions("who, page")} GROUP BY 1, 2, 3""",
        "by_page": f"""
            SELECT who, page, window_start, window_end, count(*) AS n
            FROM {sessions("who")} GROUP BY 1, 2, 3, 4""",
        "longest": f"""
            SELECT date_bin('1 min', window_end, '1970-01-01Z') + interval '1 min' AS window_end,
                   max(n) AS n
            FROM (SELECT who, window_end, count(*) AS n FROM {sessions("who")} GROUP BY 1, 2) s
            GROUP BY 1"""})
    late = postgres.json_rows("SELECT count(*) AS n FROM clicks WHERE at < seen")
    assert home.query("SELECT count(*) AS n FROM late_rows WHERE query = 'sessions'") == \
        [json.loads(row) for row in late]


AUCTIONS = """
SET http = 'off';
CREATE TABLE person (id bigint, name text, state text, at timestamptz)
WITH (connector = 'file', path = 'person.ndjson', event_time = 'at');
CREATE TABLE auction (id bigint, seller bigint, category int, reserve bigint, at timestamptz)
WITH (connector = 'file', path = 'auction.ndjson', event_time = 'at');
CREATE TABLE bid (auction bigint, bidder bigint, price bigint, channel text, at timestamptz)
WITH (connector = 'file', path = 'bid.ndjson', event_time = 'at', watermark_delay = '1 second');
CREATE TABLE category (id int PRIMARY KEY, name text) WITH (connector = 'file', path = 'category.ndjson');

CREATE MATERIALIZED VIEW converted AS
SELECT auction, bidder, price * 0.908 AS euros, at FROM bid WHERE bidder % 3 = 0;
CREATE MATERIALIZED VIEW some_auctions AS SELECT auction, price FROM bid WHERE auction % 7 = 0;
CREATE MATERIALIZED VIEW kinds AS
SELECT auction, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN channel ILIKE 'g%' THEN '1'
                     ELSE split_part(channel, '-', 2) END AS kind, extract(second FROM at) AS second
FROM bid WHERE channel IS NOT NULL AND channel !~ '^B';

CREATE VIEW counts AS
SELECT auction, window_start, window_end, count(*) AS n
FROM hop(bid, at, INTERVAL '2 seconds', INTERVAL '10 seconds')
GROUP BY auction, window_start, window_end;
CREATE VIEW most AS SELECT window_start, max(n) AS n FROM counts GROUP BY window_start;
CREATE MATERIALIZED VIEW hottest AS
SELECT c.auction, c.window_start, c.n FROM counts c JOIN most m
ON c.window_start = m.window_start AND c.n = m.n;

CREATE VIEW new_persons AS
SELECT id, name, window_start, window_end FROM tumble(person, at, INTERVAL '10 seconds')
GROUP BY id, name, window_start, window_end;
CREATE VIEW new_sellers AS
SELECT seller, window_start, window_end, count(*) AS n FROM tumble(auction, at, INTERVAL '10 seconds')
GROUP BY seller, window_start, window_end;
CREATE MATERIALIZED VIEW active AS
SELECT p.id, p.name, p.window_start, s.n FROM new_persons p JOIN new_sellers s
ON p.window_start = s.window_start AND p.id = s.seller;
CREATE MATERIALIZED VIEW maybe_active AS
SELECT p.id, p.window_end, s.n FROM new_persons p LEFT JOIN new_sellers s
ON p.window_end = s.window_end AND p.id = s.seller;

CREATE MATERIALIZED VIEW bidder_sessions AS
SELECT bidder, window_start, window_end, count(*) AS n, max(price) AS best
FROM session(bid, at, INTERVAL '2 seconds', partition_by => bidder)
GROUP BY bidder, window_start, window_end;
CREATE MATERIALIZED VIEW prices AS
SELECT channel, window_start, avg(price) AS mean, sum(price) AS total, var_pop(price) AS spread,
       count(DISTINCT bidder) AS bidders, bool_or(price > 1000000) AS big
FROM tumble(bid, at, INTERVAL '1 minute') GROUP BY channel, window_start;
CREATE MATERIALIZED VIEW per_category AS
SELECT c.name, count(*) AS n, avg(a.reserve) AS mean, min(a.at) AS first
FROM auction a LEFT JOIN category c ON c.id = a.category GROUP BY c.name;
CREATE MATERIALIZED VIEW everyone AS
SELECT 'person' AS kind, id AS who FROM person UNION ALL SELECT 'seller', seller FROM auction
UNION ALL SELECT 'bidder', bidder FROM bid WHERE price > 100000;
"""


@pytest.mark.parametrize("way", WAYS, ids=["plain", "chopped"])
@pytest.mark.parametrize("seed,events", [(21, 400), (22, 4000), (23, 12000)])
def test_auctions(leat, postgres, seed, events, way):
    kinds = dict(zip(("person", "auction", "bid"), auctions(seed, events)))
    columns = {
        "person": [("id", "bigint"), ("name", "text"), ("state", "text")],
        "auction": [("id", "bigint"), ("seller", "bigint"), ("category", "int"),
                    ("reserve", "bigint")],
        "bid": [("auction", "bigint"), ("bidder", "bigint"), ("price", "bigint"),
                ("channel", "text")]}
    for kind, rows in kinds.items():
        rows = with_seen([rows], SECOND if kind == "bid" else 0)[0]
        names = [name for name, _ in columns[kind]]
        leat.write(f"{kind}.ndjson", [{**{name: r[name] for name in names}, "at": stamp(r["us"])}
                                      for r in rows])
        postgres.load(kind, columns[kind] + [("at", "timestamptz"), ("seen", "timestamptz"),
                                             ("number", "int")],
                      [(*(r[name] for name in names), time(r["us"]), time(r["seen"]), r["n"])
                       for r in rows])
    names = [{"id": i, "name": f"category {i}"} for i in range(4)]
    leat.write("category.ndjson", names)
    postgres.load("category", [("id", "int"), ("name", "text")],
                  [(r["id"], r["name"]) for r in names])
    leat.write("pipeline.sql", AUCTIONS)
    leat.ok("run", "pipeline.sql", env=way)

    def tumbled(table, size):
        return f"""(SELECT *, date_bin('{size}', at, '1970-01-01Z') AS window_start,
            date_bin('{size}', at, '1970-01-01Z') + interval '{size}' AS window_end FROM {table}
            WHERE seen IS NULL
               OR date_bin('{size}', at, '1970-01-01Z') + interval '{size}' > seen) q"""
    counts = """
        SELECT auction, w AS window_start, count(*) AS n FROM bid,
          generate_series(date_bin('2 s', at, '1970-01-01Z') - interval '8 s',
                          date_bin('2 s', at, '1970-01-01Z'), interval '2 s') w
        WHERE seen IS NULL OR w + interval '10 s' > seen GROUP BY 1, 2"""
    persons = f"SELECT DISTINCT id, name, window_start, window_end FROM {tumbled('person', '10 s')}"
    sellers = f"""SELECT seller, window_start, window_end, count(*) AS n
                  FROM {tumbled('auction', '10 s')} GROUP BY 1, 2, 3"""
    judge(postgres, Home(leat.folder / "pipeline.leat"), {
        "converted": "SELECT auction, bidder, price * 0.908 AS euros, at FROM bid WHERE bidder % 3 = 0",
        "some_auctions": "SELECT auction, price FROM bid WHERE auction % 7 = 0",
        "kinds": """
            SELECT auction, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN channel ILIKE 'g%' THEN '1'
                                 ELSE split_part(channel, '-', 2) END AS kind,
                   extract(second FROM at) AS second
            FROM bid WHERE channel IS NOT NULL AND channel !~ '^B'""",
        "hottest": f"""
            SELECT c.auction, c.window_start, c.n FROM ({counts}) c JOIN (
              SELECT window_start, max(n) AS n FROM ({counts}) d GROUP BY 1) m
            ON c.window_start = m.window_start AND c.n = m.n""",
        "active": f"""
            SELECT p.id, p.name, p.window_start, s.n FROM ({persons}) p JOIN ({sellers}) s
            ON p.window_start = s.window_start AND p.id = s.seller""",
        "maybe_active": f"""
            SELECT p.id, p.window_end, s.n FROM ({persons}) p LEFT JOIN ({sellers}) s
            ON p.window_end = s.window_end AND p.id = s.seller""",
        "bidder_sessions": """
            SELECT bidder, min(at) AS window_start, max(at) + interval '2 s' AS window_end,
                   count(*) AS n, max(price) AS best FROM (
              SELECT *, count(*) FILTER (WHERE opens) OVER (PARTITION BY bidder ORDER BY at, number)
                AS session FROM (
                SELECT *, coalesce(at - lag(at) OVER (PARTITION BY bidder ORDER BY at, number)
                                   > interval '2 s', true) AS opens
                FROM bid WHERE seen IS NULL OR at >= seen) a) b
            GROUP BY bidder, session""",
        "prices": f"""
            SELECT channel, window_start, avg(price) AS mean, sum(price) AS total,
                   var_pop(price) AS spread, count(DISTINCT bidder) AS bidders,
                   bool_or(price > 1000000) AS big
            FROM {tumbled('bid', '1 min')} GROUP BY 1, 2""",
        "per_category": """
            SELECT c.name, count(*) AS n, avg(a.reserve) AS mean, min(a.at) AS first
            FROM auction a LEFT JOIN category c ON c.id = a.category GROUP BY c.name""",
        "everyone": """
            SELECT 'person' AS kind, id AS who FROM person UNION ALL SELECT 'seller', seller FROM auction
            UNION ALL SELECT 'bidder', bidder FROM bid WHERE price > 100000"""})
