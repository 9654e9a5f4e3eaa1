"""Files that Leat writes: csv that PostgreSQL reads back as the same rows, and folders that get one
file an epoch, whole, whoever kills the writer or takes the files away."""
import csv
import io
import json

import pytest

TABLES = """
SET http = 'off';
CREATE TABLE e (i bigint, s text, d double precision, b boolean, t timestamptz, j jsonb,
                n numeric(10,3)) WITH (connector = 'file', path = 'in.ndjson');
"""
ROWS = [
    {"i": 1, "s": "plain", "d": 1.5, "b": True, "t": "2026-01-01T00:00:00Z", "j": {"a": "x,y"},
     "n": 1.5},
    {"i": 2, "s": "", "d": 1e300, "b": False, "t": "2026-01-01T00:00:00.123456Z", "j": [1, 2],
     "n": -2},
    {"i": 3, "s": "a,b;\"c\"\r\nd", "d": -0.0, "b": None, "t": None, "j": None, "n": None},
    {"i": None, "s": None, "d": None, "b": None, "t": None, "j": "text", "n": None},
    {"i": 5, "s": " blanks ", "d": 0.1, "b": True, "t": "1999-12-31T23:59:59.5Z", "j": 7, "n": 0},
]
COLUMNS = "i bigint, s text, d double precision, b boolean, t timestamptz, j jsonb, n numeric(10,3)"


def sink(options, path="out.csv", name="o"):
    return f"CREATE TABLE {name} ({COLUMNS}) WITH (connector = 'file', path = '{path}'{options});\n" \
           f"INSERT INTO {name} SELECT * FROM e;\n"


def run(leat, sql, rows=ROWS, **options):
    leat.write("p.sql", TABLES + sql)
    leat.write("in.ndjson", rows)
    return leat.run("run", "p.sql", **options)


def test_csv(leat):
    ended = run(leat, sink(", format = 'csv'"))
    assert ended.status == 0, ended
    text = (leat.folder / "out.csv").read_bytes().decode()
    assert text == (
        'i,s,d,b,t,j,n\n'
        '1,plain,1.5,true,2026-01-01T00:00:00Z,"{""a"": ""x,y""}",1.500\n'
        '2,"",1e+300,false,2026-01-01T00:00:00.123456Z,"[1, 2]",-2.000\n'
        '3,"a,b;""c""\r\nd",-0,,,,\n'
        ',,,,,"""text""",\n'
        '5, blanks ,0.1,true,1999-12-31T23:59:59.5Z,7,0.000\n')
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == 6


def test_csv_goes_round(leat):
    """What Leat writes, Leat reads: the same rows."""
    assert run(leat, sink(", format = 'csv', delimiter = ';'")).status == 0
    leat.write("back.sql", "SET http = 'off';\n"
               f"CREATE TABLE e ({COLUMNS}) WITH (connector = 'file', path = 'out.csv', format = 'csv', "
               "delimiter = ';');\n" + sink("", "back.ndjson"))
    leat.write("direct.sql", TABLES + sink("", "direct.ndjson"))
    for name in ("back", "direct"):
        assert leat.run("run", f"{name}.sql").status == 0
    assert leat.read("back.ndjson") == leat.read("direct.ndjson")


EVERY_TYPE = {"t": ["\\.", "a\\b", "", None, "NULL", "\\N"],
              "y": ["\\xdeadBEEF", "\\x", "\\x5c78", None, "\\x00ff", "\\x2c22"],
              "u": [None, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"] * 3,
              "v": ["1 mon -3 days 00:00:00.5", None, "-1 years", "00:00:00", "1 day", "2:00"],
              "d": ["0001-01-01", "9999-12-31", None, "2024-02-29", "1970-01-01", "2000-01-01"],
              "p": ["2020-01-01T00:00:00.000001", None, "1999-12-31T23:59:59"] * 2,
              "r": [0.1, -0.0, 3.4e38, None, 1e-40, 5],
              "j": ["\\.", {"a": "\\\""}, None, [], [{}], 1.50]}


@pytest.mark.parametrize("columns", ["t, y, u, v, d, p, r, j", "t", "y", "v", "j"])
def test_csv_is_what_copy_reads(leat, postgres, columns):
    """PostgreSQL's COPY takes what a sink wrote for the values that were put in."""
    types = dict(zip("tyuvdprj", ["text", "bytea", "uuid", "interval", "date", "timestamp", "real",
                                  "jsonb"]))
    names = columns.split(", ")
    declared = ", ".join(f"{name} {types[name]}" for name in names)
    rows = [row for row in zip(*(EVERY_TYPE[name] for name in names))
            if len(names) > 1 or row[0] is not None]     # an empty line is no row
    leat.write("in.ndjson", [dict(zip(names, row)) for row in rows])
    leat.write("p.sql", f"""SET http = 'off';
CREATE TABLE e ({declared}) WITH (connector = 'file', path = 'in.ndjson');
CREATE TABLE o ({declared}) WITH (connector = 'file', path = 'out.csv', format = 'csv');
INSERT INTO o SELECT * FROM e;""")
    leat.ok("run", "p.sql")
    postgres.load("asked", [(name, types[name]) for name in names],
                  [[json.dumps(value) if name == "j" and value is not None else value
                    for name, value in zip(names, row)] for row in rows])
    postgres.load("got", [(name, types[name]) for name in names], [])
    with postgres.connection.cursor() as cursor, \
            cursor.copy("COPY got FROM STDIN (FORMAT csv, HEADER true)") as copy:
        copy.write((leat.folder / "out.csv").read_bytes())
    assert postgres.json_rows("SELECT * FROM got") == postgres.json_rows("SELECT * FROM asked")


def test_csv_without_header(leat):
    assert run(leat, sink(", format = 'csv', header = false")).status == 0
    assert (leat.folder / "out.csv").read_text().startswith("1,plain,")


def test_csv_without_rows(leat):
    assert run(leat, sink(", format = 'csv'"), []).status == 0
    assert (leat.folder / "out.csv").read_text() == "i,s,d,b,t,j,n\n"


def test_csv_to_standard_output(leat):
    ended = run(leat, sink(", format = 'csv'", "-"))
    assert ended.status == 0 and ended.out.startswith("i,s,d,b,t,j,n\n1,plain,"), ended


def many(count):
    return [{"i": i, "s": f"row {i}"} for i in range(count)]


def killed_to_the_end(leat, taken=None):
    """Runs, killed after each epoch, until the pipeline is finished."""
    knobs = {"LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": 50, "LEAT_BATCH_ROWS": 10}
    for _ in range(100):
        ended = leat.run("run", "p.sql", env=knobs)
        if taken is not None:
            taken()
        if ended.status == 0:
            return ended
        assert ended.status == -9, ended
    raise AssertionError("does not come to an end")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_killed_at_every_epoch(leat, form):
    leat.write("p.sql", TABLES + sink(f", format = '{form}'", "out/") + sink(
        f", format = '{form}'", f"whole.{form}", "w"))
    leat.write("in.ndjson", many(400))
    killed_to_the_end(leat)
    files = sorted(p for p in (leat.folder / "out").iterdir() if not p.name.startswith("."))
    assert len(files) == 8
    numbers = []
    for file in files:
        lines = file.read_text().splitlines()
        if form == "csv":
            assert lines.pop(0) == "i,s,d,b,t,j,n"
            numbers += [int(line.split(",")[0]) for line in lines]
        else:
            numbers += [json.loads(line)["i"] for line in lines]
    assert numbers == list(range(400))
    assert len((leat.folder / f"whole.{form}").read_text().splitlines()) == 400 + (form == "csv")
    assert not list((leat.folder / "out").glob("*.tmp"))


def test_files_are_taken_away(leat):
    """Who reads the folder moves each file out: what was delivered does not come again."""
    leat.write("p.sql", TABLES + sink("", "out/"))
    leat.write("in.ndjson", many(400))
    (leat.folder / "done").mkdir()

    def take():
        for file in (leat.folder / "out").glob("epoch-*"):
            assert not (leat.folder / "done" / file.name).exists(), f"{file.name} came twice"
            file.rename(leat.folder / "done" / file.name)

    killed_to_the_end(leat, take)
    numbers = [json.loads(line)["i"] for file in sorted((leat.folder / "done").iterdir())
               for line in file.read_text().splitlines()]
    assert numbers == list(range(400))


def test_a_folder_of_others(leat):
    leat.write("out/notes.txt", "keep")
    ended = run(leat, sink("", "out/"))
    assert ended.status == 1 and "overwrite = true" in ended.err, ended
    ended = run(leat, sink(", overwrite = true", "out/"))
    assert ended.status == 0, ended
    assert (leat.folder / "out/notes.txt").read_text() == "keep"


def test_fresh_needs_an_empty_folder(leat):
    assert run(leat, sink("", "out/")).status == 0
    ended = leat.run("run", "--fresh", "p.sql")
    assert ended.status == 1 and "did not write" in ended.err, ended
    leat.write("p.sql", TABLES + sink(", overwrite = true", "out/"))
    ended = leat.run("run", "--fresh", "p.sql")
    assert ended.status == 0, ended
    assert len(list((leat.folder / "out").glob("epoch-*"))) == 1


@pytest.mark.parametrize("options, word", [
    (", header = false", "belongs to csv"), (", format = 'csv', delimiter = 'ab'", "one character")])
def test_mistakes(leat, options, word):
    ended = run(leat, sink(options))
    assert ended.status == 2 and word in ended.err, ended


@pytest.mark.parametrize("source, target, refused", [
    ("in/*.ndjson", "in/out.ndjson", True), ("in", "./in//out", True), (".", "out.ndjson", True), ("o", "o/", True),
    ("o/*.ndjson", "o/", True), ("in.ndjson", "./in.ndjson", True), ("in", "in/deeper/", False),
    ("in/*.csv", "in/out.ndjson", False), ("in.ndjson", "in.ndjson.out", False)])
def test_a_source_never_takes_in_its_own_results(leat, source, target, refused):
    leat.write("p.sql", f"""CREATE TABLE s (a int) WITH (connector = 'file', path = '{source}', follow = true);
CREATE TABLE o (a int) WITH (connector = 'file', path = '{target}');
INSERT INTO o SELECT a FROM s;""")
    ended = leat.run("check", "p.sql")
    assert ended.status == (2 if refused else 0), ended
    assert not refused or f"p.sql:2:14: error: table o writes the file '{target}' that table s reads" in ended.err, ended


def test_a_folder_without_a_slash(leat):
    (leat.folder / "out").mkdir()
    ended = run(leat, sink("", "out"))
    assert ended.status == 1 and "let it end in /" in ended.err, ended


def test_generate_wants_json(leat):
    leat.write("p.sql", TABLES + sink(", format = 'csv'") + sink("", "out/", "f"))
    for table, status, word in (("o", 2, "format = 'json'"), ("f", 1, "a file an epoch")):
        ended = leat.run("generate", "--events", "5", "--to", f"p.sql:{table}")
        assert ended.status == status and word in ended.err, ended


@pytest.mark.parametrize("source, target, what", [
    ("in.ndjson", "soft", "what table e reads"), ("in.ndjson", "soft2", "what table e reads"),
    ("in.ndjson", "hard", "what table e reads"), ("in.ndjson", "linked/in.ndjson", "what table e reads"),
    ("in.ndjson", "deep/../in.ndjson", "what table e reads"), ("deep", "folder/new.ndjson", "what table e reads"),
    ("deep/*.ndjson", "folder/new.ndjson", "what table e reads"), ("deep", "folder/", "what table e reads"),
    ("deep/*.ndjson", "folder/", "what table e reads"), ("deep", "dangling", "what table e reads"),
    ("in.ndjson", "second", "what table o writes"), ("in.ndjson", "p.leat", "the pipeline's home"),
    ("in.ndjson", "./p.leat-wal", "a part of the pipeline's home"), ("in.ndjson", "p.sql", "the pipeline's own text"),
    ("in.ndjson", "folder/new.ndjson", None), ("deep/a*.ndjson", "folder/new.ndjson", None)])
def test_links_to_what_is_read(leat, source, target, what):
    """overwrite = true empties a file: not one that is read, whatever its name."""
    leat.write("in.ndjson", [{"i": 1}])
    leat.write("deep/a.ndjson", [{"i": 1}])
    for name, to in (("soft", "in.ndjson"), ("soft2", "soft"), ("linked", "."), ("folder", "deep"),
                     ("dangling", "deep/none.ndjson"), ("second", "w.ndjson")):
        (leat.folder / name).symlink_to(to)
    (leat.folder / "hard").hardlink_to(leat.folder / "in.ndjson")
    leat.write("p.sql", f"""SET http = 'off';
CREATE TABLE e (i bigint) WITH (connector = 'file', path = '{source}');
CREATE TABLE w (i bigint) WITH (connector = 'file', path = 'w.ndjson', overwrite = true);
CREATE TABLE o (i bigint) WITH (connector = 'file', path = '{target}', overwrite = true);
INSERT INTO w SELECT i FROM e;
INSERT INTO o SELECT i FROM e;""")
    before = (leat.folder / "p.sql").read_bytes()
    ended = leat.run("run", "p.sql")
    if what is None:
        assert ended.status == 0 and leat.read(target) == [{"i": 1}], ended
    else:
        assert ended.status == 1 and what in ended.err and "file of its own" in ended.err, ended
    assert leat.read("in.ndjson") == [{"i": 1}] == leat.read("deep/a.ndjson")
    assert (leat.folder / "p.sql").read_bytes() == before


def test_another_path_after_a_reset(leat):
    """The length that the home knows is the old file's: nobody else's is cut to it."""
    assert run(leat, sink("", "one")).status == 0
    leat.write("precious", "not Leat's\n")
    for path, status in (("precious", 1), ("two", 0)):
        leat.write("p.sql", TABLES + sink("", path))
        assert "has changed" in leat.run("run", "p.sql").err
        ended = leat.run("run", "--reset", "o", "p.sql")
        assert ended.status == status and (status == 0 or "exists already" in ended.err), ended
    assert (leat.folder / "precious").read_text() == "not Leat's\n"
    with (leat.folder / "in.ndjson").open("a") as more:
        more.write('{"i":6}\n')
    assert leat.run("run", "--reset", "o", "p.sql").status == 0
    assert [row["i"] for row in leat.read("two")] == [6]


def test_a_first_start_that_failed(leat):
    """A mistyped path may be corrected: nothing was read yet."""
    leat.write("p.sql", TABLES.replace("in.ndjson", "inn.ndjson") + sink("") + sink("", "x", "wrong"))
    leat.write("in.ndjson", ROWS)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "cannot read 'inn.ndjson'" in ended.err, ended
    assert run(leat, sink("", "out.ndjson")).status == 0
    assert len(leat.read("out.ndjson")) == len(ROWS)
    leat.write("p.sql", TABLES + sink("", "other"))
    assert "has changed" in leat.run("run", "p.sql").err


def test_a_first_start_that_read(leat):
    """What was sent at once may be out already, though no epoch tells of it: a change is a change."""
    leat.write("p.sql", TABLES + sink("", "out"))
    leat.write("in.ndjson", many(10))
    assert leat.run("run", "p.sql", env={"LEAT_FAULT": "epoch.close:1"}).status == -9
    leat.write("p.sql", TABLES + sink("", "other"))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "has changed" in ended.err, ended


def test_a_file_that_is_gone(leat):
    leat.write("p.sql", TABLES + sink("", "out"))
    leat.write("in.ndjson", many(400))
    assert leat.run("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 2, "LEAT_EPOCH_ROWS": 50, "LEAT_BATCH_ROWS": 10}).status == -9
    (leat.folder / "out").unlink()
    for _ in range(2):
        ended = leat.run("run", "p.sql")
        assert ended.status == 1 and "'out' is gone, but" in ended.err, ended
    assert not (leat.folder / "out").exists()


@pytest.mark.parametrize("source, target, word", [
    ("none", "o", "put it there, or correct the path"), ("empty", "o", "put some there"), ("x*", "o", "correct the pattern"),
    ("in.ndjson", "no/such/o", "make the folder"), ("in.ndjson", "no/such/", "make the folder")])
def test_each_error_says_what_to_do(leat, source, target, word):
    leat.write("in.ndjson", [{"a": 1}])
    (leat.folder / "empty").mkdir()
    leat.write("p.sql", f"""SET http = 'off';
CREATE TABLE e (a int) WITH (connector = 'file', path = '{source}');
CREATE TABLE o (a int) WITH (connector = 'file', path = '{target}');
INSERT INTO o SELECT a FROM e;""")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and word in ended.err, ended
