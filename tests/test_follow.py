"""Files that grow: rotated, truncated, deleted, many, and the program killed while they are written."""
import json
import os
import random
import subprocess
import threading

import pytest

from support.rows import Home

PIPELINE = """
SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (
  i int NOT NULL, file text GENERATED ALWAYS AS (metadata('filename')) STORED,
  part int GENERATED ALWAYS AS (metadata('partition')) STORED,
  byte bigint GENERATED ALWAYS AS (metadata('offset')) STORED
) WITH (connector = 'file', path = '%s', follow = true%s);
CREATE TABLE o (i int, file text, part int, byte bigint)
WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO o SELECT * FROM events;
"""


class Followed:
    def __init__(self, leat, path="logs/app.log", options="", **environment):
        self.leat, self.folder = leat, leat.folder
        (self.folder / "logs").mkdir(exist_ok=True)
        leat.write("p.sql", PIPELINE % (path, options))
        self.environment = environment
        self.start()

    def start(self):
        self.running = self.leat.start("run", "p.sql", env=self.environment)

    def append(self, name, *numbers, end="\n"):
        with open(self.folder / "logs" / name, "a") as file:
            file.write("\n".join(f'{{"i":{i}}}' for i in numbers) + end)

    def rename(self, old, new):
        os.rename(self.folder / "logs" / old, self.folder / "logs" / new)

    def rows(self):
        try:
            return [json.loads(line) for line in
                    (self.folder / "out.ndjson").read_text().splitlines()]
        except (FileNotFoundError, json.JSONDecodeError):
            return []

    def numbers(self):
        return sorted(row["i"] for row in self.rows())

    def wait_for(self, *numbers):
        self.running.wait_until(lambda: self.numbers() == sorted(numbers),
                                f"rows {numbers[:20]}; last {self.numbers()[:40]}")

    def told(self, text):
        self.running.wait_until(lambda: text in self.running.err, text)

    def end(self):
        ended = self.running.terminate()
        assert ended.status == 0, ended
        return ended


def test_it_grows(leat):
    """Nothing is there at first; a line counts when it is whole; the end is not the end."""
    followed = Followed(leat)
    followed.told("nothing stands at 'logs/app.log' yet")
    followed.append("app.log", 1)
    followed.wait_for(1)
    followed.append("app.log", 2, 3, end="")
    followed.wait_for(1, 2)
    followed.append("app.log", end="\n")
    followed.wait_for(1, 2, 3)
    assert [row["byte"] for row in followed.rows()] == [0, 8, 16]
    followed.end()
    followed.append("app.log", 4)
    followed.start()
    followed.wait_for(1, 2, 3, 4)
    followed.end()


def test_renamed(leat):
    """The renamed file is read to its end, as its old partition; the new one from its beginning."""
    followed = Followed(leat)
    followed.append("app.log", 1, 2)
    followed.wait_for(1, 2)
    followed.rename("app.log", "app.log.1")
    followed.append("app.log.1", 3)
    followed.append("app.log", 10)
    followed.wait_for(1, 2, 3, 10)
    followed.append("app.log.1", 4)
    followed.wait_for(1, 2, 3, 4, 10)
    rows = {row["i"]: row for row in followed.rows()}
    assert {rows[i]["part"] for i in (1, 2, 3, 4)} == {0} and rows[10]["part"] == 1
    assert {row["file"] for row in rows.values()} == {"logs/app.log"}
    assert rows[10]["byte"] == 0
    followed.end()


def test_renamed_while_away(leat):
    """What was renamed while nothing ran is found beside its old name."""
    followed = Followed(leat)
    followed.append("app.log", 1)
    followed.wait_for(1)
    followed.end()
    followed.append("app.log", 2)
    followed.rename("app.log", "app.log.1")
    followed.append("app.log", 10)
    followed.start()
    followed.wait_for(1, 2, 10)
    rows = {row["i"]: row for row in followed.rows()}
    assert rows[2]["part"] == 0 and rows[10]["part"] == 1
    followed.end()


def test_truncated(leat):
    followed = Followed(leat)
    followed.append("app.log", 1, 2)
    followed.wait_for(1, 2)
    (followed.folder / "logs/app.log").write_text("")
    followed.append("app.log", 3)
    followed.wait_for(1, 2, 3)
    followed.told("'logs/app.log' was truncated after it was read to byte 16")
    assert followed.rows()[-1]["byte"] == 0 and followed.rows()[-1]["part"] == 0
    (followed.folder / "logs/app.log").write_text('{"i":4}\n')     # as long as what was read
    followed.wait_for(1, 2, 3, 4)
    followed.told("'logs/app.log' was written anew after it was read to byte 8")
    followed.end()


def test_truncated_while_away(leat):
    followed = Followed(leat)
    followed.append("app.log", 1, 2, 3)
    followed.wait_for(1, 2, 3)
    followed.end()
    (followed.folder / "logs/app.log").write_text("")
    followed.append("app.log", 4)
    followed.start()
    followed.wait_for(1, 2, 3, 4)
    assert "was truncated" in followed.running.err
    followed.end()
    followed.append("app.log", 5)
    followed.start()
    followed.wait_for(1, 2, 3, 4, 5)
    followed.end()


def test_folder(leat):
    """New files, files that are renamed into place, hidden ones, deleted ones."""
    followed = Followed(leat, "logs")
    followed.told("holds no file yet")
    followed.append("a.log", 1)
    followed.append(".b.log", 2)
    followed.wait_for(1)
    followed.rename(".b.log", "b.log")
    followed.wait_for(1, 2)
    followed.rename("b.log", "c.log")
    followed.append("c.log", 3)
    followed.wait_for(1, 2, 3)
    assert [row["part"] for row in followed.rows()] == [0, 1, 1]
    followed.append("a.log", 4, end="")      # its last record, since it is deleted
    followed.append("d.log", 5)
    followed.wait_for(1, 2, 3, 5)            # a.log was looked at in the meantime
    (followed.folder / "logs/a.log").unlink()
    followed.wait_for(1, 2, 3, 4, 5)
    followed.end()


def test_glob_in_csv(leat):
    """A quoted field may hold a newline; a header is read of each file, after truncation too."""
    folder = leat.folder / "logs"
    folder.mkdir()
    leat.write("p.sql", """
SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (i int, t text)
WITH (connector = 'file', path = 'logs/*.csv', format = 'csv', follow = true);
CREATE TABLE o (i int, t text) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO o SELECT i, t FROM events;""")
    running = leat.start("run", "p.sql")

    def came(*rows):
        running.wait_until(lambda: [(r["i"], r["t"]) for r in map(json.loads, (
            leat.folder / "out.ndjson").read_text().splitlines())] == list(rows)
            if (leat.folder / "out.ndjson").exists() else False, f"{rows}")
    with open(folder / "a.csv", "a") as file:
        print("i,t\n1,one\n2,\"tw", file=file, flush=True)
        came((1, "one"))
        print("o\"\n3", end="", file=file, flush=True)
        came((1, "one"), (2, "tw\no"))
    (folder / "b.log").write_text("i,t\n9,nine\n")
    (folder / "b.csv").write_text("t,i\nfour,4\n")
    came((1, "one"), (2, "tw\no"), (4, "four"))
    with open(folder / "a.csv", "w") as file:
        print("t,i\nfive,5", file=file, flush=True)
    came((1, "one"), (2, "tw\no"), (4, "four"), (5, "five"))
    assert running.terminate().status == 0


def test_a_file_that_is_gone_holds_nothing_back(leat):
    """Time goes on at once when a file is deleted, however long idle_timeout is."""
    folder = leat.folder / "logs"
    folder.mkdir()
    leat.write("p.sql", """
SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE events (i int, t timestamptz) WITH (connector = 'file', path = 'logs', follow = true,
  event_time = 't', idle_timeout = '1 hour');
CREATE MATERIALIZED VIEW m WITH (emit = 'final') AS SELECT window_start, sum(i) AS total
FROM tumble(events, t, INTERVAL '1 minute') GROUP BY window_start;""")
    running = leat.start("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    (folder / "old").write_text('{"i":1,"t":"2026-01-01T00:00:01Z"}\n')
    (folder / "new").write_text('{"i":2,"t":"2026-01-01T00:00:02Z"}\n'
                                '{"i":4,"t":"2026-01-01T00:05:00Z"}\n')
    running.wait_until(lambda: home.query(
        "SELECT count(*) AS n FROM leat_positions")[0]["n"] == 2 if home.count("m") is not None
        else False, "both are read")
    assert home.rows("m") == []
    (folder / "old").unlink()
    running.wait_until(lambda: [r["total"] for r in home.rows("m")] == ["3"] or
                       [r["total"] for r in home.rows("m")] == [3], "the window is closed")
    # a new file takes the place of the one that is gone, and its time is its own
    (folder / "third").write_text('{"i":8,"t":"2026-01-01T00:06:00Z"}\n')
    running.wait_until(lambda: home.query(
        "SELECT count(*) AS n FROM leat_positions WHERE position > 0")[0]["n"] == 2 and
        home.query("SELECT max(max_time) AS m FROM leat_positions")[0]["m"] > 1767225900000000,
        "the third is read")
    assert running.alive()
    assert running.terminate().status == 0
    assert home.query("SELECT count(*) AS n FROM leat_positions")[0]["n"] == 2


def test_many_small_files(leat):
    """Thousands of files, and more as it runs: few descriptors, nothing twice after a kill."""
    folder = leat.folder / "logs"
    folder.mkdir()
    files = 3000

    def put(number):
        (folder / f".{number}").write_text(f'{{"i":{2 * number}}}\n{{"i":{2 * number + 1}}}\n')
        os.rename(folder / f".{number}", folder / f"{number:06d}.json")
    for number in range(files):
        put(number)
    followed = Followed(leat, "logs")
    followed.running.wait_until(lambda: len(followed.rows()) > files, "half is read")
    assert len(os.listdir(f"/proc/{followed.running.pid}/fd")) < 300
    followed.running.kill()
    for number in range(files, files + 100):
        put(number)
    followed.start()
    with open(folder / "000007.json", "a") as file:
        print('{"i":-1}', file=file)
    followed.wait_for(-1, *range(2 * (files + 100)))
    assert len(os.listdir(f"/proc/{followed.running.pid}/fd")) < 300
    followed.end()


class Writer(threading.Thread):
    """Appends lines one by one, in pieces, and renames the file now and then."""

    def __init__(self, folder, lines, seed):
        super().__init__()
        self.folder, self.lines, self.random = folder, lines, random.Random(seed)
        self.extra = []
        self.start()

    def run(self):
        path, rotations = self.folder / "app.log", 0
        file = open(path, "ab", buffering=0)
        for i in range(self.lines):
            line = json.dumps({"i": i, "pad": "x" * self.random.randrange(200)}).encode() + b"\n"
            cut = self.random.randrange(len(line))
            file.write(line[:cut])
            if self.random.random() < 0.02:
                threading.Event().wait(0.02)
            file.write(line[cut:])
            if self.random.random() < 0.004:
                rotations += 1
                os.rename(path, self.folder / f"app.log.{rotations}")
                if self.random.random() < 0.5:      # the writer is told a little later
                    file.write(b'{"i": %d}\n' % (self.lines + rotations))
                    self.extra.append(self.lines + rotations)
                file.close()
                file = open(path, "ab", buffering=0)
        file.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", ["logs/app.log*", "logs"])
def test_killed_while_a_writer_rotates(leat, path):
    """Every line once, whatever happens to whom."""
    rng = random.Random(7)
    followed = Followed(leat, path, LEAT_EPOCH_ROWS=50)
    writer = Writer(leat.folder / "logs", 4000, 11)
    kills = 0
    while writer.is_alive() or kills < 8:
        try:
            followed.running.process.wait(rng.random() * 0.7)
        except subprocess.TimeoutExpired:
            followed.running.kill()
            kills += 1
            followed.start()
            continue
        raise AssertionError(followed.running.err)
    writer.join()
    followed.told("going on from epoch")
    followed.wait_for(*range(4000), *writer.extra)
    followed.end()
    assert kills >= 8


def test_killed_at_every_epoch(leat):
    followed = Followed(leat, "logs", LEAT_KILL_AT_EPOCH=1, LEAT_EPOCH_ROWS=1)
    rounds = 0
    while len(followed.rows()) < 30:
        followed.append(f"{rounds % 3}.log", 2 * rounds, 2 * rounds + 1)
        if rounds % 5 == 4:
            followed.rename(f"{rounds % 3}.log", f"{rounds}.old")
        rounds += 1
        if followed.running.process.wait(30) == -9:
            followed.start()
    written = 2 * rounds
    followed.environment = {}
    followed.running.kill()
    followed.start()
    followed.told("going on from epoch")
    followed.wait_for(*range(written))
    followed.end()


@pytest.mark.parametrize("point", ["source.fact:1", "source.kept:1", "source.fact:2",
                                   "source.kept:2", "source.chunk:3", "home.committed:2"])
def test_killed_where_it_hurts(leat, point):
    """Before and after the home knows which file has which place."""
    followed = Followed(leat, "logs", LEAT_FAULT=point)
    followed.append("a", 1, 2)
    followed.told("made anew")
    if followed.running.alive() and not point.endswith(":1"):
        followed.wait_for(1, 2)
        followed.append("b", 3, 4)
        followed.append("a", 5)
        followed.rename("a", "c")
    if followed.running.alive() and point != "home.committed:2":
        assert followed.running.wait().status == -9
    else:
        followed.running.kill()
    written = [i for name in os.listdir(leat.folder / "logs")
               for i in map(lambda line: json.loads(line)["i"],
                            (leat.folder / "logs" / name).read_text().splitlines())]
    followed.environment = {}
    followed.start()
    followed.append("b", 7)
    followed.wait_for(7, *written)
    followed.end()


@pytest.mark.parametrize("options, text", [
    ("path = '-', follow = true", "standard input cannot be followed"),
    ("path = 'logs', follow = true, order = 'name'", "leave one of them out"),
])
def test_refused(leat, options, text):
    leat.write("p.sql", f"CREATE TABLE t (i int) WITH (connector = 'file', {options});\n"
                        "CREATE MATERIALIZED VIEW m AS SELECT i FROM t;")
    ended = leat.run("check", "p.sql")
    assert ended.status == 2 and text in ended.err


def test_a_pipe_cannot_be_followed(leat):
    os.mkfifo(leat.folder / "pipe")
    leat.write("p.sql", PIPELINE % ("pipe", ""))
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "is not a regular file" in ended.err


def test_quiet_files_cost_little(leat):
    """A few thousand files that nothing is written to."""
    folder = leat.folder / "logs"
    folder.mkdir()
    for number in range(2000):
        (folder / f"{number}.json").write_text(f'{{"i":{number}}}\n')
    followed = Followed(leat, "logs")
    followed.wait_for(*range(2000))

    def ticks():
        fields = open(f"/proc/{followed.running.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    threading.Event().wait(2)
    assert ticks() - before < 40, "of 200 ticks"
    followed.end()
