"""The web side: API, metrics, and the dashboard in a real browser.

The pipeline reads standard input, held open by the test: so every number is known, and the test decides
when the next row comes."""
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from playwright.sync_api import sync_playwright

from support.process import Leat, wait_until
from support.rows import Home
from support.servers import free_port

PIPELINE = """SET http = '127.0.0.1:%d'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE events (id int NOT NULL, k text, v double precision, t timestamptz)
WITH (connector = 'file', path = '-', event_time = 't', watermark_delay = '2 seconds');
CREATE TABLE sites (k text PRIMARY KEY, site text) WITH (connector = 'file', path = 'sites.ndjson');
CREATE VIEW clean WITH (horizon = '1 minute') AS SELECT DISTINCT ON (id) * FROM events;
CREATE MATERIALIZED VIEW per_site AS
SELECT site AS "Site name", window_start, window_end, count(*) AS events, max(v) AS high, avg(v) AS mean
FROM tumble((SELECT c.*, s.site FROM clean c LEFT JOIN sites s ON s.k = c.k), t,
            INTERVAL '10 seconds')
GROUP BY site, window_start, window_end;
CREATE MATERIALIZED VIEW hot AS SELECT id, k, v, t, v > 90 AS very FROM events WHERE v > 50;
CREATE TABLE out (id int, doubled double precision) WITH (connector = 'file', path = 'out.ndjson');
INSERT INTO out SELECT id, v * 2 FROM clean WHERE id %% 2 = 0;
"""
ROWS = 1237


def line(i, v=None):
    second = i // 20
    return json.dumps({"id": i, "k": "abcd"[i % 4], "v": float(i % 100) if v is None else v,
                       "t": f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"})


class Pipeline:
    """A running pipeline and what was written to it."""

    def __init__(self, folder):
        self.program = Leat(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.program.write("sites.ndjson", [{"k": k, "site": f"site {k}"} for k in "abc"])
        self.program.write("p.sql", PIPELINE % self.port)
        self.running = self.program.start("run", "p.sql", stdin=subprocess.PIPE)
        self.home = Home(self.program.folder / "p.leat")

    def send(self, lines):
        self.running.process.stdin.write("".join(text + "\n" for text in lines).encode())
        self.running.process.stdin.flush()

    def api(self, path="/v1/pipeline"):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def taken(self):
        return named(self.api()["sources"], "events")["rows"]

    def quiet(self):
        """All that was taken is committed: the API's numbers stand still."""
        committed = self.home.query("SELECT sum(records) AS n FROM leat_positions")[0]["n"]
        return committed == self.taken()


def named(items, name):
    return next(item for item in items if item["name"] == name)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, http):
    p = Pipeline(tmp_path_factory.mktemp("web"))
    p.running.wait_until(lambda: (answer := http(p.url + "/readyz")) and answer.status == 200,
                         "the server is ready")
    p.send([line(i) for i in range(ROWS)])
    p.send(["broken", '{"id":"x"}', line(3), line(1200), line(2, 99.0),
            '{"id":90001,"k":"a","v":1,"t":"2025-12-31T23:00:00Z"}',
            '{"id":90003,"k":"a","v":1,"t":"2026-01-01T00:00:01Z"}'])
    p.running.wait_until(lambda: p.taken() >= ROWS, "all rows are taken")
    p.running.wait_until(lambda: (p.home.count("dead_letters") or 0) == 2, "the last rows are committed")
    p.running.wait_until(lambda: (p.home.count("late_rows") or 0) >= 2, "the late rows are committed")
    yield p
    p.running.process.stdin.close()
    ended = p.running.wait(30)
    p.program.end_all()
    assert ended.status == 0, ended
    assert "Sanitizer" not in ended.err, ended


# ---- API ----

def test_health(pipeline, http):
    assert http(pipeline.url + "/healthz").status == 200
    assert http(pipeline.url + "/readyz").status == 200


def test_counts_balance(pipeline):
    """For each query and source: in = passed on + filtered + deduplicated + late + dead letters."""
    state = pipeline.api()
    balanced = 0
    for query in state["queries"]:
        for part in query["sources"]:
            assert part["in"] == part["passed"] + part["filtered"] + part["deduplicated"] + \
                part["late"] + part["dead"], (query["name"], part)
            balanced += 1
    assert balanced >= 3


def test_counts_are_exact(pipeline):
    state = pipeline.api()
    source = named(state["sources"], "events")
    assert (source["rows"], source["dead"]) == (ROWS + 5, 2)
    clean = named(state["queries"], "clean")["sources"][0]
    assert (clean["deduplicated"], clean["late"], clean["passed"]) == (3, 1, ROWS + 1)
    assert named(state["queries"], "per_site")["sources"][0]["late"] == 1
    assert sorted(row["query"] for row in pipeline.home.rows("late_rows")) == ["clean", "per_site"]
    hot = named(state["queries"], "hot")["sources"][0]
    assert hot["passed"] == pipeline.home.count("hot")


def test_view(pipeline):
    answer = pipeline.api("/v1/views/hot?limit=100000")
    rows = answer["rows"]
    stored = pipeline.home.rows("hot")
    assert len(rows) == len(stored)

    def by_id(rows):
        return sorted(([*row], [*row.values()]) for row in rows)
    assert by_id(rows) == by_id(stored)
    assert all(type(row["very"]) is bool for row in rows)


def test_view_filter_and_limit(pipeline):
    everything = pipeline.api("/v1/views/hot?limit=100000")["rows"]
    for query, test in [("k=a", lambda r: r["k"] == "a"), ("id=51", lambda r: r["id"] == 51),
                        ("very=true", lambda r: r["very"]),
                        ("k=a&very=false", lambda r: r["k"] == "a" and not r["very"]),
                        ("k=zz", lambda r: False)]:
        rows = pipeline.api(f"/v1/views/hot?limit=100000&{query}")["rows"]
        assert sorted(map(json.dumps, rows)) == sorted(json.dumps(r) for r in everything if test(r)), query
    assert len(pipeline.api("/v1/views/hot?limit=7")["rows"]) == 7
    windows = pipeline.api("/v1/views/per_site?Site%20name=site%20a&window_start=2026-01-01T00:00:10Z")
    assert [row["Site name"] for row in windows["rows"]] == ["site a"]


@pytest.mark.parametrize("path,status", [
    ("/nothing", 404), ("/v1/views/nothing", 404), ("/v1/views/", 404), ("/v1/views/hot?nothing=1", 400),
    ("/v1/views/hot?id=x", 400), ("/v1/views/hot?limit=x", 400), ("/v1/views/hot?limit=-1", 400),
    ("/v1/views/leat_meta", 404), ("/v1/views/sqlite_master", 404), ("/v1/views/hot%00", 404),
    ("/..%2f..%2fetc/passwd", 404), ("/v1/views/" + "x" * 5000, 404),
])
def test_refused(pipeline, http, path, status):
    answer = http(pipeline.url + path)
    assert answer.status == status, answer.text
    assert 0 < len(answer.text) < 2000


@pytest.mark.parametrize("value", ["'", "a' OR '1'='1", "%", "_", "\u00e9", "x" * 3000])
def test_hostile_filter(pipeline, value):
    assert pipeline.api("/v1/views/hot?k=" + urllib.parse.quote(value))["rows"] == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_read_only(pipeline, method):
    request = urllib.request.Request(pipeline.url + "/v1/pipeline", data=b"x" * 100_000, method=method)
    with pytest.raises((urllib.error.HTTPError, ConnectionError)) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert not isinstance(caught.value, urllib.error.HTTPError) or caught.value.code == 405


def test_rubbish_on_the_port(pipeline, http):
    for data in (b"\x00\xff" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 100_000,
                 b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", pipeline.port), 2) as s:
            try:     # an answer, a closed connection, silence: all the same to the others
                s.sendall(data)
                s.recv(1000)
            except OSError:
                pass
    assert http(pipeline.url + "/healthz").status == 200


def test_rejects(pipeline):
    rejects = pipeline.api("/v1/rejects")
    rejects = rejects["rows"] if isinstance(rejects, dict) else rejects
    records = [row["record"] for row in rejects]
    assert "broken" in records and '{"id":"x"}' in records
    assert all(row["reason"] for row in rejects)


def test_metrics(pipeline, http):
    answer = http(pipeline.url + "/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    promtool = shutil.which("promtool")
    assert promtool, "promtool comes with the package prometheus"
    done = subprocess.run([promtool, "check", "metrics"], input=answer.body, capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    rows = re.findall(r'^leat_source_rows_total\{.*source="events".*\} (\d+)', answer.text, re.M)
    assert [int(n) for n in rows] == [pipeline.taken()]


# ---- the dashboard ----

@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    assert program, "the package chromium is missing"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run"])
        yield browser
        browser.close()


SIZES = {"phone": (375, 740), "laptop": (1366, 900), "wall": (3840, 2160)}


class Page:
    """The dashboard in a browser; remembers what went wrong and where it asked."""

    def __init__(self, browser, url, size=(1366, 900), scheme="light"):
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]},
                                           color_scheme=scheme)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.errors.append(m.text))
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(url + "/")

    def text(self):
        """What is to be read, digits without their separators."""
        text = self.page.inner_text("body")
        return re.sub(r"(?<=\d)[,\u202f\u00a0\u2009'](?=\d{3})", "", text)

    def wait_for(self, *words, seconds=20):
        def there():
            self.page.wait_for_timeout(20)      # lets the browser's events through
            text = self.text()
            return all(str(word) in text for word in words)
        wait_until(there, f"the page shows {words}; it shows:\n{self.text()[:3000]}", seconds, 0.001)

    def close(self):
        self.context.close()


@pytest.fixture
def page(browser, pipeline):
    page = Page(browser, pipeline.url)
    yield page
    page.close()
    assert not page.errors, page.errors
    assert all(url.startswith(pipeline.url) or url.startswith("data:") for url in page.requests)


def test_page_shows_the_numbers(pipeline, page):
    state = pipeline.api()
    page.wait_for("per_site", "hot", "events", "out", named(state["sources"], "events")["rows"])
    for name in ("clean", "hot"):
        part = named(state["queries"], name)["sources"][0]
        page.wait_for(part["in"])
    page.wait_for("broken")


def test_page_is_live(pipeline, page):
    """What comes in shows without a reload."""
    before = pipeline.taken()
    page.wait_for(before)
    for step in range(1, 4):
        pipeline.send([line(ROWS + 100 * step + i, 77.25) for i in range(100)])
        page.wait_for(before + 100 * step)
    wait_until(lambda: pipeline.taken() == before + 300, "the API tells the same")
    assert len([url for url in page.requests if url.rstrip("/") == pipeline.url]) == 1


def test_page_shows_the_view(pipeline, page):
    rows = pipeline.api("/v1/views/per_site?limit=5")["rows"]
    assert rows
    page.wait_for("Site name")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_page_fits(pipeline, browser, tmp_path, size, scheme):
    """No sideways scrolling on any screen; a picture of each is left in the test's folder."""
    page = Page(browser, pipeline.url, SIZES[size], scheme)
    try:
        page.wait_for("per_site", pipeline.taken())
        wide, inner = page.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= inner, f"{wide} pixels on a screen of {inner}"
        background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", background)[:3])) > 384
        assert light == (scheme == "light"), background
        path = tmp_path / f"{size}-{scheme}.png"
        page.page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 10_000
        assert not page.errors, page.errors
    finally:
        page.close()


def test_page_survives_the_end_of_the_program(browser, tmp_path, http):
    """When the program stops the page says so instead of showing old numbers as if they were new."""
    p = Pipeline(tmp_path)
    page = None
    try:
        p.running.wait_until(lambda: http(p.url + "/readyz"), "the server is there")
        p.send([line(i) for i in range(321)])
        page = Page(browser, p.url)
        page.wait_for(321)
        before = page.text()
        assert p.running.terminate().status == 0
        wait_until(lambda: page.page.wait_for_timeout(20) or page.text() != before,
                   "the page tells that the program is gone", 20, 0.001)
    finally:
        if page:
            page.close()
        p.program.end_all()


AWAY = """SET http = '127.0.0.1:%d'; SET checkpoint_interval = '50 milliseconds'; SET outbox_limit = '1 MB';
CREATE TABLE events (note text) WITH (connector = 'file', path = '-');
CREATE TABLE far (note text) WITH (connector = 'kafka', topic = 't', "bootstrap.servers" = '127.0.0.1:%d');
INSERT INTO far SELECT note FROM events;
"""


def test_what_goes_wrong_is_told(browser, leat, http):
    """A sink that is away: since when, what it is owed, and that it keeps its source waiting."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    leat.write("p.sql", AWAY % (port, free_port()))
    running = leat.start("run", "p.sql", stdin=subprocess.PIPE)

    def state():
        with urllib.request.urlopen(url + "/v1/pipeline", timeout=10) as answer:
            return json.load(answer)
    running.wait_until(lambda: (answer := http(url + "/readyz")) and answer.status == 200, "it is ready")
    running.wait_until(lambda: state()["sinks"][0]["state"], "the sink is told to be away")
    began = state()["sinks"][0]["away_since"]
    page = Page(browser, url)
    try:
        page.wait_for("running, 1 problem", "Sink far", "away for", "no broker answers")

        def send():
            running.process.stdin.write(b'{"note": "%s"}\n' % (b"x" * 50_000))
            running.process.stdin.flush()
            return state()["sources"][0]["blocked"]
        running.wait_until(send, "the source waits for its sink")
        now = state()
        assert now["sinks"][0]["away_since"] == began < now["now"] and now["sources"][0]["away_since"] is None
        assert now["sinks"][0]["owed_bytes"] > 1_000_000
        page.wait_for("running, 2 problems", "are owed", "its outbox is full", "Source events", "waits",
                      "sink far is full")
        samples = json.loads(http(url + "/v1/history").text)["samples"]
        assert {"owed", "lost", "refused"} <= set(samples[-1])
        metrics = http(url + "/metrics").text
        assert 'leat_sink_away{sink="far"} 1' in metrics and 'leat_source_blocked{source="events"} 1' in metrics
        assert not page.errors, page.errors
    finally:
        page.close()
    ended = running.terminate()
    assert ended.status == 0, ended
    assert "stopping: waits at most 10 s for sink far, which is owed" in ended.err, ended
    assert "bytes; the next start delivers them" in ended.err and "stopped at epoch" in ended.err, ended
