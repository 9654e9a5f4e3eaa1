"""leat verify: what arrived against what was sent, and how: order, latency, rate, accounts.

The simulator's events are written as another system might have stored them, with times added, rows taken away,
repeated, swapped or bent; each fault must be found, counted, and nothing else told."""
import csv
import json
import os
import pathlib
import pty
import random
import re
import sqlite3
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from support.process import BINARY, wait_until

COLUMNS = """eventId text NOT NULL, value double precision, deviceId text, deviceSequenceNumber bigint, type text,
  createdAt timestamptz NOT NULL, complexData jsonb"""
SEED = ["--seed", "7"]


def send(leat, *options, events=3000):
    """Rows as they were sent, copies included, broken records left out; ledger in `ledger`."""
    leat.ok("generate", "--events", events, *SEED, "--to", "sent.ndjson", "--ledger", "ledger", *options)
    rows = []
    for line in (leat.folder / "sent.ndjson").read_text().splitlines():
        try:
            row = json.loads(line)
            at(row["createdAt"])
        except ValueError:
            continue
        if isinstance(row["value"], float):
            rows.append(row)
    return rows


def at(text):
    return datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)


def later(text, seconds):
    return (at(text) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def verify(leat, rows, *options, status=0):
    if rows is not None:
        leat.write("arrived.ndjson", rows)
        options = ("--in", "arrived.ndjson", *options)
    ended = leat.run("verify", "--ledger", "ledger", "--json", *options)
    assert ended.status == status, ended
    return json.loads(ended.out)


# ---- values and multiplicity ----

def test_exact_multiset(leat):
    rows = send(leat, "--duplicates", "0.05")
    result = verify(leat, rows, "--max-missing-copies", "0", "--whole", "--max-out-of-order", "0")
    assert result["ok"] and result["arrived"] == len(rows) > 3000
    copy = next(i for i in range(1, len(rows)) if rows[i] == rows[i - 1])
    fewer = rows[:copy] + rows[copy + 1:]
    assert verify(leat, fewer)["missing_copies"] == 1
    assert verify(leat, fewer, "--max-missing-copies", "0", status=1)["broken_limits"] == ["missing_copies"]
    assert verify(leat, rows, "--deduplicated", status=1)["duplicated"] == len(rows) - 3000
    once = list({row["eventId"]: row for row in rows}.values())
    assert verify(leat, once, "--deduplicated")["missing_copies"] == 0
    thrice = rows + [rows[copy], rows[copy]]
    assert verify(leat, thrice, status=1)["duplicated"] == 2
    many = rows + [rows[copy]] * 600
    assert verify(leat, many, status=1)["duplicated"] == 600


@pytest.mark.parametrize("column, bend", [
    ("value", lambda value: value + 1e-9), ("value", lambda value: round(value, 4)), ("value", str),
    ("value", lambda _: None), ("deviceId", str.upper), ("deviceSequenceNumber", lambda n: n + 1), ("type", str.lower),
    ("createdAt", lambda text: text[:23] + "Z"), ("createdAt", lambda text: text[:26] + "1Z"),
    ("createdAt", lambda text: text[:26] + "+01:00"),
    ("complexData", lambda data: {**data, "moreData23": 0.5}), ("complexData", lambda data: {**data, "moreData24": 0.5}),
    ("complexData", lambda data: {k: v for k, v in data.items() if k != "moreData1"}), ("complexData", json.dumps)])
def test_every_value_counts(leat, column, bend):
    rows = send(leat, "--disorder", "1 second", events=50)
    row = next(row for row in rows if row["createdAt"][23:26] != "000")
    row[column] = bend(row[column])
    result = verify(leat, rows, status=1)
    assert result["changed"] == 1 and result["missing"] == result["unexpected"] == 0, result
    assert column in result["examples"]["changed"][0] and row["eventId"] in result["examples"]["changed"][0]


def test_values_as_json(leat):
    """The order of keys, blanks, zeros behind the point, the spelling of times and ids do not matter."""
    rows = send(leat, events=300)
    lines = []
    for row in rows:
        row["createdAt"] = (at(row["createdAt"]) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")
        row["eventId"] = row["eventId"].upper()
        text = json.dumps(dict(reversed(row.items())), indent=None, separators=(" ,  ", " : "))
        lines.append(re.sub(r"(0\.\d+)", r"\g<1>00", text))
    leat.write("other.ndjson", "\n".join(lines) + "\n")
    assert verify(leat, None, "--in", "other.ndjson", "--whole")["ok"]


def test_whole_rows(leat):
    rows = send(leat, events=100)
    partly = [{"eventId": row["eventId"], "value": row["value"], "note": 1} for row in rows]
    assert verify(leat, partly)["compared"] == ["eventId", "value"]
    result = verify(leat, partly, "--whole", status=1)
    assert result["changed"] == 100 and "note" in result["examples"]["changed"][0]
    for row in partly:
        del row["note"]
    assert "deviceId is not there" in verify(leat, partly, "--whole", status=1)["examples"]["changed"][0]
    flat = [{**{k: v for k, v in row.items() if k != "complexData"}, **row["complexData"],
             "storedAt": row["createdAt"]} for row in rows]
    assert verify(leat, flat, "--whole")["ok"]


def test_other_names(leat):
    rows = send(leat, events=100)
    named = [{"id": row["eventId"], "reading": row["value"], "ts": later(row["createdAt"], 1), "value": "mine"}
             for row in rows]
    result = verify(leat, named, "--column", "eventId=id", "--column", "value=reading", "--column", "storedAt=ts")
    assert result["compared"] == ["eventId", "value"]
    assert result["latency_seconds"]["created_stored"]["max"] == 1
    ended = leat.run("verify", "--ledger", "ledger", "--in", "arrived.ndjson", "--column", "key=id")
    assert ended.status == 2 and "NAME=COLUMN" in ended.err, ended


# ---- order ----

def test_order(leat):
    rows = send(leat, "--devices", "10", "--duplicates", "0.01")
    assert verify(leat, rows, "--max-out-of-order", "0")["out_of_order"] == 0
    seen = [i for i, row in enumerate(rows) if row["deviceId"].endswith("003")]
    swapped = list(rows)
    swapped[seen[4]], swapped[seen[6]] = rows[seen[6]], rows[seen[4]]
    result = verify(leat, swapped)
    assert result["ok"] and 1 <= result["out_of_order"] <= 3
    result = verify(leat, swapped, "--max-out-of-order", "0", status=1)
    assert result["broken_limits"] == ["out_of_order"]
    assert "of its device came after" in result["examples"]["out_of_order"][0]


def test_order_is_that_of_a_file(leat):
    """Two partitions, each in order, whose devices are not kept together."""
    rows = send(leat, "--devices", "10", "--duplicates", "0")
    for i in (0, 1):
        leat.write(f"parts/{i}.ndjson", rows[i::2] if i else rows[0::2])
    result = verify(leat, None, "--in", "parts", "--max-out-of-order", "0")
    assert result["devices_spread"] == 0      # ten devices in turn: the even ones, the odd ones
    leat.write("parts/0.ndjson", rows[:1000] + rows[2000:])
    leat.write("parts/1.ndjson", rows[1000:2000])
    result = verify(leat, None, "--in", "parts/0.ndjson", "--in", "parts/1.ndjson", "--max-out-of-order", "0")
    assert result["devices_spread"] == 10


# ---- time ----

def test_latencies_are_exact(leat):
    rows = send(leat, events=1000)
    delays = [n / 1000 for n in range(1, len(rows) + 1)]
    random.Random(1).shuffle(delays)
    for row, delay in zip(rows, delays):
        created = row["createdAt"]
        row.update(enqueuedAt=later(created, 0.25), processedAt=later(created, 0.25 + delay),
                   storedAt=later(created, 2 + delay))
    legs = verify(leat, rows)["latency_seconds"]
    n = len(rows)

    def nearest(share):
        return -(-share * n // 100) / 1000
    assert set(legs) == {"created_enqueued", "enqueued_processed", "processed_stored", "created_stored"}
    assert set(legs["created_enqueued"].values()) == {n, 0.25}
    assert legs["enqueued_processed"] == {"rows": n, "p50": nearest(50), "p95": nearest(95), "p99": nearest(99),
                                          "max": n / 1000}
    assert legs["created_stored"]["p99"] == pytest.approx(2 + nearest(99), abs=1e-9)
    most = 2 + n / 1000
    verify(leat, rows, "--max-latency-max", f"{most} seconds", "--max-latency-p50", "3 seconds")
    result = verify(leat, rows, "--max-latency-p99", "2.5 seconds", status=1)
    assert result["broken_limits"] == ["latency_p99"] and result["limits"]["latency_p99"] == 2.5


def test_made_up_disorder_is_no_latency(leat):
    """What the simulator stamps older than it sends it counts from when it is sent."""
    rows = send(leat, "--rate", "100000", "--disorder", "2 seconds", "--late", "0.01", "--duplicates", "0")
    first = at("2026-01-01T00:00:00.000000Z")
    for n, row in enumerate(rows):
        row["storedAt"] = (first + timedelta(seconds=0.5 + n / 100000)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    legs = verify(leat, rows, "--max-latency-max", "501 ms")["latency_seconds"]
    assert legs["created_stored"]["max"] > 30 and legs["sent_stored"]["max"] <= 0.5


def test_a_limit_that_cannot_be_judged_is_broken(leat):
    rows = send(leat, events=10)
    leat.write("arrived.ndjson", rows)
    for limit in (["--max-latency-p99", "1 hour"], ["--min-rate", "1"]):
        ended = leat.run("verify", "--ledger", "ledger", "--in", "arrived.ndjson", *limit)
        assert ended.status == 1 and "BROKEN" in ended.out and "no row has a time" in ended.out.lower(), ended


def test_times_that_run_backwards(leat):
    rows = send(leat, events=100)
    for row in rows:
        row.update(enqueuedAt=later(row["createdAt"], 1), processedAt=later(row["createdAt"], 2))
    rows[5]["processedAt"] = later(rows[5]["createdAt"], 0.999)
    result = verify(leat, rows, "--max-backwards", "0", status=1)
    assert result["backwards"] == 1 and "processed before enqueued" in result["examples"]["backwards"][0]
    for row in rows:           # a clock that tells milliseconds is not behind
        row.update(enqueuedAt=row["createdAt"][:23] + "Z", processedAt=row["createdAt"])
    assert verify(leat, rows, "--max-backwards", "0")["backwards"] == 0
    for text in ("infinity", "-infinity", "9999-12-31T23:59:59Z", "0001-01-01", "soon", 1e300, -5, None, {}):
        rows[7]["processedAt"] = text
        verify(leat, rows)
    for row in rows:
        row["processedAt"] = "2027-01-01T00:00:00Z"
    leat.write("arrived.ndjson", rows)
    assert "the same in all" in leat.ok("verify", "--ledger", "ledger", "--in", "arrived.ndjson").out


def minutes_of(leat, per_minute):
    """Events stored so many in each minute, from 12:00:30 on."""
    rows = send(leat, "--duplicates", "0", events=sum(per_minute))
    rest, when = iter(rows), datetime(2026, 1, 1, 12, 0, 30, tzinfo=timezone.utc)
    for count in per_minute:
        for i in range(count):
            next(rest)["storedAt"] = (when + timedelta(seconds=i * (60 / count) * 0.999)).isoformat()
        when = when.replace(second=0) + timedelta(minutes=1)
    return rows


def test_worst_full_minute(leat):
    rows = minutes_of(leat, [30, 600, 300, 900, 600, 7])
    rate = verify(leat, rows, "--min-rate", "5")["rate"]
    assert rate["full_minutes"] == 4 and rate["by"] == "stored" and rate["worst"] == 5, rate
    assert rate["mean"] == pytest.approx(10, 0.01)
    assert rate["worst_at"].startswith("2026-01-01T12:0")
    assert verify(leat, rows, "--min-rate", "5.1", status=1)["broken_limits"] == ["rate"]
    warm = verify(leat, rows, "--warm-up", "2 minutes", "--min-rate", "9.9")["rate"]
    assert warm["full_minutes"] == 2 and warm["worst"] == 10
    assert verify(leat, rows, "--warm-up", "1 hour", "--min-rate", "1", status=1)["rate"]["full_minutes"] == 0


def test_a_minute_without_rows_counts(leat):
    rows = minutes_of(leat, [30, 60, 60, 60, 60, 30])
    held = [row for row in rows if not row["storedAt"].startswith("2026-01-01T12:03")]
    result = verify(leat, held, "--max-missing", "60", "--min-rate", "0.5", status=1)
    assert result["rate"]["worst"] == 0 and result["rate"]["worst_at"] == "2026-01-01T12:03:00Z"
    assert result["broken_limits"] == ["rate"] and result["missing"] == 60


def test_rate_as_a_share_of_what_was_offered(leat):
    leat.ok("generate", "--events", 100, *SEED, "--rate", "1000", "--to", "sent.ndjson", "--ledger", "ledger")
    ended = leat.run("verify", "--ledger", "ledger", "--in", "sent.ndjson", "--min-rate", "99%", "--json")
    assert ended.status == 1 and json.loads(ended.out)["limits"]["rate"] == 990
    leat.ok("generate", "--events", 100, *SEED, "--to", "sent.ndjson", "--ledger", "ledger")
    ended = leat.run("verify", "--ledger", "ledger", "--in", "sent.ndjson", "--min-rate", "99%")
    assert ended.status == 2 and "--rate" in ended.err, ended


# ---- where rows come from ----

def test_csv_and_sqlite(leat):
    rows = send(leat, events=500)
    with open(leat.folder / "arrived.csv", "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(list(rows[0]))
        writer.writerows([json.dumps(v) if isinstance(v, dict) else v for v in row.values()] for row in rows)
    assert verify(leat, None, "--in", "arrived.csv", "--whole", "--max-missing-copies", "0")["ok"]
    (leat.folder / "parts").mkdir()
    (leat.folder / "arrived.csv").rename(leat.folder / "parts" / "1.csv")
    assert verify(leat, None, "--in", "parts", "--whole", "--max-missing-copies", "0")["ok"]
    other = sqlite3.connect(leat.folder / "other.db")
    other.execute("CREATE TABLE events (eventId TEXT, value REAL, deviceSequenceNumber INT, complexData TEXT, t TEXT)")
    other.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", [
        (row["eventId"], row["value"], row["deviceSequenceNumber"], json.dumps(row["complexData"]), None)
        for row in rows])
    other.commit()
    result = verify(leat, None, "--in", "sqlite:other.db:events")
    assert result["compared"] == ["eventId", "value", "deviceSequenceNumber", "complexData"]
    assert verify(leat, None, "--in", "sqlite:other.db:events", "--max-out-of-order", "0", status=1)["out_of_order"] == 0
    for word, message in (("sqlite:other.db:nix", "it has events"), ("sqlite:other.db", "sqlite:FILE:TABLE"),
                          ("sqlite:sent.ndjson:x", "not a database"), ("sqlite:nix:x", "nix"), ("nix", "nix"),
                          ("nix.sql:t", "nix.sql")):
        ended = leat.run("verify", "--ledger", "ledger", "--in", word)
        assert ended.status in (1, 2) and message in ended.err and not ended.out, (word, ended)


def test_standard_input_and_arrays(leat):
    """Stream Analytics packs many events into one message."""
    rows = send(leat, events=500)
    text = "".join(json.dumps(rows[i:i + 7]) + "\n" for i in range(0, len(rows), 7))
    ended = leat.ok("verify", "--ledger", "ledger", "--in", "-", "--json", "--max-missing-copies", "0", stdin=text)
    assert json.loads(ended.out)["arrived"] == len(rows)


def test_one_long_array(leat):
    rows = send(leat, events=2000)
    leat.write("rows.json", json.dumps(rows, indent=1))
    leat.write("p.sql", "CREATE TABLE t (eventId text) WITH (connector = 'file', path = 'rows.json', "
               "format = 'json_array');")
    result = verify(leat, None, "--in", "p.sql:t", "--max-missing-copies", "0", "--whole", "--max-out-of-order", "0")
    assert result["arrived"] == len(rows)


def test_several_ledgers_and_inputs(leat):
    one = send(leat, events=300)
    leat.ok("generate", "--events", 300, "--seed", "8", "--to", "two.ndjson", "--ledger", "ledger2")
    result = verify(leat, one, "--ledger", "ledger2", "--in", "two.ndjson", "--max-out-of-order", "0")
    assert result["sent"] == 600
    assert verify(leat, one, "--ledger", "ledger2", status=1)["missing"] == 300


# ---- pipelines ----

PIPELINE = f"""SET http = 'off';
CREATE TABLE telemetry ({COLUMNS})
WITH (connector = 'file', path = 'sent.ndjson', event_time = 'createdAt', watermark_delay = '1 second');
CREATE VIEW once WITH (horizon = '5 seconds') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE MATERIALIZED VIEW kept WITH (retention = '10 days') AS SELECT *, now() AS storedAt FROM once;
CREATE TABLE whole ({COLUMNS}) WITH (connector = 'file', path = 'whole.ndjson');
INSERT INTO whole SELECT * FROM once;
CREATE TABLE part (eventId text, inverse bigint, value double precision)
WITH (connector = 'file', path = 'part.csv', format = 'csv', header = false, delimiter = ';');
INSERT INTO part SELECT eventId, 10 / (deviceSequenceNumber - 1), value FROM once WHERE type = 'TEMP';
CREATE MATERIALIZED VIEW counts AS SELECT type, count(*) AS n FROM once GROUP BY type;
"""


@pytest.fixture
def done(leat):
    send(leat, "--bad", "0.02", "--late", "0.02", "--duplicates", "0.02", "--devices", "50")
    leat.write("p.sql", PIPELINE)
    leat.ok("run", "p.sql")
    return leat


@pytest.mark.parametrize("name", ["whole", "kept"])
def test_sent_is_stored_deduplicated_late_or_dead(done, name):
    where = f"p.sql:{name}"
    assert verify(done, None, "--in", where, status=1)["missing"] > 20
    result = verify(done, None, "--in", where, "--account", where, "--deduplicated")
    account = result["account"]
    assert account["taken"] == result["sent"] + result["copies"] + result["broken"]
    assert account["taken"] == account["stored"] + account["deduplicated"] + account["late"] + account["dead"]
    assert account["dead"] == result["broken"] > 20 and account["late"] >= account["missing_late"] > 20
    assert result["missing"] == result["unaccounted"] == account["filtered"] == 0
    late = {json.loads(row[0])["eventId"] for row in sqlite3.connect(done.folder / "p.leat").execute(
        "SELECT record FROM late_rows")}
    assert len(account["late_events"]) == 5 and set(account["late_events"]) <= late and not account["dead_events"]


def test_filtered_rows_and_bad_expressions(done):
    result = verify(done, None, "--in", "p.sql:part", "--account", "p.sql:part")
    account = result["account"]
    assert account["filtered"] > 1000 and account["missing_dead"] > 10
    assert account["missing_excused"] == account["filtered"] or account["missing_excused"] > 0
    assert result["compared"] == ["eventId", "value"]


def test_a_lost_row_is_not_accounted_for(done):
    lines = (done.folder / "whole.ndjson").read_text().splitlines(True)
    (done.folder / "whole.ndjson").write_text("".join(lines[:70] + lines[71:]))
    result = verify(done, None, "--in", "p.sql:whole", "--account", "p.sql:whole", status=1)
    assert result["missing"] == result["unaccounted"] == 1
    assert result["broken_limits"] == ["missing", "unaccounted"]
    assert result["examples"]["missing"] == [json.loads(lines[70])["eventId"]]


def test_rejects_that_are_not_kept(leat):
    send(leat, "--late", "0.05")
    leat.write("p.sql", "SET keep_rejects = 10;\n" + PIPELINE)
    leat.ok("run", "p.sql")
    account = verify(leat, None, "--in", "p.sql:whole", "--account", "p.sql:whole")["account"]
    assert account["missing_late"] == 10 and account["missing_excused"] > 50
    assert account["taken"] == sum(account[k] for k in ("stored", "deduplicated", "late", "dead", "filtered"))


@pytest.mark.parametrize("word, status, message", [
    ("p.sql:counts", 1, "groups"), ("p.sql:nix", 2, "no query 'nix'"), ("p.sql", 2, "FILE.sql:QUERY"),
    ("q.sql:whole", 2, "q.sql")])
def test_accounts_that_there_are_not(done, word, status, message):
    ended = done.run("verify", "--ledger", "ledger", "--in", "whole.ndjson", "--account", word)
    assert ended.status == status and message in ended.err and not ended.out, ended


# ---- ledgers, usage, signals ----

def test_ledgers(leat):
    rows = send(leat, events=300)
    text = (leat.folder / "ledger").read_text()
    assert text.startswith("leat ledger 2\n")
    first = text.replace("ledger 2", "ledger 1")
    (leat.folder / "ledger").write_text(re.sub(r"(?m)^(sent \d+) \d+$", r"\1", first))
    verify(leat, rows)
    cases = {"": "is empty", "leat ledger 3\nseed 7\n": "version 3", "leat ledger 2\nseed 7\nrate 0\n": "cut off",
             "hello\n": "not a ledger", text.replace("devices 1000", "devices 0"): "not a ledger",
             text.replace("seed 7", "seed x"): "line 2", text.replace("rate 0", "rate nan"): "not a ledger",
             text.replace("rate 0", "rate -1"): "not a ledger", text.replace("late 0", "late 2"): "not a ledger"}
    for content, message in cases.items():
        (leat.folder / "bad").write_text(content)
        ended = leat.run("verify", "--ledger", "bad", "--in", "arrived.ndjson")
        assert ended.status == 1 and message in ended.err and "bad" in ended.err, (content, ended)
    killed = re.sub(r"(?m)^sent (?!0$).*\n|^end\n", "", text)
    (leat.folder / "killed").write_text(killed)
    ended = leat.run("verify", "--ledger", "killed", "--in", "arrived.ndjson")
    assert ended.status == 1 and "has no end" in ended.out and "NOT verified" in ended.out, ended


@pytest.mark.parametrize("options, message", [
    (["--max-missing", "x"], "whole number"), (["--max-missing", "-1"], "whole number"),
    (["--max-missing", "1.5"], "whole number"), (["--max-latency-p99", "soon"], "duration"),
    (["--max-latency-p98", "1 s"], "--max-latency-p9"), (["--max-out-off-order", "1"], "--max-out-of-order"),
    (["--min-rate", "fast"], "number"), (["--warm-up", "1 month"], "duration"), (["--column", "eventId"], "NAME=COLUMN"),
    (["--max-unaccounted", "3"], "--account"), (["--json", "more"], "unknown argument 'more'"),
    (["--max-missing", "200%"], "from 0% to 100%"), (["--min-rate", "100.1%"], "from 0% to 100%"),
    (["--min-rate"], "needs a value")])
def test_usage(leat, options, message):
    ended = leat.run("verify", "--ledger", "l", "--in", "x", *options)
    assert ended.status == 2 and message in ended.err and not ended.out, ended


@pytest.mark.parametrize("name, content, message", [
    ("p.sql", b"SELECT 1", "p.sql:NAME"), ("h.leat", b"SQLite format 3\0 and more", "sqlite:h.leat:TABLE"),
    ("r.gz", b"\x1f\x8b\x08", "zcat r.gz"), ("r.zst", b"\x28\xb5\x2f\xfd", "zstdcat r.zst")])
def test_what_has_no_rows_of_its_own(leat, name, content, message):
    send(leat, events=10)
    leat.write(name, content)
    ended = leat.run("verify", "--ledger", "ledger", "--in", name)
    assert ended.status == 2 and message in ended.err and not ended.out, ended


def test_broken_records_are_counted_too(leat):
    """What is broken is known by its id or by how it begins; neither garbage nor a copy of it was sent."""
    send(leat, "--bad", "0.1", events=1000)
    sent = (leat.folder / "sent.ndjson").read_text()
    assert verify(leat, sent)["ok"]
    assert verify(leat, sent + "garbage\n", status=1)["unexpected"] == 1
    again = [row + "\n" for row in sent.splitlines() if '"high"' in row]
    assert again and verify(leat, sent + "".join(again), status=1)["duplicated"] == len(again)


def test_a_ledger_of_its_own(leat):
    for ledger in ("both", "./both"):
        leat.write("both", "kept")
        ended = leat.run("generate", "--events", "5", "--to", "both", "--ledger", ledger)
        assert ended.status == 2 and "a file of its own" in ended.err, ended
        assert (leat.folder / "both").read_text() == "kept"


def test_clocks_that_are_behind(leat):
    """Rows that were stored before they were made took no time, and are told."""
    rows = [{**row, "storedAt": later(row["createdAt"], -1.5)} for row in send(leat, events=100)]
    result = verify(leat, rows)
    assert result["backwards"] == len(rows) and result["latency_seconds"]["created_stored"]["p50"] == 0
    assert result["drain_seconds"] == -1.5


def test_drained(leat):
    rows = send(leat, "--duplicates", "0", events=100)
    rows = [{**row, "storedAt": later(row["createdAt"], 7 if i == 50 else 0.25)} for i, row in enumerate(rows)]
    assert verify(leat, rows)["drain_seconds"] == round(7 - 49 * 0.001, 6)
    ended = leat.ok("verify", "--ledger", "ledger", "--in", "arrived.ndjson")
    assert "drained 6.95 s after the last event was sent" in ended.out, ended


def test_two_ledgers_of_one_seed(leat):
    rows = send(leat, events=100)
    assert verify(leat, rows)["ok"]
    ended = leat.run("verify", "--ledger", "ledger", "--ledger", "./ledger", "--in", "arrived.ndjson")
    assert ended.status == 2 and "of the same seed" in ended.err, ended


def test_limits_as_shares(leat):
    rows = send(leat, "--duplicates", "0", events=1000)
    assert verify(leat, rows[10:], "--max-missing", "1%")["limits"]["missing"] == 10
    assert verify(leat, rows[11:], "--max-missing", "1%", status=1)["missing"] == 11


def test_people_get_plain_text_without_a_terminal(leat):
    rows = send(leat, events=100)
    leat.write("arrived.ndjson", rows[1:])
    ended = leat.run("verify", "--ledger", "ledger", "--in", "arrived.ndjson")
    assert ended.status == 1 and "BROKEN" in ended.out and "NOT verified" in ended.out
    assert "\033" not in ended.out and not ended.err


def signals_caught(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"SigCgt:\s+(\w+)", status)[1], 16)


def test_interrupted(leat):
    send(leat, events=10)
    running = subprocess.Popen([BINARY, "verify", "--ledger", "ledger", "--in", "-"], cwd=leat.folder,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        running.stdin.write("{}\n")
        running.stdin.flush()
        wait_until(lambda: signals_caught(running.pid) & 0x4002 == 0x4002, "it waits for signals")
        running.terminate()
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 1 and "interrupted" in err and not out


# ---- the generator as a table ----

GENERATOR = f"""SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE telemetry ({COLUMNS}) WITH (connector = 'generator', rate = 3000, disorder = '1 second', late = 0.01,
  bad = 0.01, duplicates = 0.01, event_time = 'createdAt', watermark_delay = '1 second'@@);
CREATE TABLE out ({COLUMNS}, storedAt timestamptz) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT *, now() FROM telemetry;
"""


@pytest.mark.parametrize("options", ["", ", start = '2026-01-01', seed = 9"])
def test_a_generator_table_is_its_own_ledger(leat, options):
    """Restarts open segments, each with a clock of its own; the home remembers them."""
    leat.write("p.sql", GENERATOR.replace("@@", options))
    size = 0
    for run in range(3):
        running = leat.start("run", "p.sql")

        def grown():
            path = leat.folder / "out.ndjson"
            return path.exists() and path.stat().st_size > size + 200000
        running.wait_until(grown, "events arrive")
        if run < 2:
            running.kill()
        else:
            assert running.terminate().status == 0
        size = (leat.folder / "out.ndjson").stat().st_size
    ended = leat.ok("verify", "--ledger", "p.sql:telemetry", "--in", "p.sql:out", "--account", "p.sql:out",
                    "--max-missing-copies", "0", "--max-out-of-order", "0", "--json")
    result = json.loads(ended.out)
    assert result["sent"] > 500 and result["copies"] > 0 and result["account"]["dead"] == result["broken"] > 0
    if not options:
        assert 0 <= result["latency_seconds"]["sent_stored"]["p50"] < 20


def test_tables_that_are_no_ledger(leat):
    leat.write("p.sql", GENERATOR.replace("@@", ", events = 10"))
    ended = leat.run("verify", "--ledger", "p.sql:telemetry", "--in", "x")
    assert ended.status == 1 and "p.leat" in ended.err, ended
    leat.ok("run", "p.sql")
    for word, message in (("p.sql:out", "no generator"), ("p.sql:nix", "no table 'nix'")):
        ended = leat.run("verify", "--ledger", word, "--in", "out.ndjson")
        assert ended.status == 2 and message in ended.err and not ended.out, ended
    leat.ok("verify", "--ledger", "p.sql:telemetry", "--in", "out.ndjson")
    ended = leat.run("verify", "--ledger", "p.sql:telemetry", "--in", "p.sql:telemetry")
    assert ended.status == 2 and "is a generator" in ended.err, ended


def test_a_table_that_follows_is_read_to_its_end(leat):
    rows = send(leat, events=500)
    leat.write("p.sql", f"CREATE TABLE t ({COLUMNS}) WITH (connector = 'file', path = 'sent.ndjson', follow = true);")
    assert verify(leat, None, "--in", "p.sql:t")["arrived"] == len(rows)


def test_colours_on_a_terminal(leat):
    rows = send(leat, events=100)
    leat.write("arrived.ndjson", rows[1:])
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | more
        mine, its = pty.openpty()
        try:
            subprocess.run([BINARY, "verify", "--ledger", "ledger", "--in", "arrived.ndjson"], cwd=leat.folder,
                           stdout=its, stderr=subprocess.DEVNULL, env=environment, timeout=60, check=False)
            shown = os.read(mine, 65536).decode()
        finally:
            os.close(mine)
            os.close(its)
        assert "BROKEN" in shown and ("\033[31mBROKEN\033[0m" in shown) == coloured, shown
