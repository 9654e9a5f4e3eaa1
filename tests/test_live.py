"""What one sees of a pipeline while it runs: growth, retention, refreshed references, back-pressure."""
import json
import pathlib
import re
import subprocess
import time

import pytest

from support.process import BINARY, wait_until
from support.rows import Home, assert_same, parse


class Fed:
    """A pipeline on standard input, fed row by row."""

    def __init__(self, leat, sql):
        leat.write("p.sql", "SET http = 'off'; SET checkpoint_interval = '20 milliseconds';\n"
                   "CREATE TABLE events (k text, v int, t timestamptz) WITH (connector = 'file', "
                   "path = '-', event_time = 't');\n" + sql)
        self.running = leat.start("run", "p.sql", stdin=subprocess.PIPE)
        self.home = Home(leat.folder / "p.leat")

    def send(self, *rows):
        for k, v, second in rows:
            line = {"k": k, "v": v, "t": f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:"
                                         f"{second % 60:02d}Z"}
            self.running.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.running.process.stdin.flush()

    def wait_for(self, view, rows, columns="*"):
        """Waits until the view holds exactly these rows."""
        def holds():
            if self.home.count(view) != len(rows):
                return False
            return sorted(map(json.dumps, self.home.query(f'SELECT {columns} FROM "{view}"'))) == \
                sorted(map(json.dumps, rows))
        self.running.wait_until(holds, f"{view} holds {rows}")

    def end(self):
        self.running.process.stdin.close()
        ended = self.running.wait()
        assert ended.status == 0, ended
        return ended


WINDOWS = """
CREATE MATERIALIZED VIEW grows AS SELECT window_start, sum(v) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW final WITH (emit = 'final') AS SELECT window_start, sum(v) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW totals AS SELECT k, sum(v) AS total FROM events GROUP BY k;
"""


def window(second, total):
    return {"window_start": f"2026-01-01T00:00:{second:02d}Z", "total": total}


def test_growth(leat):
    """A window shows while it grows, unless the view says final; a group without window always."""
    fed = Fed(leat, WINDOWS)
    fed.send(("a", 1, 1))
    fed.wait_for("grows", [window(0, 1)])
    assert fed.home.rows("final") == []
    fed.send(("a", 2, 2), ("b", 4, 3))
    fed.wait_for("grows", [window(0, 7)])
    fed.wait_for("totals", [{"k": "a", "total": 3}, {"k": "b", "total": 4}])
    fed.send(("a", 8, 12))
    fed.wait_for("grows", [window(0, 7), window(10, 8)])
    fed.wait_for("final", [window(0, 7)])
    fed.send(("a", 16, 5), ("a", 32, 13))     # late: the first window stays as it is
    fed.wait_for("grows", [window(0, 7), window(10, 40)])
    assert fed.home.count("late_rows") == 2
    fed.end()
    assert_same([parse(json.dumps(window(0, 7))), parse(json.dumps(window(10, 40)))],
                fed.home.rows("final"), "final")


def test_having_while_growing(leat):
    """A growing group is shown while it meets HAVING and is gone when it no longer does."""
    fed = Fed(leat, """CREATE MATERIALIZED VIEW few AS SELECT k, count(*) AS n
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY k, window_start HAVING count(*) < 3;""")
    fed.send(("a", 1, 1), ("b", 1, 1))
    fed.wait_for("few", [{"k": "a", "n": 1}, {"k": "b", "n": 1}])
    fed.send(("a", 1, 2), ("a", 1, 2))
    fed.wait_for("few", [{"k": "b", "n": 1}])
    fed.end()


def test_retention(leat):
    """Rows older than the watermark less the retention go; the default is a day."""
    fed = Fed(leat, """
CREATE MATERIALIZED VIEW short WITH (retention = '1 minute') AS SELECT window_start, count(*) AS n
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW plain WITH (retention = '30 seconds') AS SELECT v FROM events;
CREATE MATERIALIZED VIEW day AS SELECT window_start, count(*) AS n
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;""")
    fed.send(("a", 1, 0))
    fed.wait_for("plain", [{"v": 1}])
    fed.send(("a", 2, 45))
    fed.wait_for("plain", [{"v": 2}])
    fed.wait_for("short", [{"n": 1}, {"n": 1}], "n")
    fed.send(("a", 3, 3600))
    fed.wait_for("short", [{"window_start": "2026-01-01T01:00:00Z"}], "window_start")
    fed.wait_for("day", [{"n": 1}] * 3, "n")
    fed.send(("a", 4, 23 * 3600 + 3599))
    fed.wait_for("day", [{"n": 1}] * 4, "n")
    fed.end()
    assert len(fed.home.rows("day")) == 4


def test_end_of_bounded_input_deletes_nothing(leat):
    """The end of the input is no time: what was kept before it stays."""
    fed = Fed(leat, "CREATE MATERIALIZED VIEW plain WITH (retention = '1 minute') AS "
                    "SELECT v FROM events;")
    fed.send(("a", 1, 0), ("a", 2, 30))
    fed.end()
    assert sorted(row["v"] for row in fed.home.rows("plain")) == [1, 2]


def test_refresh(leat):
    """A reference table is read again, all at once; a bad one is told and the old rows stay."""
    leat.write("sites.csv", "k,site\na,1\nb,1\n")
    fed = Fed(leat, """CREATE TABLE sites (k text PRIMARY KEY, site int)
WITH (connector = 'file', path = 'sites.csv', format = 'csv', refresh = '50 milliseconds');
CREATE MATERIALIZED VIEW joined AS SELECT e.v, s.site FROM events e LEFT JOIN sites s ON s.k = e.k;""")
    sent = 0

    def site(key):
        """What a row that is sent now joins with."""
        nonlocal sent
        sent += 1
        fed.send((key, sent, sent))
        found = fed.running.wait_until(
            lambda: fed.home.query("SELECT site FROM joined WHERE v = ?", sent)
            if fed.home.count("joined") is not None else None, "the row is joined")
        return found[0]["site"]
    assert site("a") == 1

    def replace(content):
        leat.write("next.csv", content)
        (leat.folder / "next.csv").rename(leat.folder / "sites.csv")
    replace("k,site\na,2\nc,2\n")
    fed.running.wait_until(lambda: site("a") == 2, "the new rows are used")
    assert (site("b"), site("c")) == (None, 2)
    before = len(fed.running.err)
    replace("k,site\na,three\n")
    fed.running.wait_until(lambda: "sites" in fed.running.err[before:], "the bad refresh is told")
    assert (site("a"), site("c")) == (2, 2)
    replace("k,site\na,4\n")
    fed.running.wait_until(lambda: site("a") == 4, "a good one is used again")
    fed.end()


def memory_mb(pid):
    """The most that a process held so far; 0 once it has ended."""
    found = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0


def test_stalled_sink(leat):
    """A sink that takes nothing stops the sources that feed it: little memory, no row lost."""
    leat.ok("generate", "--events", "150000", "--seed", "5", "--duplicates", "0", "--to", "in.ndjson")
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz, complexData jsonb)
WITH (connector = 'file', path = 'in.ndjson');
CREATE TABLE out (eventId text, deviceId text, complexData jsonb)
WITH (connector = 'file', path = '-');
INSERT INTO out SELECT eventId, deviceId, complexData FROM telemetry;""")

    def start():
        (leat.folder / "p.leat").unlink(missing_ok=True)
        return subprocess.Popen([BINARY, "run", "p.sql"], cwd=leat.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def drain(process):
        lines, peak = 0, 0
        while block := process.stdout.read(1 << 20):
            lines += block.count(b"\n")
            peak = max(peak, memory_mb(process.pid))
        return lines, peak
    with start() as free:
        lines, normal = drain(free)
        assert (lines, free.wait(30)) == (150_000, 0)
    with start() as stalled:
        try:
            seen = []

            def stands_still():     # nothing is read any more: the stall reached the source
                read = pathlib.Path(f"/proc/{stalled.pid}/io").read_text().split()[1]
                seen.append((time.monotonic(), int(read)))
                return [s for s in seen if s[1] == int(read)][0][0] < time.monotonic() - 1 and \
                    int(read) > 1_000_000
            wait_until(stands_still, "the source is stopped")
            assert int(seen[-1][1]) < 120_000_000
            assert memory_mb(stalled.pid) < normal + 64
            lines, peak = drain(stalled)
            assert (lines, stalled.wait(30)) == (150_000, 0)
            assert peak < normal + 64
        finally:
            stalled.kill()


def test_generator_goes_on(leat):
    """A restart opens a new segment and does not catch up on the time it was down."""
    leat.write("p.sql", """SET http = 'off'; SET checkpoint_interval = '20 milliseconds';
CREATE TABLE telemetry (eventId text, createdAt timestamptz)
WITH (connector = 'generator', rate = 1000, duplicates = 0, devices = 5, event_time = 'createdAt');
CREATE MATERIALIZED VIEW ids AS SELECT eventId, createdAt FROM telemetry;""")
    home = Home(leat.folder / "p.leat")
    counts = []
    for wanted in (100, 300):
        running = leat.start("run", "p.sql")
        running.wait_until(lambda: (home.count("ids") or 0) >= wanted, f"{wanted} events")
        assert running.terminate().status == 0
        counts.append(home.count("ids"))
    rows = home.rows("ids")
    assert len({row["eventId"] for row in rows}) == len(rows) == counts[1]
    assert counts[1] < counts[0] + 5000


@pytest.mark.parametrize("interval", ["10 seconds", "20 milliseconds"])
def test_checkpoint_interval(leat, interval):
    """An epoch in which nothing came is not committed."""
    leat.write("p.sql", f"""SET http = 'off'; SET checkpoint_interval = '{interval}';
CREATE TABLE events (v int) WITH (connector = 'file', path = '-');
CREATE MATERIALIZED VIEW plain AS SELECT v FROM events;""")
    ended = leat.ok("run", "p.sql", stdin='{"v":1}\n{"v":2}\n')
    home = Home(leat.folder / "p.leat")
    assert len(home.rows("plain")) == 2, ended
    epoch = [row["value"] for row in home.query("SELECT value FROM leat_meta WHERE name = 'epoch'")]
    assert 1 <= int(epoch[0]) <= 5
