"""Every folder of tests/sql, in several ways that must all give the same rows.

tests/README.md says what is in a folder and which environment variables choose a way."""
import pathlib
import shutil

import pytest

from support.rows import Home, assert_same, read_ndjson

FOLDERS = sorted(p.parent for p in pathlib.Path(__file__).parent.glob("sql/*/pipeline.sql"))
REJECTS = ("late_rows", "dead_letters")

WAYS = {
    "whole": {},
    "one_row": {"LEAT_BATCH_ROWS": 1},
    "random_1": {"LEAT_BATCH_ROWS": "random:1", "LEAT_EPOCH_ROWS": 7},
    "random_2": {"LEAT_BATCH_ROWS": "random:2", "LEAT_WORKERS": 2},
    "workers": {"LEAT_WORKERS": 4, "LEAT_BATCH_ROWS": 3},
    "killed": {"LEAT_BATCH_ROWS": 2, "LEAT_EPOCH_ROWS": 2, "LEAT_KILL_AT_EPOCH": 1},
    "killed_late": {"LEAT_BATCH_ROWS": "random:3", "LEAT_EPOCH_ROWS": 3, "LEAT_KILL_AT_EPOCH": 3},
}
SIGKILLED = -9
MOST_RUNS = 1000


def run_to_end(leat, environment):
    """Runs the pipeline, again after every kill, until it ends by itself; how often it ran."""
    for run in range(1, MOST_RUNS):
        ended = leat.run("run", "pipeline.sql", env=environment)
        if ended.status == 0:
            return run
        assert ended.status == SIGKILLED and "LEAT_KILL_AT_EPOCH" in environment, ended
    raise AssertionError(f"not done after {MOST_RUNS} runs")


def result(folder, home, name, inputs):
    file = folder / f"{name}.ndjson"
    if name not in REJECTS and file.exists() and file.name not in inputs:
        return read_ndjson(file)
    return home.rows(name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: folder.name)
def test_folder(leat, case, way):
    inputs = {p.name for p in case.iterdir()}
    shutil.copytree(case, leat.folder, dirs_exist_ok=True)
    runs = run_to_end(leat, WAYS[way])
    home = Home(leat.folder / "pipeline.leat")
    expected = {p.stem: read_ndjson(p) for p in (case / "expected").glob("*.ndjson")}
    for name in REJECTS:
        rows = expected.setdefault(name, [])
        actual = home.rows(name)
        if rows:     # of rejects, a folder lists the columns that it is about
            actual = [{key: row[key] for key in rows[0]} for row in actual]
        assert_same(rows, actual, name)
    for name in expected.keys() - set(REJECTS):
        assert_same(expected[name], result(leat.folder, home, name, inputs), name)
    if way == "killed" and any((case / name).is_file() and (case / name).stat().st_size
                               for name in inputs - {"pipeline.sql"}):
        assert runs > 1, "no epoch was closed before the end: nothing was killed"
