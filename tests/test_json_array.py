"""JSON arrays: files of any size, standard input, `leat sql`, and messages that hold several rows."""
import json
import re
import resource
import subprocess

import pytest

from support.rows import Home

SQL = """SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (v int, offset_of bigint GENERATED ALWAYS AS (metadata('offset')) STORED)
WITH (%s, format = 'json_array');
CREATE MATERIALIZED VIEW plain AS SELECT v, offset_of FROM events;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(v) AS v FROM events;
"""


def test_a_large_array_in_little_memory(leat):
    """Read in chunks: memory does not grow with the file."""
    pad = "x" * 500
    with open(leat.folder / "big.json", "w") as file:
        file.write("[")
        for i in range(200_000):
            file.write(f'{"," if i else ""}{{"v":{i},"pad":"{pad}"}}')
        file.write("]")
    leat.write("p.sql", SQL.split("CREATE MATERIALIZED VIEW plain")[0]
               % "connector = 'file', path = 'big.json'" +
               "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(v) AS v FROM events;")
    leat.ok("run", "p.sql")
    assert Home(leat.folder / "p.leat").rows("total") == [{"n": 200_000, "v": 19999900000}]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 300_000


def test_standard_input(leat):
    """Those already counted are skipped, and what follows is judged as before."""
    leat.write("p.sql", SQL % "connector = 'file', path = '-'")
    whole = "[ " + ",\n".join(json.dumps({"v": i}) for i in range(50)) + "]\n"
    running = leat.start("run", "p.sql", stdin=subprocess.PIPE,
                         env={"LEAT_BATCH_ROWS": 1, "LEAT_EPOCH_ROWS": 20})
    running.process.stdin.write(whole[:300].encode())
    running.process.stdin.flush()
    home = Home(leat.folder / "p.leat")
    running.wait_until(lambda: (home.count("plain") or 0) >= 20, "some rows")
    running.kill()
    leat.ok("run", "p.sql", stdin=whole)
    assert sorted(row["v"] for row in home.rows("plain")) == list(range(50))
    assert home.count("dead_letters") == 0
    assert all(whole[row["offset_of"]:].startswith('{"v": %d}' % row["v"])
               for row in home.rows("plain"))


def test_sql(leat):
    leat.write("a.json", '[{"a":1,"b":{"c":"x"}},\n {"a":2.5,"b":{"c":"y"}}]')
    ended = leat.ok("sql", "--input-format", "json_array",
                    "SELECT sum(a) AS total, max(b ->> 'c') AS high FROM input", "a.json")
    assert ended.rows() == [{"total": 3.5, "high": "y"}]
    ended = leat.run("sql", "--input-format=json_array", "SELECT a FROM input", stdin='[{"a":1},2]')
    assert ended.rows() == [{"a": 1}] and ended.status == 1
    ended = leat.run("sql", "SELECT a FROM input", stdin='[{"a":1},{"a":2}]')
    assert ended.status == 2 and "--input-format json_array" in ended.err, ended


def test_followed(leat):
    """Whole files that are renamed into a folder, and one that grows."""
    folder = leat.folder / "in"
    folder.mkdir()
    leat.write("p.sql", SQL % "connector = 'file', path = 'in', follow = true")
    running = leat.start("run", "p.sql")
    home = Home(leat.folder / "p.leat")

    def came(*numbers):
        running.wait_until(lambda: home.count("plain") is not None and sorted(
            row["v"] for row in home.rows("plain")) == list(numbers), f"{numbers}")
    (folder / ".a").write_text('[{"v":1},{"v":2}]\n')
    (folder / ".a").rename(folder / "a")
    came(1, 2)
    with open(folder / "b", "w", buffering=1) as file:
        print('[{"v":3},\n{"v":4}', file=file)
        came(1, 2, 3)
        print(',{"v":5}]', file=file)
        came(1, 2, 3, 4, 5)
    assert running.terminate().status == 0
    assert home.count("dead_letters") == 0


def test_it_cannot_be_written(leat):
    for connector in ("connector = 'file', path = 'o'",
                      "connector = 'kafka', topic = 'o', \"bootstrap.servers\" = 'x:1'"):
        leat.write("p.sql", "CREATE TABLE t (v int) WITH (connector = 'file', path = 'in');\n"
                   f"CREATE TABLE o (v int) WITH ({connector}, format = 'json_array');\n"
                   "INSERT INTO o SELECT v FROM t;")
        ended = leat.run("check", "p.sql")
        assert ended.status == 2 and "leave format out" in ended.err, ended


@pytest.fixture
def topic(kafka, request):
    return kafka.create_topic(re.sub(r"\W+", "-", request.node.name), 2)


def test_messages(leat, kafka, topic):
    """Several rows at one offset: each once, whatever the batches, killed at every epoch."""
    messages, expected = [], []
    for offset in range(40):
        numbers = [offset * 100 + i for i in range(offset % 7)]
        expected += [(n, offset // 2) for n in numbers]
        elements = [json.dumps({"v": n}) for n in numbers]
        if offset % 5 == 0:
            elements.insert(len(elements) // 2, '{"v":"bad"}')
        messages.append((offset % 2, "[" + ", ".join(elements) + "]"))
    messages += [(0, '{"v":1}'), (1, "[")]
    kafka.produce(topic, messages)
    leat.write("p.sql", SQL % f"connector = 'kafka', topic = '{topic}', "
                              f"\"bootstrap.servers\" = '{kafka.bootstrap}'")
    home = Home(leat.folder / "p.leat")
    kills = 0
    while (home.count("plain") or 0) < len(expected) or home.count("dead_letters") < 10:
        running = leat.start("run", "p.sql", env={
            "LEAT_BATCH_ROWS": 2, "LEAT_EPOCH_ROWS": 3, "LEAT_KILL_AT_EPOCH": 1 + kills % 3})
        running.wait_until(lambda: not running.alive() or (
            home.count("plain") == len(expected) and home.count("dead_letters") == 10), "rows")
        running.kill()
        kills += 1
    assert kills > 5
    assert sorted((row["v"], row["offset_of"]) for row in home.rows("plain")) == sorted(expected)
    assert home.rows("total") == [{"n": len(expected), "v": sum(n for n, _ in expected)}]
    reasons = {row["reason"].split(": ", 1)[1] for row in home.rows("dead_letters")}
    assert reasons == {"field v: expected whole number, got string",
                       "expected one JSON array of objects, got object outside of it",
                       "not JSON: the array ends without ]"}
