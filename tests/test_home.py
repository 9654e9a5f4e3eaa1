"""The home's file: older formats, damage, lost and foreign files. A run either gives exactly the right results or ends
with a sentence that names the file, what is wrong, and what to do."""
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.rows import Home

HERE = Path(__file__).resolve().parent
VIEWS = ("windows", "totals", "plain")


def tables_of(home):
    """All that a reader may see, in an order of its own."""
    found = {view: sorted(map(repr, home.rows(view))) for view in VIEWS}
    for table in ("late_rows", "dead_letters"):
        found[table] = sorted(map(repr, home.query(
            f"SELECT query, source, partition, position, reason, record FROM {table}")))
    found["counts"] = sorted(map(repr, home.query("SELECT query, source, kind, count FROM leat_counts")))
    return found


@pytest.fixture
def version2(leat):
    """A folder where a program of format version 2 was killed half-way, and the right answers beside it."""
    source = HERE / "home" / "version2"
    shutil.copy(source / "pipeline.sql", leat.folder)
    shutil.copy(source / "events.ndjson", leat.folder)
    shutil.copy(source / "results.ndjson", leat.folder / "results.before")
    leat.ok("run", "pipeline.sql")
    right = tables_of(Home(leat.folder / "pipeline.leat")), \
        sorted((leat.folder / "results.ndjson").read_text().splitlines())
    # What a query is known by may change with the program; this is about the file's format.
    hashes = Home(leat.folder / "pipeline.leat").query("SELECT name, hash FROM leat_queries")
    for path in leat.folder.glob("pipeline.leat*"):
        path.unlink()
    (leat.folder / "results.before").replace(leat.folder / "results.ndjson")
    with sqlite3.connect(leat.folder / "pipeline.leat") as home:
        home.executescript((source / "home.sql").read_text())
        for row in hashes:
            home.execute("UPDATE leat_queries SET hash = ? WHERE name = ?", (row["hash"], row["name"]))
    home.close()
    return leat, right


def test_a_home_of_version_2_goes_on(version2):
    leat, (tables, results) = version2
    ended = leat.ok("run", "pipeline.sql")
    assert "bringing it from format version 2 to 3" in ended.err and "going on from epoch 7" in ended.err, ended
    home = Home(leat.folder / "pipeline.leat")
    assert tables_of(home) == tables
    assert sorted((leat.folder / "results.ndjson").read_text().splitlines()) == results
    assert home.query("SELECT value FROM leat_meta WHERE name = 'version'")[0]["value"] == "3"
    again = leat.ok("run", "pipeline.sql")
    assert "is finished" in again.err


def test_a_wide_view_of_version_2(version2):
    """More columns than a function of SQLite takes arguments."""
    leat, _ = version2
    columns = range(300)
    with sqlite3.connect(leat.folder / "pipeline.leat") as home:
        home.execute("CREATE TABLE leat_view_wide (leat_key BLOB PRIMARY KEY, leat_time INTEGER, "
                     + ", ".join(f"c{i} {('INTEGER', 'REAL', 'TEXT')[i % 3]}" for i in columns) + ") WITHOUT ROWID")
        home.execute("CREATE VIEW wide AS SELECT " + ", ".join(f"c{i}" for i in columns) + " FROM leat_view_wide")
        for row in range(5):
            home.execute("INSERT INTO leat_view_wide VALUES (" + ", ".join("?" * 302) + ")",
                         [bytes([row]), None, *((i, i / 7, None if i % 2 else "text")[i % 3] for i in columns)])
    home.close()
    leat.ok("run", "pipeline.sql")
    assert "4 views with" in leat.ok("check-home", "pipeline.sql").out
    with sqlite3.connect(leat.folder / "pipeline.leat") as home:
        home.execute("UPDATE leat_view_wide SET c200 = 'text?' WHERE leat_key = x'03'")
    home.close()
    checked = leat.run("check-home", "pipeline.sql")
    assert checked.status == 1 and "view wide, row 4 by its key" in checked.out, checked


def test_killed_while_it_is_brought_up_to_date(version2):
    leat, (tables, results) = version2
    assert leat.run("run", "pipeline.sql", env={"LEAT_FAULT": "home.upgrade:1"}).status == -9
    home = Home(leat.folder / "pipeline.leat")
    assert home.query("SELECT value FROM leat_meta WHERE name = 'version'")[0]["value"] == "2"
    leat.ok("run", "pipeline.sql")
    assert tables_of(home) == tables
    assert sorted((leat.folder / "results.ndjson").read_text().splitlines()) == results


def test_a_damaged_home_of_version_2_is_not_touched(version2):
    leat, _ = version2
    path = leat.folder / "pipeline.leat"
    with sqlite3.connect(path) as home:
        home.execute("UPDATE leat_positions SET position = position + 1")
    home.close()
    before = path.read_bytes()
    ended = leat.run("run", "pipeline.sql")
    assert ended.status == 1 and "pipeline.leat is damaged: the checksum of the position of" in ended.err, ended
    assert path.read_bytes() == before


def test_an_old_copy_of_version_2_is_refused(version2):
    leat, _ = version2
    identity = Home(leat.folder / "pipeline.leat").query("SELECT value FROM leat_meta WHERE name = 'id'")[0]["value"]
    (leat.folder / "pipeline.leat.lock").write_text(f"{identity} {8:019d}\n")
    ended = leat.run("run", "pipeline.sql")
    assert ended.status == 1 and "its lock file says that epoch 8 was committed" in ended.err, ended


# ---- format 3 ----

SOURCE = HERE / "home" / "version2"          # its pipeline and events are as good as any
REMEDIES = ("put back", "put that one back", "--fresh", "SET home", "remove", "use the program")


def checkpoint(path):
    with sqlite3.connect(path) as home:
        home.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A home that was killed half-way: all of its files, and what the run must come to in the end."""
    from support.process import Leat
    folder = tmp_path_factory.mktemp("killed")
    leat = Leat(folder)
    for name in ("pipeline.sql", "events.ndjson"):
        shutil.copy(SOURCE / name, folder)
    leat.ok("run", "pipeline.sql")
    right = tables_of(Home(folder / "pipeline.leat")), sorted((folder / "results.ndjson").read_text().splitlines())
    for path in [*folder.glob("pipeline.leat*"), folder / "results.ndjson"]:
        path.unlink()
    for epochs in (4, 3):
        ended = leat.run("run", "pipeline.sql",
                         env={"LEAT_EPOCH_ROWS": 5, "LEAT_BATCH_ROWS": 5, "LEAT_KILL_AT_EPOCH": epochs})
        assert ended.status == -9, ended
        if epochs == 4:
            checkpoint(folder / "pipeline.leat")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    del files["pipeline.leat-shm"]
    assert len(files["pipeline.leat-wal"]) > 100000
    checkpoint(folder / "pipeline.leat")
    files["whole"] = (folder / "pipeline.leat").read_bytes()
    return files, right


def lay_out(leat, files, home, wal=None):
    """The folder as it was after the kill, with these bytes for the home."""
    for path in [*leat.folder.glob("pipeline.leat*"), leat.folder / "results.ndjson"]:
        path.unlink(missing_ok=True)
    for name in ("pipeline.sql", "events.ndjson", "results.ndjson", "pipeline.leat.lock"):
        (leat.folder / name).write_bytes(files[name])
    (leat.folder / "pipeline.leat").write_bytes(home)
    if wal is not None:
        (leat.folder / "pipeline.leat-wal").write_bytes(wal)


def refused(leat, because):
    ended = leat.run("run", "pipeline.sql")
    assert ended.status == 1 and because in ended.err and "pipeline.leat" in ended.err, ended
    assert any(word in ended.err for word in REMEDIES), ended


def judge(leat, right, where):
    """Exactly the right results, or a refusal that helps. check-home must find what a start lets pass."""
    checked = leat.run("check-home", "pipeline.leat")
    assert checked.status in (0, 1) and "Sanitizer" not in checked.err, (where, checked)
    ended = leat.run("run", "pipeline.sql")
    assert "Sanitizer" not in ended.err, (where, ended)
    if ended.status == 1:
        assert "pipeline.leat" in ended.err and any(word in ended.err for word in REMEDIES), (where, ended)
        return "refused"
    assert ended.status == 0, (where, ended)
    try:
        same = tables_of(Home(leat.folder / "pipeline.leat")) == right[0]
    except sqlite3.DatabaseError:
        same = False
    assert sorted((leat.folder / "results.ndjson").read_text().splitlines()) == right[1], (where, ended)
    if same:
        return "right"
    assert checked.status == 1, (where, checked)
    return "found by check-home"


FLIPS = int(os.environ.get("LEAT_FLIPS", 120))


def flipped(data, rng):
    """A byte of `data` that is not one of the many zeros, changed in one bit or at all."""
    used = [i for i, b in enumerate(data) if b]
    at = rng.choice(used) if rng.random() < 0.8 else rng.randrange(len(data))
    data = bytearray(data)
    data[at] = data[at] ^ (1 << rng.randrange(8)) if rng.random() < 0.5 else (data[at] + rng.randrange(1, 256)) % 256
    return bytes(data), at


def test_flipped_bytes_of_a_home(leat, killed):
    files, right = killed
    rng = random.Random(int(os.environ.get("LEAT_SEED", 1)))
    found = {}
    for _ in range(FLIPS):
        data, at = flipped(files["whole"], rng)
        lay_out(leat, files, data)
        verdict = judge(leat, right, f"byte {at}")
        found[verdict] = found.get(verdict, 0) + 1
    assert found["refused"] > FLIPS / 4, found


def test_flipped_bytes_of_a_wal(leat, killed):
    files, right = killed
    rng = random.Random(int(os.environ.get("LEAT_SEED", 2)))
    found = {}
    for _ in range(FLIPS // 3):
        data, at = flipped(files["pipeline.leat-wal"], rng)
        lay_out(leat, files, files["pipeline.leat"], data)
        verdict = judge(leat, right, f"byte {at} of the wal")
        found[verdict] = found.get(verdict, 0) + 1
    assert found["refused"] > FLIPS / 6, found


@pytest.mark.parametrize("size", [1, 100, 4096, 0.5, -4096, -100, -1])
def test_a_home_that_is_cut_short(leat, killed, size):
    files, right = killed
    whole = files["whole"]
    cut = int(len(whole) * size) if isinstance(size, float) else size
    lay_out(leat, files, whole[:cut])
    if -4096 < size < 0:                        # the last page may have room at its end
        judge(leat, right, f"cut at {size}")
    else:
        refused(leat, "put back a good copy")
        assert leat.run("check-home", "pipeline.sql").status == 1


def test_a_wal_that_is_gone_or_cut_short(leat, killed):
    files, right = killed
    lay_out(leat, files, files["pipeline.leat"])
    refused(leat, "its lock file says that epoch 7 was committed")
    wal = files["pipeline.leat-wal"]
    for cut in (0, 100, len(wal) // 2, len(wal) - 1):
        lay_out(leat, files, files["pipeline.leat"], wal[:cut])
        refused(leat, "its lock file says that epoch 7 was committed")
    lay_out(leat, files, files["pipeline.leat"], wal)
    leat.ok("run", "pipeline.sql")
    assert tables_of(Home(leat.folder / "pipeline.leat")) == right[0]


def test_a_wal_and_the_lock_file_that_are_gone(leat, killed):
    """Then the home is a good one of an earlier epoch: the run says so, reads again from there, and the file is cut
    back to where it stood."""
    files, right = killed
    lay_out(leat, files, files["whole"])
    (leat.folder / "pipeline.leat.lock").unlink()
    ended = leat.ok("run", "pipeline.sql")
    assert "there is no lock file beside it" in ended.err, ended
    assert tables_of(Home(leat.folder / "pipeline.leat")) == right[0]
    assert sorted((leat.folder / "results.ndjson").read_text().splitlines()) == right[1]


def test_a_copy_made_while_it_runs(leat, killed):
    """As SQLite's own backup makes it, put in the home's place without a lock file."""
    files, right = killed
    lay_out(leat, files, files["pipeline.leat"], files["pipeline.leat-wal"])
    with sqlite3.connect(leat.folder / "pipeline.leat") as home, sqlite3.connect(leat.folder / "copy.leat") as copy:
        home.backup(copy)
    home.close()
    copy.close()
    assert "copy.leat is whole" in leat.ok("check-home", "copy.leat").out
    leat.ok("run", "pipeline.sql")
    for path in leat.folder.glob("pipeline.leat*"):
        path.unlink()
    shutil.copy(leat.folder / "copy.leat", leat.folder / "pipeline.leat")
    leat.ok("run", "pipeline.sql")
    assert tables_of(Home(leat.folder / "pipeline.leat")) == right[0]
    assert sorted((leat.folder / "results.ndjson").read_text().splitlines()) == right[1]


def test_a_home_under_two_names(leat):
    """A link is another name of the same home: one lock, one memory, one file that is set aside."""
    (leat.folder / "deep").mkdir()
    (leat.folder / "deep/link.leat").symlink_to("../p.leat")
    for name, home in (("p", "p.leat"), ("q", "deep/link.leat")):
        leat.write(f"{name}.sql", f"""SET http = 'off'; SET pipeline = 'p'; SET home = 'sqlite:{home}';
CREATE TABLE e (i int) WITH (connector = 'file', path = 'in.ndjson', follow = true);
CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM e;""")
    leat.write("in.ndjson", [{"i": 1}])
    running = leat.start("run", "q.sql")
    running.wait_until(lambda: (leat.folder / "p.leat.lock").exists() and Home(leat.folder / "p.leat").count("v"), "an epoch")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "in use by another process" in ended.err, ended
    assert running.terminate().status == 0
    assert "is whole" in leat.ok("check-home", "deep/link.leat").out
    ended = leat.ok("run", "--fresh", "--seconds", "1", "q.sql")
    assert (leat.folder / "p.leat.1").exists() and (leat.folder / "deep/link.leat").is_symlink()


def test_a_home_of_a_newer_version(leat, killed):
    files, _ = killed
    lay_out(leat, files, files["whole"])
    with sqlite3.connect(leat.folder / "pipeline.leat") as home:
        home.execute("UPDATE leat_meta SET value = '4' WHERE name = 'version'")
    home.close()
    before = (leat.folder / "pipeline.leat").read_bytes()
    refused(leat, "has format version 4, this program knows versions up to 3; use the program that wrote it")
    assert (leat.folder / "pipeline.leat").read_bytes() == before
    assert "format version 4" in leat.run("check-home", "pipeline.leat").err


def test_another_pipelines_home(leat, killed):
    files, _ = killed
    lay_out(leat, files, files["whole"])
    (leat.folder / "other.sql").write_text("SET home = 'sqlite:pipeline.leat';\n"
                                           + (leat.folder / "pipeline.sql").read_text())
    ended = leat.run("run", "other.sql")
    assert ended.status == 1 and "was made by pipeline 'pipeline', this is 'other'" in ended.err, ended


@pytest.mark.parametrize("kind", ["folder", "pipe", "text", "empty", "sqlite"])
def test_what_is_no_home(leat, killed, kind):
    files, _ = killed
    lay_out(leat, files, b"")
    path = leat.folder / "pipeline.leat"
    if kind != "empty":
        (leat.folder / "pipeline.leat.lock").unlink()
        path.unlink()
    wanted = {"folder": "is a folder; SET home to a file", "pipe": "is a pipe; SET home to a file",
              "text": "is no home of Leat (not a SQLite file); SET home to another file",
              "empty": "is empty but its lock file says that epoch 7 was committed",
              "sqlite": "is a SQLite file but not a home of Leat; SET home to another file"}[kind]
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path.write_text("Dear diary\n" * 100)
    elif kind == "sqlite":
        with sqlite3.connect(path) as theirs:
            theirs.execute("CREATE TABLE leat_meta_of_mine (x)")
        theirs.close()
    before = path.read_bytes() if path.is_file() else None
    refused(leat, wanted)
    if before is not None:
        assert path.read_bytes() == before
    assert leat.run("check-home", "pipeline.leat").status == 1
    if kind == "folder":
        path.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written(tmp_path, what):
    """As nobody: in a folder, or to a file, of somebody else."""
    import subprocess
    import tempfile
    from support.process import BINARY
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = shutil.copy(BINARY, folder / "leat")
        os.chmod(folder, 0o777)
        for file in ("pipeline.sql", "events.ndjson"):
            os.chmod(shutil.copy(SOURCE / file, folder), 0o644)

        def run():
            return subprocess.run([program, "run", "pipeline.sql"], cwd=folder, user=65534, capture_output=True,
                                  text=True, check=False, timeout=60, env={"PATH": "/usr/bin"})
        if what == "file":
            first = run()
            assert first.returncode == 0, first.stderr
            os.chown(folder / "pipeline.leat", 0, 0)
            os.chmod(folder / "pipeline.leat", 0o444)
        else:
            os.chmod(folder, 0o755)
        ended = run()
        assert ended.returncode == 1 and "pipeline.leat" in ended.stderr, ended.stderr
        assert "writable" in ended.stderr, ended.stderr


def test_killed_while_the_old_home_is_set_aside(leat, killed):
    """Neither lost nor torn: the next start refuses, the next --fresh sets all of it aside."""
    files, right = killed
    lay_out(leat, files, files["pipeline.leat"], files["pipeline.leat-wal"])
    (leat.folder / "results.ndjson").unlink()
    assert leat.run("run", "pipeline.sql", "--fresh", env={"LEAT_FAULT": "home.aside:1"}).status == -9
    refused(leat, "its lock file says that epoch 7 was committed")
    leat.ok("run", "pipeline.sql", "--fresh")
    assert tables_of(Home(leat.folder / "pipeline.leat")) == right[0]
    assert Home(leat.folder / "pipeline.leat.1").query(
        "SELECT value FROM leat_meta WHERE name = 'epoch'")[0]["value"] == "7"


# ---- leat check-home ----

def test_check_home_of_a_whole_one(leat, killed):
    files, _ = killed
    lay_out(leat, files, files["pipeline.leat"], files["pipeline.leat-wal"])
    for name in ("pipeline.leat", "pipeline.sql"):
        checked = leat.ok("check-home", name)
        assert "home of pipeline pipeline, epoch 7: 3 views with" in checked.out, checked
        assert checked.out.endswith("pipeline.leat is whole\n") and not checked.err, checked
    assert (leat.folder / "pipeline.leat-wal").read_bytes() == files["pipeline.leat-wal"]
    leat.ok("run", "pipeline.sql")
    assert "finished home of" in leat.ok("check-home", "pipeline.leat").out


@pytest.mark.parametrize("change, found, remedy", [
    ("UPDATE leat_view_totals SET c1 = c1 + 1 WHERE c0 = 'b'", "view: view totals, row 2 by its key", "--reset NAME"),
    ("UPDATE leat_view_plain SET c1 = 'half'", "view: view plain, row 1 by its key", "--reset NAME"),
    ("DROP VIEW totals", "view: totals: no such table", "--reset NAME"),
    ("UPDATE leat_dead_letters SET reason = 'none'", "bad rows: leat_dead_letters (NULL, events, 0)", "nothing"),
    ("UPDATE leat_late_rows SET record = x'00'", "bad rows: leat_late_rows (", "nothing"),
    ("DELETE FROM leat_deltas WHERE epoch = 7", "home: rows are missing", "--fresh"),
    ("UPDATE leat_deltas SET data = x'00'", "home: leat_deltas (", "--fresh"),
    ("UPDATE leat_positions SET records = 1", "home: leat_positions (, events, events.ndjson)", "--fresh"),
])
def test_check_home_finds(leat, killed, change, found, remedy):
    files, _ = killed
    lay_out(leat, files, files["whole"])
    with sqlite3.connect(leat.folder / "pipeline.leat") as home:
        home.execute(change)
    home.close()
    checked = leat.run("check-home", "pipeline.leat")
    assert checked.status == 1 and f"damaged: {found}" in checked.out, checked
    assert remedy in checked.out.splitlines()[-1] and "what to do" in checked.out, checked


def test_check_home_of_an_old_copy(leat, killed):
    files, _ = killed
    lay_out(leat, files, files["pipeline.leat"])
    checked = leat.run("check-home", "pipeline.leat")
    assert checked.status == 1 and "old copy" in checked.out, checked


def test_check_home_usage(leat):
    assert leat.ok("check-home", "-h").out.startswith("usage: leat check-home")
    assert leat.run("check-home").status == 2
    assert leat.run("check-home", "--loud").status == 2
    assert leat.run("check-home", "a", "b").status == 2
    (leat.folder / "p.sql").write_text("SELEC")
    assert leat.run("check-home", "p.sql").status == 2
    ended = leat.run("check-home", "nothing.leat")
    assert ended.status == 1 and "there is no such file" in ended.err, ended
