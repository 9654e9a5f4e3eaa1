"""leat test: what pipeline authors see when their rows come, do not come, or come otherwise; and the
folders of sql/ through it, killed and in other orders of arrival."""
import pathlib

import pytest

SQL = pathlib.Path(__file__).parent / "sql"

PIPELINE = """
SET http = 'off';
CREATE TABLE readings (device text NOT NULL, value double precision, at timestamptz NOT NULL)
WITH (connector = 'kafka', topic = 'readings', "bootstrap.servers" = 'kafka.example:9092',
      event_time = 'at', watermark_delay = '5 seconds');
CREATE TABLE rooms (device text PRIMARY KEY, room text)
WITH (connector = 'file', path = '/no/such/folder/rooms.csv', format = 'csv');
CREATE MATERIALIZED VIEW per_minute AS
SELECT device, window_start, count(*) AS n, avg(value) AS mean
FROM tumble(readings, at, INTERVAL '1 minute') GROUP BY device, window_start;
CREATE TABLE hot (device text, room text, value double precision, seen timestamptz)
WITH (connector = 'kafka', topic = 'hot', "bootstrap.servers" = 'kafka.example:9092');
INSERT INTO hot SELECT r.device, m.room, r.value, now() FROM readings r LEFT JOIN rooms m
ON m.device = r.device WHERE r.value > 20;
CREATE TABLE latest (device text PRIMARY KEY, n bigint)
WITH (connector = 'kafka', topic = 'latest', "bootstrap.servers" = 'kafka.example:9092');
INSERT INTO latest SELECT device, count(*) FROM readings GROUP BY device;
"""
READINGS = [
    {"device": "a", "value": 1.5, "at": "2026-01-01T00:00:01Z"},
    {"device": "b", "value": 21, "at": "2026-01-01T00:00:04Z"},
    {"device": "a", "value": 2.5, "at": "2026-01-01T00:00:02Z"},
    {"device": "a", "value": 30, "at": "2026-01-01T00:01:10Z"},
    {"device": "a", "value": 9, "at": "2026-01-01T00:00:59Z"},
    {"device": "b", "value": 4, "at": "2026-01-01T00:01:15Z"},
]
EXPECTED = {
    "per_minute": [
        {"window_start": "2026-01-01T00:00:00Z", "device": "a", "n": 2, "mean": 2.0},
        {"device": "b", "window_start": "2026-01-01T00:00:00Z", "n": 1, "mean": 21},
        {"device": "a", "window_start": "2026-01-01T00:01:00Z", "n": 1, "mean": 30},
        {"device": "b", "window_start": "2026-01-01T00:01:00Z", "n": 1, "mean": 4.0000000000001}],
    "hot": [
        {"device": "b", "room": "kitchen", "value": 21, "seen": "2026-01-01T00:01:15Z"},
        {"device": "a", "room": None, "value": 30, "seen": "2026-01-01T00:01:15Z"}],
    "latest": [{"device": "a", "n": 4}, {"device": "b", "n": 2}],
    "late_rows": [{"query": "per_minute", "source": "readings",
                   "record": '{"device": "a", "value": 9, "at": "2026-01-01T00:00:59Z"}'}],
}


@pytest.fixture
def trial(leat):
    leat.write("t/pipeline.sql", PIPELINE)
    leat.write("t/readings.ndjson", READINGS)
    leat.write("t/rooms.csv", "device,room\nb,kitchen\n")
    for name, rows in EXPECTED.items():
        leat.write(f"t/expected/{name}.ndjson", rows)
    return leat


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_passes(trial):
    """Kafka on both sides and a reference file that is not there: all of it stands in the folder."""
    before = files(trial.folder)
    ended = trial.run("test", "t", "--kill", "--shuffle", "5")
    assert ended.status == 0 and ended.out.startswith("ok      t  4 results, "), ended
    assert not ended.err
    assert files(trial.folder) == before, "a test writes nothing"


@pytest.mark.parametrize("path", ["t/pipeline.sql", "t/", "."])
def test_names(trial, path):
    ended = trial.run("test", path)
    assert ended.status == 0 and ended.out.startswith("ok "), ended


def test_difference(trial):
    trial.write("t/expected/latest.ndjson", [{"device": "a", "n": 5}, {"device": "b", "n": 2}])
    ended = trial.run("test", "t")
    assert ended.status == 1
    assert ended.out.splitlines()[1:] == [
        "    latest: 2 rows expected, 2 came; 1 missing (-), 1 unexpected (+)",
        '      - {"device": "a", "n": 5}', '      + {"device":"a","n":4}', "          n: 4 came, not 5"]


def test_whole_numbers_by_value(trial):
    trial.write("t/expected/latest.ndjson", '{"device": "a", "n": 4.0}\n{"device": "b", "n": 20e-1}\n')
    assert trial.run("test", "t").status == 0
    trial.write("t/expected/latest.ndjson", '{"device": "a", "n": 4.5}\n{"device": "b", "n": 2}\n')
    assert trial.run("test", "t").status == 1


def test_a_folder_without_a_test_is_told(trial):
    (trial.folder / "empty").mkdir()
    ended = trial.run("test", "empty", "t")
    assert ended.status == 2 and "no test in 'empty'" in ended.err and ended.out.startswith("ok "), ended


def test_rows_in_two_files(trial):
    trial.write("t/rooms.ndjson", [])
    ended = trial.run("test", "t")
    assert ended.status == 2 and "rooms.ndjson and in rooms.csv" in ended.err, ended


def test_expectations_that_cannot_be_read(trial):
    """A loop of links stands for what root may not read either."""
    for file in (trial.folder / "t/expected").iterdir():
        file.unlink()
    (trial.folder / "t/expected").rmdir()
    (trial.folder / "t/expected").symlink_to("expected")
    ended = trial.run("test", "t/pipeline.sql")
    assert ended.status == 1 and "cannot read the folder 'expected'" in ended.out, ended


def test_rejects_are_expected(trial):
    (trial.folder / "t/expected/late_rows.ndjson").unlink()
    ended = trial.run("test", "t")
    assert ended.status == 1 and "late_rows: 0 rows expected, 1 came" in ended.out, ended


def test_twice_is_not_once(trial):
    rows = EXPECTED["latest"]
    trial.write("t/expected/latest.ndjson", rows + rows[:1])
    ended = trial.run("test", "t")
    assert ended.status == 1 and "3 rows expected, 2 came; 1 missing (-), 0" in ended.out, ended


def test_expectation_of_nothing(trial):
    trial.write("t/expected/lates.ndjson", [])
    ended = trial.run("test", "t")
    assert ended.status == 1 and "expected/lates.ndjson: the pipeline has no view or sink" in ended.out


def test_many_differences_are_cut(trial):
    trial.write("t/expected/latest.ndjson", [{"device": f"x{i}", "n": i} for i in range(50)])
    ended = trial.run("test", "t")
    assert ended.status == 1 and ended.out.count("      - ") == 20 and "… and 30 more" in ended.out


@pytest.mark.parametrize("line, word", [
    ('{"device": "a"}', "latest.ndjson:1: there is no column n"),
    ('{"device": "a", "n": 1, "m": 2}', '"m" is no column of the result'),
    ("nonsense", "latest.ndjson:1: it is not a JSON object")])
def test_bad_expectation(trial, line, word):
    trial.write("t/expected/latest.ndjson", line + "\n")
    ended = trial.run("test", "t")
    assert ended.status == 1 and word in ended.out, ended


def test_update(trial):
    for file in (trial.folder / "t/expected").iterdir():
        file.unlink()
    ended = trial.run("test", "t")
    assert ended.status == 1 and "nothing is expected" in ended.out, ended
    ended = trial.run("test", "--update", "t")
    assert ended.status == 0 and ended.out.startswith("written "), ended
    names = sorted(p.name for p in (trial.folder / "t/expected").iterdir())
    assert names == ["hot.ndjson", "late_rows.ndjson", "latest.ndjson", "per_minute.ndjson"]
    ended = trial.run("test", "t", "--kill")
    assert ended.status == 0, ended


def test_update_of_a_new_folder(trial):
    for file in (trial.folder / "t/expected").iterdir():
        file.unlink()
    (trial.folder / "t/expected").rmdir()
    assert trial.run("test", "t").status == 2
    assert trial.run("test", "--update", "t").status == 0
    assert trial.run("test", "t").status == 0


def test_names_that_lead_elsewhere(leat):
    """Rows are kept in files named as tables are, and nothing outside is written."""
    leat.write("t/p.sql", """CREATE TABLE e (i int) WITH (connector = 'file', path = 'x');
CREATE TABLE "../../o" (i int) WITH (connector = 'file', path = 'y');
INSERT INTO "../../o" SELECT i FROM e;""")
    leat.write("t/e.ndjson", [{"i": 1}])
    ended = leat.run("test", "--update", "t")
    assert ended.status == 2 and "without /" in ended.err, ended


def test_update_counts_what_it_wrote(leat):
    leat.write("t/p.sql", """CREATE TABLE e (i int) WITH (connector = 'file', path = 'x');
CREATE MATERIALIZED VIEW v AS SELECT i FROM e;""")
    leat.write("t/e.ndjson", [{"i": 1}])
    assert leat.ok("test", "--update", "t").out.startswith("written t  1 result, ")


def test_several(trial):
    trial.write("u/pipeline.sql", "SELECT nonsense")
    trial.write("u/expected/x.ndjson", "")
    ended = trial.run("test", ".")
    assert ended.status == 2 and "2 tests: 1 passed, 1 failed" in ended.out, ended
    assert "u/pipeline.sql:1:1: error:" in ended.err and "  SELECT nonsense\n  ^" in ended.err, ended


@pytest.mark.parametrize("change, word", [
    (lambda t: (t / "readings.ndjson").unlink(), "no rows for table readings; put them into readings.ndjson"),
    (lambda t: (t / "pipeline.sql").rename(t / "a.sql") and (t / "b.sql").write_text(""),
     "several pipelines: name one")])
def test_mistakes(trial, change, word):
    change(trial.folder / "t")
    ended = trial.run("test", "t")
    assert ended.status == 2 and word in ended.err, ended


@pytest.mark.parametrize("arguments, word", [
    ([], "which pipeline"), (["--shuffle", "x", "t"], "--shuffle wants"), (["--nonsense"], "unknown option"),
    (["--update", "--kill", "t"], "leave --kill"), (["nowhere"], "nowhere"), (["empty"], "there is no test")])
def test_usage(leat, arguments, word):
    (leat.folder / "empty").mkdir()
    ended = leat.run("test", *arguments)
    assert ended.status == 2 and word in ended.err, ended


def test_help(leat):
    ended = leat.run("test", "-h")
    assert ended.status == 0 and "--shuffle N" in ended.out and "expected/" in ended.out


def test_a_failing_run_says_why(trial):
    trial.write("t/pipeline.sql", PIPELINE.replace("watermark_delay =", "on_error = 'fail', watermark_delay ="))
    trial.write("t/readings.ndjson", "broken\n")
    ended = trial.run("test", "t")
    assert ended.status == 1 and "readings[0]@0: " in ended.out, ended


def test_rows_as_a_home_has_them(leat):
    """Written down from SQLite: booleans are 0 and 1, numeric and jsonb are text."""
    leat.write("t/pipeline.sql", """SET http = 'off';
CREATE TABLE e (b boolean, n numeric(6,2), j jsonb) WITH (connector = 'file', path = 'e.ndjson');
CREATE MATERIALIZED VIEW v AS SELECT * FROM e;""")
    leat.write("t/e.ndjson", [{"b": True, "n": 1.5, "j": {"a": [1]}}, {"b": False, "n": 2, "j": "x"}])
    leat.write("t/expected/v.ndjson", [{"b": 1, "n": "1.50", "j": '{"a": [1]}'}, {"b": False, "n": "2.00", "j": "x"}])
    assert leat.run("test", "t").status == 0
    leat.write("t/expected/v.ndjson", [{"b": 0, "n": "1.50", "j": '{"a": [1]}'}, {"b": False, "n": 2.0, "j": "x"}])
    ended = leat.run("test", "t")
    assert ended.status == 1 and "2 missing (-), 2 unexpected (+)" in ended.out, ended


# the file's name and place change with its order; when a group is forgotten follows from the order too
@pytest.mark.parametrize("options", [[], ["--kill"], ["--shuffle", "3"]], ids=["plain", "kill", "shuffle"])
def test_folders_of_sql(leat, options):
    apart = {"computed_columns", "json_array", "state_ttl"} if "--shuffle" in options else set()
    folders = [p.parent for p in sorted(SQL.glob("*/pipeline.sql")) if p.parent.name not in apart]
    ended = leat.run("test", *folders, *options, seconds=120)
    assert ended.status == 0, ended
    assert f"{len(folders)} tests: {len(folders)} passed" in ended.out
