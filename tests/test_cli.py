"""The command line: verbs, exit statuses, errors with their places, and the life of a home."""
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

from support.process import BINARY
from support.rows import Home, assert_same

VERBS = ["run", "check", "explain", "sql", "generate", "verify", "version"]

EVENTS = """CREATE TABLE events (k text, v int, t timestamptz)
WITH (connector = 'file', path = 'events.ndjson', event_time = 't');
"""
SIMPLE = "SET http = 'off';\n" + EVENTS + """
CREATE MATERIALIZED VIEW per_k AS SELECT k, window_start, sum(v) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start;
CREATE MATERIALIZED VIEW plain AS SELECT k, v FROM events WHERE v > 0;
CREATE TABLE out (k text, v int) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT k, v * 10 FROM events;
"""


def event(k, v, second):
    return {"k": k, "v": v, "t": f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:"
                                 f"{second % 60:02d}Z"}


def simple(leat, count=30, sql=SIMPLE):
    leat.write("events.ndjson", [event("abc"[i % 3], i, i) for i in range(count)])
    leat.write("p.sql", sql)
    return Home(leat.folder / "p.leat")


# ---- verbs ----

def test_no_verb(leat):
    ended = leat.run()
    assert ended.status == 2 and ended.out == ""
    assert all(verb in ended.err for verb in VERBS), ended


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(leat, option):
    ended = leat.ok(option)
    assert all(verb in ended.out for verb in VERBS) and ended.err == "", ended


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(leat, verb):
    ended = leat.ok(verb, "-h")
    assert verb in ended.out and ended.err == "", ended


def test_version(leat):
    assert re.search(r"\d+\.\d+\.\d+", leat.ok("version").out)


@pytest.mark.parametrize("arguments,words", [
    (["frobnicate"], "frobnicate"), (["run"], "FILE"), (["check"], "FILE"),
    (["run", "--frob", "p.sql"], "--frob"), (["run", "missing.sql"], "missing.sql"),
    (["check", "missing.sql"], "missing.sql"), (["sql"], ""), (["generate", "--events", "many"], "many"),
    (["generate", "--frob"], "--frob"), (["verify"], "--ledger"),
    (["sql", "SELECT 1 FROM input", "missing.ndjson"], "missing.ndjson"),
])
def test_wrong_usage(leat, arguments, words):
    ended = leat.run(*arguments)
    assert ended.status == 2, ended
    assert words in ended.err and ended.out == "", ended


# ---- check and explain ----

def test_check(leat):
    """Contacts nothing: neither the source nor the broker is there."""
    leat.write("p.sql", SIMPLE + """
CREATE TABLE k (a text) WITH (connector = 'kafka', topic = 'x', "bootstrap.servers" = '127.0.0.1:1');
CREATE MATERIALIZED VIEW far AS SELECT a FROM k;""")
    assert leat.ok("check", "p.sql").status == 0
    assert sorted(p.name for p in leat.folder.iterdir()) == ["p.sql"]


def test_explain(leat):
    leat.write("p.sql", SIMPLE + """
CREATE VIEW clean WITH (horizon = '5 minutes') AS SELECT DISTINCT ON (k) * FROM events;
CREATE MATERIALIZED VIEW grows AS SELECT k, count(*) AS n FROM clean GROUP BY k;""")
    out = leat.ok("explain", "p.sql").out
    for word in ("per_k", "plain", "out", "clean", "grows", "events", "by length", "5 minutes"):
        assert word in out, f"{word} is missing in\n{out}"
    assert sorted(p.name for p in leat.folder.iterdir()) == ["p.sql"]


TABLE = "CREATE TABLE e (id int, s text, t timestamptz, d jsonb) WITH (connector = 'file', " \
        "path = 'e', event_time = 't');\n"
VIEW = TABLE + "CREATE MATERIALIZED VIEW v AS "

def kafka(source="", sink=""):
    """A topic into a topic, with properties."""
    table = "CREATE TABLE %s (x int) WITH (connector = 'kafka', topic = 't', \"bootstrap.servers\" = 'h:1'%s);\n"
    return (table % ("a", source) + (table % ("b", sink)).replace("'t'", "'u'") +
            "INSERT INTO b SELECT x FROM a;")


MISTAKES = {
    # name: (sql, line, column or None, words in the message)
    "syntax": (VIEW + "SELEC id FROM e;", 2, 31, ["SELEC"]),
    "unknown column": (VIEW + "SELECT idd FROM e;", 2, 38, ["idd", "id"]),
    "unknown table": (VIEW + "SELECT id FROM ee;", 2, 46, ["ee", "e"]),
    "unknown function": (VIEW + "SELECT uper(s) FROM e;", 2, 38, ["uper", "upper"]),
    "wrong argument": (VIEW + "SELECT upper(id) FROM e;", 2, 38, ["upper"]),
    "operator": (VIEW + "SELECT s + 1 FROM e;", 2, None, ["+"]),
    "literal": (VIEW + "SELECT id FROM e WHERE id = 'x';", 2, None, ["x"]),
    "where no boolean": (VIEW + "SELECT id FROM e WHERE id;", 2, None, ["boolean"]),
    "not grouped": (VIEW + "SELECT id, s, count(*) FROM e GROUP BY id;", 2, 42, ["s"]),
    "aggregate in where": (VIEW + "SELECT id FROM e WHERE count(*) > 1;", 2, None, ["aggregate", "HAVING"]),
    "connector": ("CREATE TABLE x (a int) WITH (connector = 'kafak');", 1, None, ["kafak", "kafka"]),
    "no connector": ("CREATE TABLE x (a int);", 1, None, ["connector"]),
    "option": ("CREATE TABLE x (a int) WITH (connector = 'kafka', toppic = 'y');", 1, None,
               ["toppic", "topic"]),
    "option value": (TABLE.replace("event_time = 't'", "header = 'perhaps'"), 1, None, ["header"]),
    "option missing": ("CREATE TABLE x (a int) WITH (connector = 'file');\n"
                       "CREATE MATERIALIZED VIEW v AS SELECT a FROM x;", None, None, ["path"]),
    "interval": (TABLE.replace("path = 'e'", "path = 'e', watermark_delay = 'soon'"), 1, None,
                 ["soon"]),
    "event_time names nothing": (TABLE.replace("= 't'", "= 'tt'"), 1, None, ["tt"]),
    "event_time is no time": (TABLE.replace("= 't'", "= 's'"), 1, None, ["timestamptz"]),
    "setting": ("SET checkpont_interval = '1 s';", 1, None, ["checkpont", "checkpoint_interval"]),
    "setting value": ("SET checkpoint_interval = 'often';", 1, None, ["often"]),
    "table twice": (TABLE + TABLE, 2, None, ["e"]),
    "read and written": (TABLE + "INSERT INTO e SELECT * FROM e;", 2, None, ["e"]),
    "insert: too many": (TABLE + "CREATE TABLE o (a int) WITH (connector = 'file', path = 'o');\n"
                         "INSERT INTO o SELECT id, s FROM e;", 3, None, ["o"]),
    "insert: type": (TABLE + "CREATE TABLE o (a int) WITH (connector = 'file', path = 'o');\n"
                     "INSERT INTO o SELECT d FROM e;", 3, None, ["integer", "jsonb"]),
    "file sink with key": (TABLE + "CREATE TABLE o (a int PRIMARY KEY) WITH (connector = 'file', "
                           "path = 'o');\nINSERT INTO o SELECT id FROM e;", None, None,
                           ["PRIMARY KEY"]),
    "interval unit as alias": (VIEW + "SELECT window_start FROM tumble(e, t, INTERVAL '10' MINUTES) "
                               "GROUP BY window_start;", 2, None, ["MINUTES"]),
    "emit as alias": (VIEW + "SELECT id FROM e EMIT;", 2, None, ["EMIT"]),
    "distinct": (VIEW + "SELECT DISTINCT s FROM e;", 2, None, ["DISTINCT ON"]),
    "distinct on with order": (VIEW + "SELECT DISTINCT ON (id) * FROM e ORDER BY id;", 2, None,
                               ["ORDER BY"]),
    "distinct on without time": ("CREATE TABLE x (a int) WITH (connector = 'file', path = 'x');\n"
                                 "CREATE VIEW v AS SELECT DISTINCT ON (a) * FROM x;\n"
                                 "CREATE MATERIALIZED VIEW m AS SELECT a FROM v;", None, None,
                                 ["event_time"]),
    "order by": (VIEW + "SELECT id FROM e ORDER BY id;", 2, None, ["ORDER BY"]),
    "limit": (VIEW + "SELECT id FROM e LIMIT 5;", 2, None, ["LIMIT"]),
    "offset": (VIEW + "SELECT id FROM e OFFSET 5;", 2, None, ["OFFSET"]),
    "over": (VIEW + "SELECT count(*) OVER () FROM e;", 2, None, ["OVER"]),
    "union": (VIEW + "SELECT id FROM e UNION SELECT id FROM e;", 2, None, ["UNION ALL"]),
    "except": (VIEW + "SELECT id FROM e EXCEPT SELECT id FROM e;", 2, None, ["EXCEPT"]),
    "union widths": (VIEW + "SELECT id FROM e UNION ALL SELECT id, s FROM e;", 2, None, []),
    "subquery in where": (VIEW + "SELECT id FROM e WHERE id IN (SELECT id FROM e);", 2, None, []),
    "recursive": (VIEW + "WITH RECURSIVE r AS (SELECT id FROM e) SELECT id FROM r;", 2, None,
                  ["RECURSIVE"]),
    "cross join": (VIEW + "SELECT a.id FROM e a, e b;", 2, None, []),
    "full join": (TABLE + "CREATE TABLE r (id int PRIMARY KEY) WITH (connector = 'file', path = 'r');\n"
                  "CREATE MATERIALIZED VIEW v AS SELECT e.id FROM e FULL JOIN r ON r.id = e.id;", 3,
                  None, ["FULL"]),
    "reference without key": (TABLE + "CREATE TABLE r (id int) WITH (connector = 'file', path = 'r');\n"
                              "CREATE MATERIALIZED VIEW v AS SELECT e.id FROM e JOIN r ON r.id = e.id;",
                              None, None, ["PRIMARY KEY"]),
    "reference not by key": (TABLE + "CREATE TABLE r (id int PRIMARY KEY, s text) WITH "
                             "(connector = 'file', path = 'r');\nCREATE MATERIALIZED VIEW v AS "
                             "SELECT e.id FROM e JOIN r ON r.s = e.s;", None, None, ["id"]),
    "window without time": ("CREATE TABLE x (a int) WITH (connector = 'file', path = 'x');\n"
                            "CREATE MATERIALIZED VIEW v AS SELECT window_start FROM tumble(x, a, "
                            "INTERVAL '1 minute') GROUP BY window_start;", 2, None, ["event_time"]),
    "window over another column": (VIEW + "SELECT window_start FROM tumble(e, id, "
                                   "INTERVAL '1 minute') GROUP BY window_start;", 2, None, ["t"]),
    "window of size 0": (VIEW + "SELECT window_start FROM tumble(e, t, INTERVAL '0 s') "
                         "GROUP BY window_start;", 2, None, []),
    "window of a month": (VIEW + "SELECT window_start FROM tumble(e, t, INTERVAL '1 month') "
                          "GROUP BY window_start;", 2, None, ["month"]),
    "session without its column": (VIEW + "SELECT window_start, count(*) FROM session(e, t, "
                                   "INTERVAL '1 m', partition_by => s) GROUP BY window_start;", 2,
                                   None, ["s"]),
    "option of a view": (TABLE + "CREATE MATERIALIZED VIEW v WITH (retentoin = '1 day') AS "
                         "SELECT id FROM e;", 2, None, ["retentoin", "retention"]),
    "update": (TABLE + "UPDATE e SET id = 1;", 2, 1, ["UPDATE"]),
    "drop": (TABLE + "DROP TABLE e;", 2, 1, ["DROP"]),
    "select alone": (TABLE + "SELECT id FROM e;", 2, 1, []),
    "parameter": (VIEW + "SELECT $1 FROM e;", 2, None, []),
    "environment": ("CREATE TABLE x (a int) WITH (connector = 'file', path = '${NO_SUCH_NAME}');", 1,
                    None, ["NO_SUCH_NAME"]),
    "secret file": ("CREATE TABLE x (a int) WITH (connector = 'kafka', topic = 't', "
                    "\"bootstrap.servers\" = 'h', \"sasl.password\" = '${file:no/such}');", 1, None,
                    ["no/such"]),
    "kafka: group of a sink": (kafka(sink=', "group.id" = \'g\''), 2, 93,
                               ['"group.id" is for sources', "take it away"]),
    "kafka: transactions of a source": (kafka(', "transactional.id" = \'x\''), 1, 93,
                                        ['"transactional.id" is for sinks', "take it away"]),
    "kafka: acks of an exactly-once sink": (kafka(sink=', "acks" = 1'), 2, 93,
                                            ["acks", "delivery = 'at_least_once'"]),
    "kafka: a reset that is settled": (kafka(', "auto.offset.reset" = \'latest\''), 1, 93,
                                       ["option start", "on_gap"]),
    "kafka: a mistyped property": (kafka().replace("p.servers", "p.server"), 1, 64,
                                   ['did you mean "bootstrap.servers"?']),
    "two spellings": ('CREATE TABLE x ("Id" int, "id" int) WITH (connector = \'file\', path = \'x\');\n'
                      "CREATE MATERIALIZED VIEW v AS SELECT ID FROM x;", 2, 38, ["quot"]),
    "ambiguous": (TABLE + "CREATE TABLE r (id int PRIMARY KEY) WITH (connector = 'file', path = 'r');\n"
                  "CREATE MATERIALIZED VIEW v AS SELECT id FROM e JOIN r ON r.id = e.id;", 3, None,
                  ["ambiguous"]),
    "type": ("CREATE TABLE x (a money) WITH (connector = 'file', path = 'x');", 1, None, ["money"]),
    "array column": ("CREATE TABLE x (a text[]) WITH (connector = 'file', path = 'x');", 1, None, []),
    "default": ("CREATE TABLE x (a int DEFAULT 5) WITH (connector = 'file', path = 'x');", 1, None,
                ["DEFAULT"]),
    "metadata": (VIEW.replace("d jsonb", "m text GENERATED ALWAYS AS (metadata('nothing')) STORED") +
                 "SELECT m FROM e;", None, None, ["metadata", "partition"]),
    # for the next release: refused by name
    "follow": (TABLE.replace("path = 'e'", "path = '-', follow = true"), None, None, ["follow"]),
    "state_ttl": (TABLE.replace(", event_time = 't'", "") +
                  "CREATE MATERIALIZED VIEW v WITH (state_ttl = '1 day') AS SELECT id, count(*) FROM e "
                  "GROUP BY id;", 2, 34, ["state_ttl", "event_time = 'column'"]),
    "unwindowed view read": (TABLE + "CREATE MATERIALIZED VIEW v AS SELECT id, count(*) AS n FROM e "
                             "GROUP BY id;\nCREATE MATERIALIZED VIEW w AS SELECT max(n) FROM v;", 3,
                             None, ["view v", "whose rows change", "not into a GROUP BY"]),
    "unwindowed view to a file": (TABLE + "CREATE MATERIALIZED VIEW v AS SELECT id, count(*) AS n FROM "
                                  "e GROUP BY id;\nCREATE TABLE o (id int, n bigint) WITH (connector "
                                  "= 'file', path = 'o');\nINSERT INTO o SELECT id, n FROM v;", 4, 1,
                                  ["view v", "PRIMARY KEY"]),
    "cumulate": (VIEW + "SELECT window_start FROM cumulate(e, t, INTERVAL '7 minutes', "
                 "INTERVAL '1 hour') GROUP BY window_start;", 2, None, ["size", "multiple of step"]),
    "postgres": ("CREATE TABLE x (a int) WITH (connector = 'postgres');", 1, None, ["postgres"]),
    "avro": (TABLE.replace("path = 'e'", "path = 'e', format = 'avro'"), 1, None, ["avro"]),
    "create function": ("CREATE FUNCTION f(a int) RETURNS int LANGUAGE http AS 'x';", 1, None,
                        ["FUNCTION"]),
    "percentile": (VIEW + "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM e;", 2, None,
                   ["WITHIN GROUP"]),
    "array_agg": (VIEW + "SELECT array_agg(id) FROM e;", 2, None, ["array_agg"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(leat, name):
    """FILE.sql:LINE:COLUMN: error: what is wrong; what to do; then the line with a caret."""
    sql, line, column, words = MISTAKES[name]
    leat.write("p.sql", "SET http = 'off';\n" + sql + "\n")
    ended = leat.run("check", "p.sql")
    assert ended.status == 2 and ended.out == "", ended
    found = re.search(r"^p\.sql:(\d+):(\d+): error: (.+)$", ended.err, re.M)
    assert found, ended
    at_line, at_column, message = int(found[1]) - 1, int(found[2]), found[3]
    assert line in (None, at_line), ended
    assert column in (None, at_column), ended
    for word in words:
        assert word.lower() in message.lower(), ended
    assert re.search(r"^ *\^", ended.err, re.M), f"no caret: {ended}"
    again = leat.run("run", "p.sql")
    assert again.status == 2, again
    assert not (leat.folder / "p.leat").exists()


def test_a_property_that_does_nothing_is_told(leat):
    """What harms nobody is a warning: configurations of other programs hold it."""
    leat.write("p.sql", kafka(', "session.timeout.ms" = 30000'))
    ended = leat.run("check", "p.sql")
    assert ended.status == 0, ended
    assert 'p.sql:1:93: warning: "session.timeout.ms" does nothing: Leat reads each partition by itself' in ended.err, ended


def test_mistakes_in_an_empty_file(leat):
    leat.write("p.sql", "-- nothing here\n")
    ended = leat.run("run", "p.sql")
    assert ended.status == 2 and "p.sql" in ended.err, ended


def test_environment_and_secrets(leat):
    leat.write("events.ndjson", [event("a", 1, 0)])
    leat.write("where", "events\n")
    leat.write("p.sql", SIMPLE.replace("'events.ndjson'", "'${file:where}.${ENDING:-ndjson}'")
               .replace("'out.ndjson'", "'${OUT}.ndjson'"))
    leat.ok("run", "p.sql", env={"OUT": "elsewhere"})
    assert leat.read("elsewhere.ndjson") == [{"k": "a", "v": 10}]


# ---- sql, a Unix filter ----

TYPES = '{"type":"TEMP","v":1}\n{"type":"CO2","v":2.5}\n{"type":"TEMP","v":4}\n'


def test_filter(leat):
    ended = leat.ok("sql", "SELECT type, count(*) FROM input GROUP BY type", stdin=TYPES)
    assert sorted(ended.out.splitlines()) == ['{"type":"CO2","count":1}', '{"type":"TEMP","count":2}']
    assert ended.err == ""
    assert not list(leat.folder.iterdir())


def test_filter_order_and_limit(leat):
    rows = [{"a": a, "b": b} for a, b in [(3, "x"), (1, None), (None, "y"), (2, "b"), (1, "a")]]
    leat.write("one.ndjson", rows[:2])
    leat.write("two.ndjson", rows[2:])
    files = ["one.ndjson", "two.ndjson"]

    def ask(sql):
        return [[*row.values()] for row in leat.ok("sql", sql, *files).rows()]
    assert ask("SELECT a, b FROM input ORDER BY a, b") == \
        [[1, "a"], [1, None], [2, "b"], [3, "x"], [None, "y"]]
    assert ask("SELECT a FROM input ORDER BY a DESC NULLS LAST LIMIT 2") == [[3], [2]]
    assert ask("SELECT a, count(*) AS n FROM input GROUP BY a ORDER BY n DESC, a LIMIT 2") == \
        [[1, 2], [2, 1]]
    assert ask("SELECT b FROM input ORDER BY a * 2 DESC LIMIT 3") == [["y"], ["x"], ["b"]]
    assert ask("SELECT count(*) FROM input LIMIT 0") == []


def test_filter_bad_records(leat):
    ended = leat.run("sql", "SELECT v FROM input", stdin="broken\n" + TYPES + '{"v":3\n')
    assert ended.status == 1
    assert [row["v"] for row in ended.rows()] == [1, 2.5, 4]
    assert "2 bad records" in ended.err, ended


def test_filter_types(leat):
    """Columns from the first records: integers bigint, else double, objects jsonb, else text."""
    leat.write("in.ndjson", '{"i":1,"d":1,"s":"1","b":true,"o":{"x":[1]},"t":"2026-01-01T00:00:00Z"}\n'
               '{"i":9223372036854775807,"d":1.5,"s":null,"b":false,"o":null,"t":null,"late":7}\n')
    rows = leat.ok("sql", "SELECT i + 0 AS i, d / 2 AS d, s || '!' AS s, b, o -> 'x' AS o, "
                   "t::timestamptz AS t, late FROM input", "in.ndjson").rows()
    assert rows == [{"i": 1, "d": 0.5, "s": "1!", "b": "true", "o": [1],
                     "t": "2026-01-01T00:00:00Z", "late": None},
                    {"i": 9223372036854775807, "d": 0.75, "s": None, "b": "false", "o": None,
                     "t": None, "late": 7}]


def test_filter_star_and_csv(leat):
    ended = leat.ok("sql", "SELECT * FROM input", stdin='{"Mixed":1,"b":"x"}\n')
    assert ended.out == '{"Mixed":1,"b":"x"}\n'


def test_filter_mistake(leat):
    ended = leat.run("sql", "SELECT nothing FROM input", stdin=TYPES)
    assert ended.status == 2 and "nothing" in ended.err and ended.out == "", ended


def test_filter_fails_row(leat):
    ended = leat.run("sql", "SELECT 1 / v AS x FROM input", stdin='{"v":1}\n{"v":0}\n')
    assert ended.status == 1 and ended.rows() == [{"x": 1}], ended


def test_filter_pipes_by_name(leat):
    """Looking at a pipe for its columns takes nothing out of it: <(zcat …) and named pipes."""
    os.mkfifo(leat.folder / "named")
    rows = "".join(f'{{"a":{i}}}\n' for i in range(20000))
    writer = threading.Thread(target=(leat.folder / "named").write_text, args=[rows])
    writer.start()
    ended = leat.ok("sql", "SELECT count(*) AS n, sum(a) AS s FROM input", "named", "/dev/stdin", stdin=rows)
    writer.join()
    assert ended.rows() == [{"n": 40000, "s": 2 * sum(range(20000))}]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(leat, closed):
    """Their numbers go to no home and no lock file."""
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE e (a int) WITH (connector = 'file', path = 'in.ndjson');
CREATE TABLE o (a int) WITH (connector = 'file', path = 'out.ndjson', overwrite = true);
CREATE TABLE s (a int) WITH (connector = 'file', path = '-');
CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM e;
INSERT INTO o SELECT a FROM e;
INSERT INTO s SELECT a FROM e;""")
    leat.write("in.ndjson", [{"a": i} for i in range(1000)])
    done = subprocess.run(f"{BINARY} run p.sql {closed}", shell=True, cwd=leat.folder, capture_output=True, timeout=60)
    assert done.returncode == (1 if ">&-" in closed.replace("2>&-", "") else 0), done
    assert re.fullmatch(r"[0-9a-f]{32} \d{19} \d{19} [0-9a-f]{16}\n", (leat.folder / "p.leat.lock").read_text())
    assert leat.run("run", "p.sql").status == 0
    assert Home(leat.folder / "p.leat").rows("v") == [{"n": 1000}]
    assert "is whole" in leat.ok("check-home", "p.sql").out
    assert len(leat.read("out.ndjson")) == 1000


@pytest.mark.parametrize("home", [":memory:", "file:x?mode=memory", "x y's", "-x"])
def test_odd_names_of_homes(leat, home):
    """SQLite would keep the first two in memory: nothing of it would be there at the next start."""
    leat.write("p.sql", f"""SET http = 'off'; SET home = 'sqlite:{home.replace("'", "''")}';
CREATE TABLE e (a int) WITH (connector = 'file', path = 'in.ndjson');
CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM e;""")
    leat.write("in.ndjson", [{"a": 1}])
    assert leat.run("run", "p.sql").status == 0
    assert (leat.folder / home).stat().st_size > 0
    assert "is finished" in leat.ok("run", "p.sql").err
    assert "is whole" in leat.ok("check-home", "p.sql").out


@pytest.mark.parametrize("arguments", ["version", "-h", "verify -h", "explain p.sql", "verify --json --ledger l --in g", "check-home p.sql"])
def test_what_cannot_be_told(leat, arguments):
    leat.write("p.sql", SIMPLE)
    leat.write("in.ndjson", [])
    leat.ok("generate", "--events", "3", "--ledger", "l", "--to", "g")
    leat.run("run", "p.sql")
    for target in ("> /dev/full", ">&-"):
        done = subprocess.run(f"{BINARY} {arguments} {target}", shell=True, cwd=leat.folder, capture_output=True, timeout=60)
        assert done.returncode == 1 and b"standard output could not be written" in done.stderr, done


def test_filter_stopped(leat):
    """Nothing comes of a count that was stopped; that is told, or it would look like an answer."""
    running = leat.start("sql", "SELECT count(*) FROM input", stdin=subprocess.PIPE)
    running.process.stdin.write(b'{"a":1}\n' * 200_000)
    running.process.stdin.flush()
    running.process.send_signal(signal.SIGINT)
    assert running.wait(20).status == 0
    assert "stopped" in running.err


@pytest.mark.parametrize("options", [["--start", "9999-12-31T23:59:59.9975Z"], ["--start", "0001-01-01", "--late", "1"]])
def test_generated_times_have_four_digits_of_a_year(leat, options):
    ended = leat.run("generate", "--events", "10", "--seed", "1", *options)
    assert ended.status == 1 and "choose another --start" in ended.err, ended


def test_a_pipe_without_a_writer(leat):
    """A run that waits for somebody to write can be stopped; what comes later is read."""
    os.mkfifo(leat.folder / "named")
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE e (a int) WITH (connector = 'file', path = 'named');
CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM e;""")
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: "made anew" in running.err, "the run begins")
    running.process.terminate()
    assert running.wait(20).status == 0
    running = leat.start("run", "p.sql")
    (leat.folder / "named").write_text('{"a":1}\n{"a":2}\n')
    assert running.wait().status == 0
    assert Home(leat.folder / "p.leat").rows("v") == [{"n": 2}]


def test_a_reference_table_from_a_slow_pipe(leat):
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE e (a int) WITH (connector = 'file', path = 'in.ndjson');
CREATE TABLE r (a int PRIMARY KEY, s text) WITH (connector = 'file', path = '-');
CREATE TABLE o (a int, s text) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO o SELECT e.a, r.s FROM e LEFT JOIN r ON r.a = e.a;""")
    leat.write("in.ndjson", [{"a": 1}, {"a": 2}])
    running = leat.start("run", "p.sql", stdin=subprocess.PIPE)
    running.wait_until(lambda: "made anew" in running.err, "the run begins")
    running.process.stdin.write(b'{"a":1,"s":"x"}\n')
    running.process.stdin.flush()
    running.process.stdin.write(b'{"a":2,"s":"y"}\n')
    running.process.stdin.close()
    assert running.wait().status == 0
    assert leat.read("out.ndjson") == [{"a": 1, "s": "x"}, {"a": 2, "s": "y"}]


@pytest.mark.parametrize("options, text", [
    ([], '{"a":1}\n{"a":2}\n'), (["--input-format", "csv"], "a\n1\n2\n"), (["--input-format", "json_array"], '[{"a":1},{"a":2}]'),
    ([], '{"a":1}\r\n\r\n{"a":2}')])
def test_filter_what_windows_writes(leat, options, text):
    """A byte order mark, and lines that end in CR LF."""
    leat.write("in", b"\xef\xbb\xbf" + text.encode())
    assert leat.ok("sql", *options, "SELECT * FROM input", "in").rows() == [{"a": 1}, {"a": 2}]


def test_filter_closed_pipe(leat):
    """`leat sql | head` ends without a cry."""
    leat.write("in.ndjson", "".join(f'{{"v":{i}}}\n' for i in range(200_000)))
    with subprocess.Popen([BINARY, "sql", "SELECT v FROM input", "in.ndjson"], cwd=leat.folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'{"v":0}\n'
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(30) in (0, 1, -signal.SIGPIPE)
    assert b"Sanitizer" not in err and len(err) < 500


# ---- runs and homes ----

def test_run_and_finished(leat):
    home = simple(leat)
    first = leat.ok("run", "p.sql")
    assert first.out == ""
    rows, file = home.rows("per_k"), leat.read("out.ndjson")
    assert len(rows) == 9 and len(file) == 30
    again = leat.ok("run", "p.sql")
    assert "finished" in again.err and again.out == "", again
    assert home.rows("per_k") == rows and leat.read("out.ndjson") == file


def test_home_is_an_ordinary_sqlite_file(leat):
    home = simple(leat)
    leat.ok("run", "p.sql")
    assert home.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    kinds = home.query("SELECT DISTINCT typeof(k) AS k, typeof(window_start) AS w, typeof(total) AS t "
                       "FROM per_k")
    assert kinds == [{"k": "text", "w": "text", "t": "integer"}]
    assert [c["name"] for c in home.query("PRAGMA table_info(per_k)")] == ["k", "window_start", "total"]
    assert [c["name"] for c in home.query("PRAGMA table_info(late_rows)")] == \
        ["query", "source", "partition", "position", "time", "reason", "record"]
    assert [c["name"] for c in home.query("PRAGMA table_info(dead_letters)")] == \
        ["query", "source", "partition", "position", "time", "reason", "record"]


def test_changed_query(leat):
    home = simple(leat)
    leat.ok("run", "p.sql")
    rows = home.rows("plain")
    leat.write("p.sql", SIMPLE.replace("v > 0", "v > 1"))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "plain" in ended.err and "--reset" in ended.err, ended
    assert home.rows("plain") == rows


def test_comments_and_spelling_change_nothing(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    leat.write("p.sql", "-- a comment\n" + SIMPLE.replace("SELECT k, v FROM", "select  K , V\nfrom"))
    ended = leat.run("run", "p.sql")
    assert ended.status == 0 and "finished" in ended.err, ended


def test_removed_query(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    leat.write("p.sql", re.sub(r"CREATE MATERIALIZED VIEW plain.*?;", "", SIMPLE, flags=re.S))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "plain" in ended.err, ended


def test_changed_table_option(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    leat.write("p.sql", SIMPLE.replace("event_time = 't'", "event_time = 't', watermark_delay = '1 s'"))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "--reset" in ended.err, ended


def test_changed_setting_is_no_changed_query(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    leat.write("p.sql", "SET checkpoint_interval = '2 seconds'; SET workers = 3;" + SIMPLE)
    assert "finished" in leat.ok("run", "p.sql").err


def test_reset(leat):
    """On a finished pipeline the reset query sees only what is new; the others stay."""
    home = simple(leat)
    leat.ok("run", "p.sql")
    per_k = home.rows("per_k")
    with open(leat.folder / "events.ndjson", "a") as file:
        file.write(json.dumps(event("new", 500, 100)) + "\n")
    changed = SIMPLE.replace("v > 0", "v > 1")
    leat.write("p.sql", changed)
    ended = leat.ok("run", "--reset", "plain", "p.sql")
    assert "plain" in ended.err, ended
    assert home.rows("plain") == [{"k": "new", "v": 500}]
    assert home.rows("per_k") == per_k


def test_reset_of_nothing(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    ended = leat.run("run", "--reset", "nothing", "p.sql")
    assert ended.status in (1, 2) and "nothing" in ended.err, ended


def test_fresh(leat):
    home = simple(leat)
    leat.ok("run", "p.sql")
    rows = home.rows("per_k")
    for number in (1, 2):
        (leat.folder / "out.ndjson").unlink()
        ended = leat.ok("run", "--fresh", "p.sql")
        assert f"p.leat.{number}" in ended.err, ended
        assert_same(rows, home.rows("per_k"), "per_k")
        assert_same(rows, Home(leat.folder / f"p.leat.{number}").rows("per_k"), "the old home")


STDIN = """SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (k text, v int) WITH (connector = 'file', path = '-');
CREATE MATERIALIZED VIEW plain AS SELECT k, v FROM events;
CREATE MATERIALIZED VIEW total AS SELECT sum(v) AS total FROM events;
"""


def test_second_run_on_one_home(leat):
    leat.write("p.sql", STDIN)
    first = leat.start("run", "p.sql", stdin=subprocess.PIPE)
    first.process.stdin.write(b'{"k":"a","v":1}\n')
    first.process.stdin.flush()
    home = Home(leat.folder / "p.leat")
    first.wait_until(lambda: home.count("plain") == 1, "the row is committed")
    second = leat.run("run", "p.sql")
    assert second.status == 1 and "p.leat" in second.err, second
    fresh = leat.run("run", "--fresh", "p.sql")
    assert fresh.status == 1, fresh
    first.process.stdin.close()
    assert first.wait().status == 0
    assert home.rows("total") == [{"total": 1}]


def test_counts_told_are_kept(leat, http):
    """What the dashboard has shown of a query's counts is in the home with the epoch all the same."""
    leat.write("p.sql", STDIN.replace("SET http = 'off'; ", "").replace("20 milliseconds", "1 hour"))
    running = leat.start("run", "p.sql", stdin=subprocess.PIPE)
    running.process.stdin.write(b'{"k":"a","v":1}\n{"k":"b","v":2}\n')
    running.process.stdin.flush()
    found = running.wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+", running.err),
                               "the address is printed")

    def told():
        queries = json.loads(http(found[0] + "/v1/pipeline").text)["queries"]
        return all(source["in"] == 2 for query in queries for source in query["sources"])
    running.wait_until(told, "both queries are told to have two rows")
    running.process.stdin.close()
    assert running.wait().status == 0
    counts = Home(leat.folder / "p.leat").query("SELECT query, count FROM leat_counts WHERE kind = 'in'")
    assert counts == [{"query": "plain", "count": 2}, {"query": "total", "count": 2}]


def test_stdin_again_after_a_kill(leat):
    """What is piped in after a restart are the same bytes; those counted are skipped."""
    data = b"".join(json.dumps({"k": "x", "v": i}).encode() + b"\n" for i in range(100))
    leat.write("p.sql", STDIN)
    first = leat.start("run", "p.sql", stdin=subprocess.PIPE)
    first.process.stdin.write(data[:len(data) // 2])
    first.process.stdin.flush()
    home = Home(leat.folder / "p.leat")
    first.wait_until(lambda: (home.count("plain") or 0) > 40, "half is committed")
    first.kill()
    leat.ok("run", "p.sql", stdin=data)
    assert sorted(row["v"] for row in home.rows("plain")) == list(range(100))
    assert home.rows("total") == [{"total": 4950}]


def test_stdout_sink(leat):
    """Data to standard output, logs to standard error, never mixed."""
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (k text, v int) WITH (connector = 'file', path = '-');
CREATE TABLE out (k text, doubled bigint) WITH (connector = 'file', path = '-');
INSERT INTO out SELECT k, v * 2 FROM events WHERE k IS NOT NULL;""")
    ended = leat.ok("run", "p.sql", stdin='{"k":"a","v":1}\nbad\n{"v":2}\n{"k":"b","v":null}\n')
    assert ended.out == '{"k":"a","doubled":2}\n{"k":"b","doubled":null}\n'


def test_home_of_another_pipeline(leat):
    simple(leat)
    leat.ok("run", "p.sql")
    leat.write("q.sql", "SET home = 'sqlite:p.leat';" + SIMPLE)
    ended = leat.run("run", "q.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended


def test_home_that_is_none(leat):
    simple(leat)
    leat.write("p.leat", "this is no database, but long enough to look like one\n" * 100)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended
    assert (leat.folder / "p.leat").read_text().startswith("this is no database")


def test_home_of_another_tool(leat):
    simple(leat)
    with sqlite3.connect(leat.folder / "p.leat") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended


def test_pipeline_name(leat):
    simple(leat, sql="SET pipeline = 'other';" + SIMPLE)
    leat.ok("run", "p.sql")
    assert Home(leat.folder / "other.leat").count("plain") == 29


KILL = {"LEAT_EPOCH_ROWS": 5, "LEAT_BATCH_ROWS": 5}


def killed_midway(leat):
    home = simple(leat)
    ended = leat.run("run", "p.sql", env={**KILL, "LEAT_KILL_AT_EPOCH": 2})
    assert ended.status == -9, ended
    return home


def test_older_copy_of_a_home(leat):
    """The lock file knows the last epoch: an older copy under the same id is refused."""
    home = killed_midway(leat)
    for path in leat.folder.glob("p.leat*"):
        if not path.name.endswith("lock"):
            shutil.copy(path, leat.folder / f"copy.{path.name}")
    leat.ok("run", "p.sql")
    for path in leat.folder.glob("p.leat*"):
        if not path.name.endswith("lock"):
            path.unlink()
    for path in leat.folder.glob("copy.p.leat*"):
        path.rename(leat.folder / path.name.removeprefix("copy."))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended
    assert home.count("plain") < 29


def test_home_is_gone(leat):
    """Where no home file is, a new home is made, with a line that says so."""
    killed_midway(leat)
    for path in leat.folder.glob("p.leat*"):
        if not path.name.endswith("lock"):
            path.unlink()
    (leat.folder / "out.ndjson").unlink()
    ended = leat.ok("run", "p.sql")
    assert "p.leat: made anew" in ended.err, ended
    assert Home(leat.folder / "p.leat").count("plain") == 29


def tables_with_blobs(path):
    with sqlite3.connect(path) as home:
        tables = [r[0] for r in home.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = []
        for table in tables:
            columns = [r[1] for r in home.execute(f'PRAGMA table_info("{table}")')]
            if table.startswith("leat_") and "check" in columns and "data" in columns and \
                    home.execute(f'SELECT count(*) FROM "{table}" WHERE length(data) > 0').fetchone()[0]:
                found.append(table)
    home.close()
    return found


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_flipped_bit_in_state(leat, place):
    killed_midway(leat)
    path = leat.folder / "p.leat"
    tables = tables_with_blobs(path)
    assert tables, "no state with a checksum in the home"
    for table in tables:
        with sqlite3.connect(path) as home:
            for rowid, data in home.execute(f'SELECT rowid, data FROM "{table}"').fetchall():
                data = bytearray(data)
                at = {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[place]
                data[at] ^= 4
                home.execute(f'UPDATE "{table}" SET data = ? WHERE rowid = ?', (bytes(data), rowid))
        home.close()
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended
    assert "Sanitizer" not in ended.err


def test_changed_position(leat):
    """A position that does not match its checksum is not believed."""
    killed_midway(leat)
    with sqlite3.connect(leat.folder / "p.leat") as home:
        assert home.execute("UPDATE leat_positions SET position = position + 1").rowcount > 0
    home.close()
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "p.leat" in ended.err, ended


def test_home_cannot_be_made(leat):
    simple(leat, sql="SET home = 'sqlite:no/such/folder/p.leat';" + SIMPLE)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "no/such/folder" in ended.err, ended


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own; tmpfs needs root."""
    import os
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "leat", folder],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    yield folder, remount
    subprocess.run(["umount", "-l", folder], check=True)


DISK = "SET home = 'sqlite:disk/p.leat'; SET checkpoint_interval = '20 milliseconds';\n" + SIMPLE


def test_sql_into_a_full_device(leat):
    leat.write("in.ndjson", '{"a":1}\n')
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([BINARY, "sql", "SELECT a FROM input", "in.ndjson"], cwd=leat.folder, stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "could not be written" in ended.stderr, ended


def test_disk_full(leat, small_disk):
    """A commit that finds no room is tried again; nothing is lost once there is some."""
    folder, remount = small_disk
    simple(leat, 20_000, DISK)
    running = leat.start("run", "p.sql", env={"LEAT_EPOCH_ROWS": 500})
    running.wait_until(lambda: "disk" in running.err or "full" in running.err,
                       "the log says that the disk is full")
    remount("size=100m")
    assert running.wait().status == 0
    assert Home(folder / "p.leat").count("plain") == 19_999
    assert len(leat.read("out.ndjson")) == 20_000


def test_killed_while_the_disk_is_full(leat, small_disk):
    folder, remount = small_disk
    simple(leat, 20_000, DISK)
    running = leat.start("run", "p.sql", env={"LEAT_EPOCH_ROWS": 500})
    running.wait_until(lambda: "disk" in running.err or "full" in running.err,
                       "the log says that the disk is full")
    running.kill()
    remount("size=100m")
    leat.ok("run", "p.sql")
    assert Home(folder / "p.leat").count("plain") == 19_999
    assert len(leat.read("out.ndjson")) == 20_000


def test_read_only_home(leat, small_disk):
    folder, remount = small_disk
    remount("size=10m")
    simple(leat, 30, DISK)
    assert leat.run("run", "p.sql", env={**KILL, "LEAT_KILL_AT_EPOCH": 2}).status == -9
    remount("ro")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "disk/p.leat" in ended.err, ended
    remount("rw")
    leat.ok("run", "p.sql")
    assert Home(folder / "p.leat").count("plain") == 29


# ---- file sinks ----

def test_sink_file_of_somebody_else(leat):
    simple(leat)
    leat.write("out.ndjson", "precious\n")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "out.ndjson" in ended.err and "overwrite" in ended.err, ended
    assert (leat.folder / "out.ndjson").read_text() == "precious\n"


def test_sink_file_overwritten(leat):
    simple(leat, sql=SIMPLE.replace("path = 'out.ndjson'", "path = 'out.ndjson', overwrite = true"))
    leat.write("out.ndjson", "worthless\n")
    leat.ok("run", "p.sql")
    assert len(leat.read("out.ndjson")) == 30


def test_sink_file_shorter_than_the_home_says(leat):
    killed_midway(leat)
    path = leat.folder / "out.ndjson"
    path.write_bytes(path.read_bytes()[:-100])
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "out.ndjson" in ended.err, ended


def test_sink_file_gone(leat):
    killed_midway(leat)
    (leat.folder / "out.ndjson").unlink()
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "out.ndjson" in ended.err, ended


def test_tail_of_a_sink_file_is_cut(leat):
    killed_midway(leat)
    with open(leat.folder / "out.ndjson", "a") as file:
        file.write('{"k":"torn","v":')
    leat.ok("run", "p.sql")
    assert sorted(row["v"] for row in leat.read("out.ndjson")) == [10 * i for i in range(30)]


def test_empty_sink_file_is_made(leat):
    simple(leat, 0)
    leat.ok("run", "p.sql")
    assert (leat.folder / "out.ndjson").read_bytes() == b""


# ---- stopping ----

GENERATOR = """SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz)
WITH (connector = 'generator', rate = 2000, devices = 10, duplicates = 0, seed = 4,
      event_time = 'createdAt');
CREATE MATERIALIZED VIEW events AS SELECT deviceId, deviceSequenceNumber FROM telemetry;
CREATE TABLE out (deviceId text, deviceSequenceNumber bigint)
WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT deviceId, deviceSequenceNumber FROM telemetry;
"""


def gaps(pairs):
    """Devices whose numbers are not 0, 1, 2 … each once."""
    numbers = {}
    for device, number in pairs:
        numbers.setdefault(device, []).append(number)
    return {d: n for d, n in numbers.items() if sorted(n) != list(range(len(n)))}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stop_and_go_on(leat, how):
    leat.write("p.sql", GENERATOR)
    home = Home(leat.folder / "p.leat")
    for wanted in (300, 1200, 2500):
        running = leat.start("run", "p.sql")
        running.wait_until(lambda: (home.count("events") or 0) >= wanted, f"{wanted} rows")
        running.process.send_signal(how)
        assert running.wait(20).status == (-9 if how == signal.SIGKILL else 0), running.err
    pairs = [(row["deviceId"], row["deviceSequenceNumber"]) for row in home.rows("events")]
    assert not gaps(pairs)
    if how != signal.SIGKILL:
        written = [(row["deviceId"], row["deviceSequenceNumber"]) for row in leat.read("out.ndjson")]
        assert sorted(written) == sorted(pairs)


def test_memory_limit(leat):
    """The end of a run after a last epoch, with a message that names the operator."""
    leat.write("p.sql", """SET http = 'off'; SET memory_limit = '64 MB';
CREATE TABLE telemetry (eventId text, createdAt timestamptz)
WITH (connector = 'generator', rate = 200000, events = 20000000);
CREATE MATERIALIZED VIEW grows AS SELECT eventId, count(*) AS n FROM telemetry GROUP BY eventId;""")
    ended = leat.run("run", "p.sql", seconds=120)
    assert ended.status == 1 and "memory_limit" in ended.err and "grows" in ended.err, ended


# ---- http addresses ----

def test_default_address_is_printed(leat, http):
    leat.write("p.sql", GENERATOR.replace("SET http = 'off';", ""))
    running = leat.start("run", "p.sql")
    found = running.wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+", running.err),
                               "the address is printed")
    assert http(found[0] + "/healthz").status == 200
    assert running.terminate().status == 0


def test_given_port_taken(leat):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        simple(leat, sql=SIMPLE.replace("'off'", f"'127.0.0.1:{port}'"))
        ended = leat.run("run", "p.sql")
        assert ended.status == 1 and str(port) in ended.err, ended


# ---- generate and verify ----

KEYS = ["eventId", "value", "deviceId", "deviceSequenceNumber", "type", "createdAt", "complexData"]


def generate(leat, *options):
    return leat.ok("generate", "--events", "2000", "--seed", "7", "--start", "2026-01-01T00:00:00Z",
                   "--to", "-", *options)


def test_generate(leat):
    ended = generate(leat, "--duplicates", "0")
    rows = ended.rows()
    assert len(rows) == 2000
    assert ended.raw_out == generate(leat, "--duplicates", "0").raw_out
    assert all(list(row) == KEYS for row in rows)
    assert list(rows[0]["complexData"]) == [f"moreData{i}" for i in range(1, 24)]
    assert len({row["eventId"] for row in rows}) == 2000
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                            row["eventId"]) for row in rows)
    assert all(re.fullmatch(r"contoso-device-id-000\d{3}", row["deviceId"]) for row in rows)
    assert all(re.fullmatch(r"2026-01-01T\d\d:\d\d:\d\d\.\d{6}0Z", row["createdAt"]) for row in rows)
    assert {row["type"] for row in rows} == {"TEMP", "CO2"}
    assert not gaps((row["deviceId"], row["deviceSequenceNumber"]) for row in rows)
    assert 800 < len(ended.raw_out) / 2000 < 900


def test_generate_options(leat):
    rows = generate(leat, "--devices", "3", "--fields", "2", "--duplicates", "0.2").rows()
    assert {row["deviceId"][-3:] for row in rows} == {"000", "001", "002"}
    assert list(rows[0]["complexData"]) == ["moreData1", "moreData2"]
    lines = [json.dumps(row) for row in rows]
    assert len(set(lines)) < len(lines) and len({row["eventId"] for row in rows}) == len(set(lines))
    disorder = generate(leat, "--disorder", "2 seconds").rows()
    times = [row["createdAt"] for row in disorder]
    assert times != sorted(times)
    other = leat.ok("generate", "--events", "5", "--seed", "8", "--to", "-")
    assert len(other.rows()) >= 5 and other.raw_out != leat.ok(
        "generate", "--events", "5", "--seed", "9", "--to", "-").raw_out


def test_generate_bad(leat):
    lines = generate(leat, "--bad", "0.1").out.splitlines()

    def good(line):
        try:
            row = json.loads(line)
        except ValueError:
            return False
        return isinstance(row["value"], float) and row["createdAt"].startswith("2026-")
    bad = [line for line in lines if not good(line)]
    assert 100 < len(bad) < 300 and len(lines) - len(bad) >= 2000
    leat.write("in.ndjson", "\n".join(lines) + "\n")
    ended = leat.run("sql", "SELECT count(*) AS n FROM input", "in.ndjson")
    assert ended.status in (0, 1)


def test_generate_to_file_and_verify(leat):
    leat.ok("generate", "--events", "1000", "--seed", "3", "--duplicates", "0.05", "--to",
            "sent.ndjson", "--ledger", "ledger")
    good = leat.ok("verify", "--ledger", "ledger", "--in", "sent.ndjson")
    assert "1000" in good.out or "1,000" in good.out or "1 000" in good.out, good
    lines = (leat.folder / "sent.ndjson").read_text().splitlines()
    first = json.loads(lines[0])
    assert lines.count(lines[1]) >= 1
    cases = {
        "missing": [line for line in lines if line != lines[5]],
        "unexpected": lines + [json.dumps({**first, "eventId": "00000000-0000-4000-8000-000000000000"})],
        "duplicated": lines + [lines[3]],
        "changed": [json.dumps({**first, "value": first["value"] + 1})] + lines[1:],
    }
    for name, content in cases.items():
        leat.write("arrived.ndjson", "\n".join(content) + "\n")
        ended = leat.run("verify", "--ledger", "ledger", "--in", "arrived.ndjson", "--json")
        assert ended.status == 1, (name, ended)
        counts = json.loads(ended.out)
        assert {k for k in cases if counts[k]} == {name}, (name, counts)
    reordered = [json.dumps(dict(reversed(json.loads(line).items()))) for line in reversed(lines)]
    leat.write("arrived.ndjson", "\n".join(reordered) + "\n")
    leat.ok("verify", "--ledger", "ledger", "--in", "arrived.ndjson")


def test_generate_to_a_table(leat):
    """FILE.sql:TABLE, the demo's way to a topic; here into a file table."""
    leat.write("t.sql", """
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz, complexData jsonb)
WITH (connector = 'file', path = 'telemetry.ndjson');""")
    leat.ok("generate", "--events", "500", "--seed", "3", "--ledger", "ledger", "--to",
            "t.sql:telemetry")
    assert len(leat.read("telemetry.ndjson")) >= 500
    leat.ok("verify", "--ledger", "ledger", "--in", "t.sql:telemetry")


def test_generator_table_is_the_simulator(leat):
    """The same options and seed: the same events as `leat generate`."""
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz, complexData jsonb)
WITH (connector = 'generator', events = 300, seed = 7, start = '2026-01-01T00:00:00Z', rate = 100000,
      duplicates = 0, event_time = 'createdAt');
CREATE TABLE out (eventId text, value double precision, deviceId text, deviceSequenceNumber bigint,
  type text, createdAt timestamptz, complexData jsonb) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT * FROM telemetry;""")
    leat.ok("run", "p.sql")
    sent = leat.ok("generate", "--events", "300", "--seed", "7", "--start", "2026-01-01T00:00:00Z",
                   "--rate", "100000", "--duplicates", "0", "--to", "-").out

    def by_id(rows):
        return sorted(({**row, "createdAt": row["createdAt"][:19]} for row in rows),
                      key=lambda row: row["eventId"])
    assert by_id(map(json.loads, sent.splitlines())) == by_id(leat.read("out.ndjson"))
