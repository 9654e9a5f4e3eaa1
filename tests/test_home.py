"""The home's file: older formats, damage, lost and foreign files. A run either gives exactly the right results or ends
with a sentence that names the file, what is wrong, and what to do."""
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
