"""LEAT_FAULT=POINT:N kills the program exactly there. Wherever it dies, the next run ends as if
nothing had happened: the judge is an undisturbed run. Every point of the list is tried, and every
point that the program passes is in the list."""
import re

import pytest

from support.process import ROOT, Leat
from support.rows import Home, assert_same, read_ndjson

PIPELINE = """
SET http = 'off';
SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (id bigint NOT NULL, at timestamptz NOT NULL, k text, v bigint)
WITH (connector = 'file', path = 'in', event_time = 'at', watermark_delay = '2 seconds');
CREATE TABLE picked (id bigint, v bigint) WITH (connector = 'file', path = 'picked.ndjson');
INSERT INTO picked SELECT id, v FROM events WHERE v % 3 = 0;
CREATE TABLE totals (k text, window_start timestamptz, n bigint, s numeric)
WITH (connector = 'file', path = 'totals.ndjson');
CREATE TABLE parts (id bigint, v bigint) WITH (connector = 'file', path = 'parts/');
INSERT INTO parts SELECT id, v FROM events WHERE v % 3 = 1;
INSERT INTO totals SELECT k, window_start, count(*), sum(v) FROM
tumble(events, at, INTERVAL '10 seconds') GROUP BY k, window_start;
CREATE MATERIALIZED VIEW ids AS SELECT DISTINCT ON (id) id, v FROM events;
CREATE MATERIALIZED VIEW per_key AS SELECT k, count(*) AS n, sum(v) AS s FROM events GROUP BY k;
"""
# Only sinks with transactions pass these: for the tests with brokers. The home's two: test_home.py.
ELSEWHERE = ("kafka.", "deliver.sent", "deliver.refused", "home.aside", "home.upgrade")
RESET = ("query.",)
PASSES = (1, 2, 5)


def listed(program):
    ended = program.ok("version", env={"LEAT_FAULT": "list"})
    points = dict(re.match(r"(\S+) +(\S.*)", line).groups() for line in ended.out.splitlines())
    assert len(points) == len(ended.out.splitlines()) > 15
    return points


def prepare(folder):
    program = Leat(folder)
    for number in range(3):
        lines = []
        for i in range(number, 900, 3):
            lines.append(f'{{"id":{i - i % 7},"at":"2026-01-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z",'
                         f'"k":"k{i % 5}","v":{i}}}\n')
        lines.insert(50, "no record\n")
        program.write(f"in/{number}.ndjson", "".join(lines))
    program.write("p.sql", PIPELINE)
    return program


def outcome(folder):
    home = Home(folder / "p.leat")
    results = {view: home.rows(view) for view in ("ids", "per_key")}
    for name in ("picked.ndjson", "totals.ndjson"):
        results[name] = read_ndjson(folder / name)
    results["parts"] = [row for path in sorted((folder / "parts").glob("[!.]*"))
                        for row in read_ndjson(path)]
    for table in ("late_rows", "dead_letters"):
        results[table] = home.query(f"SELECT query, source, partition, position FROM {table}")
    results["counts"] = home.query("SELECT * FROM leat_counts")
    return results


def run(program, fault="", *arguments):
    return program.run("run", "p.sql", *arguments, env={
        "LEAT_FAULT": fault, "LEAT_BATCH_ROWS": 20, "LEAT_EPOCH_ROWS": 60})


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    program = prepare(tmp_path_factory.mktemp("calm"))
    assert run(program).status == 0
    return outcome(program.folder)


def test_every_point_is_passed_somewhere_and_listed(tmp_path):
    """The list and the calls in the sources name the same points."""
    points = listed(Leat(tmp_path))
    called = set()
    for path in sorted((ROOT / "src").rglob("*.c")):
        if path.name.endswith("_test.c") or path.name == "fault.c":
            continue
        for call in re.findall(r"\bfault(?:_at)?\([^;]*;", path.read_text()):
            called |= set(re.findall(r'"([a-z]+\.[a-z]+)"', call))
    assert called == set(points)


def test_killed_at_each_point(tmp_path, calm):
    program = Leat(tmp_path)
    for point in listed(program):
        if point.startswith(ELSEWHERE) or point.startswith(RESET):
            continue
        for passes in PASSES:
            killed = prepare(tmp_path / f"{point}-{passes}")
            ended = run(killed, f"{point}:{passes}")
            if ended.status == 0:
                assert passes > 1, f"{point} is never passed"
                break
            assert ended.status == -9, ended
            ended = run(killed)
            assert ended.status == 0, (point, passes, ended)
            actual = outcome(killed.folder)
            for name, rows in calm.items():
                assert_same(rows, actual[name], f"{point}:{passes}, {name}")


def test_killed_while_a_query_is_reset(tmp_path):
    for point in (name for name in listed(Leat(tmp_path)) if name.startswith(RESET)):
        program = prepare(tmp_path / point)
        assert run(program).status == 0
        before = outcome(program.folder)
        program.write("p.sql", PIPELINE.replace("sum(v) AS s FROM events", "max(v) AS s FROM events"))
        assert run(program, f"{point}:1", "--reset", "per_key").status == -9
        ended = run(program, "", "--reset", "per_key")
        assert ended.status == 0, ended
        after = outcome(program.folder)
        assert after["per_key"] == []  # it sees what is new, and nothing is
        for name in before:
            if name not in ("per_key", "counts"):
                assert_same(before[name], after[name], f"{point}, {name}")


@pytest.mark.parametrize("wrong", ["nowhere:1", "home.commit:0", "home.commit:x", "home.commit:"])
def test_a_point_that_is_none(tmp_path, wrong):
    ended = Leat(tmp_path).run("version", env={"LEAT_FAULT": wrong})
    assert ended.status == 2
    assert f"got '{wrong}'" in ended.err and "home.commit " in ended.err
