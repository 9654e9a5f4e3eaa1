"""Killed at random moments, again and again, the program ends as if nothing had happened.

The judge is an undisturbed run over the same files: same views, same rows in the output files, same
late rows and dead letters. Small batches and short epochs make a run long enough that kills land in
its middle, in its start, and between an epoch's commit and its delivery."""
import random
import shutil
import subprocess

import pytest

from support.data import telemetry, telemetry_line
from support.process import Leat
from support.rows import Home, assert_same, read_ndjson

PIPELINE = """
SET http = 'off';
SET checkpoint_interval = '5 milliseconds';
CREATE TABLE telemetry (
  eventId text NOT NULL, value double precision, deviceId text, deviceSequenceNumber bigint,
  type text, createdAt timestamptz NOT NULL, complexData jsonb
) WITH (connector = 'file', path = 'in', event_time = 'createdAt', watermark_delay = '3 seconds');
CREATE TABLE devices (deviceId text PRIMARY KEY, site text)
WITH (connector = 'file', path = 'devices.csv', format = 'csv');
CREATE VIEW clean WITH (horizon = '1 minute') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE MATERIALIZED VIEW per_device AS
SELECT deviceId, type, window_start, count(*) AS events, sum(deviceSequenceNumber) AS numbers,
       max(value) AS high, count(DISTINCT eventId) AS ids
FROM tumble(clean, createdAt, INTERVAL '10 seconds') GROUP BY deviceId, type, window_start;
CREATE MATERIALIZED VIEW sliding AS
SELECT window_start, count(*) AS events FROM hop(telemetry, createdAt, INTERVAL '5 seconds',
  INTERVAL '20 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW sessions AS
SELECT deviceId, window_start, window_end, count(*) AS events
FROM session(clean, createdAt, INTERVAL '2 seconds', partition_by => deviceId)
GROUP BY deviceId, window_start, window_end;
CREATE MATERIALIZED VIEW busiest AS
SELECT window_start, max(events) AS most, count(*) AS devices FROM per_device GROUP BY window_start;
CREATE MATERIALIZED VIEW totals AS SELECT type, count(*) AS n FROM clean GROUP BY type;
CREATE TABLE hot (eventId text, site text, value double precision)
WITH (connector = 'file', path = 'hot.ndjson');
INSERT INTO hot SELECT t.eventId, d.site, t.value FROM telemetry t LEFT JOIN devices d
ON d.deviceId = t.deviceId WHERE t.value > 30;
CREATE TABLE windows (deviceId text, window_start timestamptz, events bigint)
WITH (connector = 'file', path = 'windows.ndjson');
INSERT INTO windows SELECT deviceId, window_start, events FROM per_device WHERE events > 1;
"""
VIEWS = ("per_device", "sliding", "sessions", "busiest", "totals")
FILES = ("hot.ndjson", "windows.ndjson")
KILLS = 50


def prepare(folder, seed, events):
    program = Leat(folder)
    lists = telemetry(seed, events, 3)
    for number, rows in enumerate(lists):
        lines = [telemetry_line(row) for row in rows]
        lines[len(lines) // 2:len(lines) // 2] = ["not json", '{"eventId": 5}']
        program.write(f"in/{number}.ndjson", "".join(line + "\n" for line in lines))
    program.write("devices.csv", "deviceId,site\n" + "".join(
        f"contoso-device-id-{i:06d},site {i % 3}\n" for i in range(0, 13, 2)))
    program.write("pipeline.sql", PIPELINE)
    return program


def outcome(folder):
    home = Home(folder / "pipeline.leat")
    results = {view: home.rows(view) for view in VIEWS}
    results.update({file: read_ndjson(folder / file) for file in FILES})
    results["late_rows"] = home.query("SELECT query, source, partition, position FROM late_rows")
    results["dead_letters"] = home.query(
        "SELECT query, source, partition, position, reason, record FROM dead_letters")
    return results


@pytest.mark.timeout(600)
def test_random_kills(tmp_path):
    rng = random.Random(20260101)
    calm = prepare(tmp_path / "calm", 31, 6000)
    calm.ok("run", "pipeline.sql")
    expected = outcome(calm.folder)
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        assert rounds < 3 * KILLS, "every run ends before it can be killed"
        folder = tmp_path / f"round-{rounds}"
        program = prepare(folder, 31, 6000)
        longest = 0.1
        for attempt in range(1000):
            running = program.start("run", "pipeline.sql", env={
                "LEAT_BATCH_ROWS": rng.choice([3, 20]), "LEAT_EPOCH_ROWS": rng.choice([10, 200])})
            try:
                running.process.wait(rng.random() * longest)
            except subprocess.TimeoutExpired:
                running.kill()
                kills += 1
                longest *= 1.1 if attempt % 10 == 9 else 1
                continue
            ended = running.wait()
            assert ended.status == 0, ended
            break
        else:
            raise AssertionError("never done")
        actual = outcome(folder)
        for name, rows in expected.items():
            assert_same(rows, actual[name], f"round {rounds}, {name}")
        shutil.rmtree(folder)


@pytest.mark.parametrize("epoch_rows", [1, 50])
def test_killed_at_every_epoch(tmp_path, epoch_rows):
    """Each run dies right after its first epoch: the next begins exactly there."""
    events = 60 if epoch_rows == 1 else 3000
    calm = prepare(tmp_path / "calm", 32, events)
    calm.ok("run", "pipeline.sql")
    program = prepare(tmp_path / "killed", 32, events)
    for runs in range(1, 2000):
        ended = program.run("run", "pipeline.sql", env={
            "LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": epoch_rows,
            "LEAT_BATCH_ROWS": min(epoch_rows, 10)})
        if ended.status == 0:
            break
        assert ended.status == -9, ended
    assert runs > 10
    actual = outcome(program.folder)
    for name, rows in outcome(calm.folder).items():
        assert_same(rows, actual[name], name)
