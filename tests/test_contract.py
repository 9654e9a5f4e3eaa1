"""Promises of the contract that need a running program: what stops it, what it finds when it starts
again, and what it may cost meanwhile."""
import array
import fcntl
import os
import signal
import subprocess
import termios

import pytest

from support.process import BINARY, wait_until
from support.rows import Home, assert_same, parse

HEAD = "SET http = 'off';\n"
TICKING = "CREATE TABLE ticks (eventId text) WITH (connector = 'generator', rate = 50);\n" \
          "CREATE MATERIALIZED VIEW ticking AS SELECT count(*) AS n FROM ticks;\n"


def held(pipe):
    size = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


def rows(*values):
    return [parse(value) for value in values]


def test_files_that_come_later_move_nothing(leat):
    """A file keeps its number: a view's rows are known by it."""
    leat.write("in/b.ndjson", '{"k": "b0"}\n{"k": "b1"}\n')
    leat.write("pipeline.sql", HEAD + TICKING + """
CREATE TABLE s (k text, n int GENERATED ALWAYS AS (metadata('partition')) STORED)
WITH (connector = 'file', path = 'in');
CREATE MATERIALIZED VIEW plain AS SELECT k, n FROM s;""")
    home = Home(leat.folder / "pipeline.leat")
    running = leat.start("run", "pipeline.sql")
    running.wait_until(lambda: home.count("plain") == 2, "two rows")
    assert running.terminate().status == 0
    leat.write("in/a.ndjson", '{"k": "a0"}\n{"k": "a1"}\n')
    running = leat.start("run", "pipeline.sql")
    running.wait_until(lambda: home.count("plain") == 4, "four rows")
    assert running.terminate().status == 0
    (leat.folder / "in/b.ndjson").unlink()
    leat.write("in/c.ndjson", '{"k": "c0"}\n')
    running = leat.start("run", "pipeline.sql")
    running.wait_until(lambda: home.count("plain") == 5, "five rows")
    assert running.terminate().status == 0
    assert_same(rows('{"k": "b0", "n": 0}', '{"k": "b1", "n": 0}', '{"k": "a0", "n": 1}',
                     '{"k": "a1", "n": 1}', '{"k": "c0", "n": 2}'), home.rows("plain"), "plain")


def test_stopped_while_standard_output_is_not_read(leat):
    leat.write("pipeline.sql", HEAD + """
CREATE TABLE ticks (eventId text) WITH (connector = 'generator', rate = 100000);
CREATE TABLE out (eventId text) WITH (connector = 'file', path = '-');
INSERT INTO out SELECT eventId FROM ticks;""")
    read, write = os.pipe()
    with open(leat.folder / "err", "wb") as err:
        process = subprocess.Popen([BINARY, "run", "pipeline.sql"], cwd=leat.folder, stdout=write,
                                   stderr=err)
    try:
        os.close(write)
        wait_until(lambda: (leat.folder / "pipeline.leat").exists(), "a home")
        full = fcntl.fcntl(read, 1032)              # F_GETPIPE_SZ
        wait_until(lambda: held(read) >= full - 4096, "a full pipe")
        process.send_signal(signal.SIGTERM)
        assert process.wait(12) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)


def test_finished_queries_stay_as_they_are(leat):
    """A query added to a finished pipeline runs to its end, killed or not; the others are over."""
    base = HEAD + """
CREATE TABLE s (k text, v int) WITH (connector = 'file', path = 'in.ndjson');
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS n FROM s GROUP BY k;
CREATE MATERIALIZED VIEW total AS SELECT sum(v) AS v FROM s;
CREATE TABLE out (k text) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k FROM s;
"""
    lines = [f'{{"k": "{"ab"[i % 2]}", "v": {i}}}\n' for i in range(40)]
    leat.write("in.ndjson", "".join(lines))
    leat.write("p.sql", base)
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    with open(leat.folder / "in.ndjson", "a") as file:
        file.write("".join(lines))
    leat.write("p.sql", base + "CREATE MATERIALIZED VIEW late_comer AS SELECT v FROM s;\n")
    ended = leat.run("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": 10,
                                          "LEAT_BATCH_ROWS": 5})
    assert ended.status == -9 and home.count("late_comer") < 40
    leat.ok("run", "p.sql")
    assert home.count("late_comer") == 40
    assert_same(rows('{"k": "a", "n": 20}', '{"k": "b", "n": 20}'), home.rows("per_k"), "per_k")
    assert_same(rows('{"v": 780}'), home.rows("total"), "total")
    assert len(leat.read("out.ndjson")) == 40
    assert "finished" in leat.ok("run", "p.sql").err


def test_many_files_side_by_side(leat):
    """Neither memory nor open files grow with their number; what was read before is not read again."""
    for i in range(300):
        line = f'{{"k": {i % 7}, "t": "2020-01-01T00:00:{i % 60:02d}Z"}}\n'
        leat.write(f"in/{i:03d}.ndjson", line * 8000)
    leat.write("p.sql", HEAD + """
CREATE TABLE s (k int, t timestamptz) WITH (connector = 'file', path = 'in', event_time = 't');
CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM s;""")
    home = Home(leat.folder / "p.leat")
    environment = leat.environment({"LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": 1000000})
    script = f"ulimit -n 128; exec {BINARY} run p.sql"
    killed = subprocess.run(["sh", "-c", script], cwd=leat.folder, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    process = subprocess.Popen(["sh", "-c", script], cwd=leat.folder, env=leat.environment({}))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    if b"__asan_init" not in BINARY.read_bytes():   # it keeps what was freed
        assert used.ru_maxrss < 150_000, f"{used.ru_maxrss} KB"
    assert home.rows("m") == [{"n": 2400000}]


def test_many_files_in_order(leat):
    for i in range(2000):
        leat.write(f"in/{i:04d}.csv", f"n,m\n{i},{i % 10}\n")
    leat.write("p.sql", HEAD + """
CREATE TABLE s (n int, m int, f text GENERATED ALWAYS AS (metadata('filename')) STORED)
WITH (connector = 'file', path = 'in', format = 'csv', order = 'name');
CREATE TABLE out (n int, f text) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT n, f FROM s;""")
    ended = leat.run("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 3, "LEAT_EPOCH_ROWS": 100})
    assert ended.status == -9
    leat.ok("run", "p.sql", seconds=20)
    assert leat.read("out.ndjson") == [{"n": i, "f": f"in/{i:04d}.csv"} for i in range(2000)]


@pytest.mark.parametrize("result", ["view", "sink"])
def test_limit_on_the_size_of_files(leat, result):
    """As a full disk: a clear failure, and nothing is lost once the cause is gone."""
    leat.write("in.ndjson", "".join(f'{{"n": {i}, "k": "{i:0100d}"}}\n' for i in range(20000)))
    made = {"view": "CREATE MATERIALIZED VIEW m AS SELECT n, k FROM s;",
            "sink": "CREATE TABLE o (n int, k text) WITH (connector = 'file', path = 'o.ndjson');\n"
                    "INSERT INTO o SELECT n, k FROM s;"}[result]
    leat.write("p.sql", HEAD + "CREATE TABLE s (n int, k text)\n"
               "WITH (connector = 'file', path = 'in.ndjson');\n" + made)
    with open(leat.folder / "err", "wb") as err:
        process = subprocess.Popen(["sh", "-c", f"ulimit -f 1000; exec {BINARY} run p.sql"],
                                   cwd=leat.folder, stderr=err, env=leat.environment({}))
    try:
        def told():
            text = (leat.folder / "err").read_text()
            return "trying again" in text or "error" in text
        wait_until(told, "a message")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in (0, 1), (leat.folder / "err").read_text()
    finally:
        process.kill()
        process.wait()
    leat.ok("run", "p.sql")
    found = Home(leat.folder / "p.leat").rows("m") if result == "view" else leat.read("o.ndjson")
    assert sorted(row["n"] for row in found) == list(range(20000))


def test_retention_is_exact_at_the_end(leat):
    leat.write("in.ndjson", "".join(
        f'{{"n": {i}, "t": "2020-01-0{1 + i // 1440}T{i // 60 % 24:02d}:{i % 60:02d}:00Z"}}\n'
        for i in range(4000)))
    leat.write("p.sql", HEAD + """
CREATE TABLE s (n int, t timestamptz)
WITH (connector = 'file', path = 'in.ndjson', event_time = 't');
CREATE MATERIALIZED VIEW plain AS SELECT n FROM s;
CREATE MATERIALIZED VIEW hours WITH (retention = '1 day') AS SELECT window_end, count(*) AS n
FROM tumble(s, t, INTERVAL '1 hour') GROUP BY window_end;""")
    leat.ok("run", "p.sql", env={"LEAT_BATCH_ROWS": 7})
    home = Home(leat.folder / "p.leat")
    assert sorted(row["n"] for row in home.rows("plain")) == list(range(3999 - 1440, 4000))
    assert min(row["window_end"] for row in home.rows("hours")) == "2020-01-02T19:00:00Z"


@pytest.mark.parametrize("path, verb", [("in.ndjson", "reads"), ("out.ndjson", "writes")])
def test_a_file_is_written_by_one_table(leat, path, verb):
    leat.write("in.ndjson", '{"k": "a"}\n')
    leat.write("p.sql", HEAD + f"""
CREATE TABLE s (k text) WITH (connector = 'file', path = 'in.ndjson');
CREATE TABLE o (k text) WITH (connector = 'file', path = 'out.ndjson');
CREATE TABLE p (k text) WITH (connector = 'file', path = '{path}', overwrite = true);
INSERT INTO o SELECT k FROM s;
INSERT INTO p SELECT k FROM s;""")
    ended = leat.run("run", "p.sql")
    assert ended.status == 2 and verb in ended.err, ended
    assert leat.read("in.ndjson") == [{"k": "a"}]


def test_several_queries_are_reset_one_by_one(leat):
    """Whichever is reset first is forgotten, though the run still refuses for the other."""
    leat.write("in.ndjson", '{"k": "a"}\n')
    table = HEAD + "CREATE TABLE s (k text) WITH (connector = 'file', path = 'in.ndjson');\n"
    view = "CREATE MATERIALIZED VIEW {} AS SELECT k FROM s;\n"
    leat.write("p.sql", table + "".join(map(view.format, "abc")))
    leat.ok("run", "p.sql")
    leat.write("p.sql", table + view.format("b"))
    ended = leat.run("run", "p.sql", "--reset", "c")
    assert ended.status == 1 and "'a'" in ended.err, ended
    leat.ok("run", "p.sql", "--reset", "a")
    home = Home(leat.folder / "p.leat")
    assert [home.count(name) for name in "abc"] == [None, 1, None]


# ---- leat sql ----

def test_filter_columns_of_several_files(leat):
    """Columns are those of the first 1,000 records, whatever file they are in."""
    leat.write("one.ndjson", '{"k": 1}\n')
    leat.write("two.ndjson", '{"k": 2.5, "w": 1}\n')
    ended = leat.ok("sql", "SELECT k, w FROM input ORDER BY k", "one.ndjson", "two.ndjson")
    assert ended.out == '{"k":1,"w":null}\n{"k":2.5,"w":1}\n', ended
    leat.write("one.csv", "n,m\n1,\n")
    leat.write("two.csv", "m,n\nx,2\n")
    ended = leat.ok("sql", "SELECT n, m FROM input ORDER BY n", "one.csv", "two.csv")
    assert ended.out == '{"n":1,"m":null}\n{"n":2,"m":"x"}\n', ended
    ended = leat.run("sql", "SELECT * FROM input", "one.csv", "one.ndjson")
    assert ended.status == 2 and "one.ndjson" in ended.err and not ended.out, ended


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_filter_of_nothing(leat, content):
    assert leat.ok("sql", "SELECT count(*) AS n FROM input", stdin=content).out == '{"n":0}\n'
    ended = leat.run("sql", "SELECT a FROM input", stdin=content)
    assert ended.status == 2 and ended.err.startswith("query:1:8: error:"), ended


def test_filter_of_no_records(leat):
    ended = leat.run("sql", "SELECT count(*) AS n FROM input", stdin="hello\n")
    assert ended.status in (1, 2) and ended.err, ended
