"""The real program with real Kafka, killed at every fault point and at random, its broker killed, its
network cut: whatever happens, each result stands outside exactly once.

One pipeline reads from a source and writes to every kind of sink; what was sent is in the simulator's
ledger, and `leat verify` compares event by event; PostgreSQL answers the windows over the same rows."""
import json
import os
import random

import pytest

from support.process import Leat, wait_until
from support.proxy import Proxy
from support.rows import Home
from support.servers import Kafka, free_ports
from test_fault_points import listed

EVENTS = 3000
GENERATE = ("--events", EVENTS, "--devices", 20, "--fields", 2, "--duplicates", 0.01,
            "--disorder", "1 second", "--start", "2026-01-01T00:00:00Z")
COLUMNS = """eventId text NOT NULL, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz NOT NULL, complexData jsonb"""
KAFKA = """connector = 'kafka', topic = '{topic}', "bootstrap.servers" = '{servers}'"""
TIME = "event_time = 'createdAt', watermark_delay = '2 seconds'"
PIPELINE = """
SET http = 'off';
SET checkpoint_interval = '20 milliseconds';
CREATE TABLE telemetry ({columns}) WITH ({source}, {time});
CREATE VIEW clean WITH (horizon = '1 hour') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE MATERIALIZED VIEW per_device AS
SELECT deviceId, window_start, count(*) AS n, sum(deviceSequenceNumber) AS numbers
FROM tumble(clean, createdAt, INTERVAL '1 second') GROUP BY deviceId, window_start;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM telemetry;
CREATE TABLE file_all ({columns}) WITH (connector = 'file', path = 'all.ndjson');
INSERT INTO file_all SELECT * FROM telemetry;
CREATE TABLE folder_clean ({columns}) WITH (connector = 'file', path = 'clean/');
INSERT INTO folder_clean SELECT * FROM clean;
CREATE TABLE kafka_all ({columns}) WITH ({all});
INSERT INTO kafka_all SELECT * FROM telemetry;
CREATE TABLE kafka_clean ({columns}) WITH ({clean});
INSERT INTO kafka_clean SELECT * FROM clean;
CREATE TABLE kafka_counts (deviceId text PRIMARY KEY, n bigint) WITH ({counts});
INSERT INTO kafka_counts SELECT deviceId, count(*) FROM clean GROUP BY deviceId;
"""
ALL, CLEAN = ("file_all", "kafka_all"), ("folder_clean", "kafka_clean")
THREE_PARTITIONS = 3
ONCE = ("home.make", "home.made", "home.raised", "sink.recover", "source.fact", "source.kept")


class Trial:
    """A source filled once, and pipelines from it into sinks of their own."""

    def __init__(self, folder, kafka, kind, name):
        self.kafka, self.kind, self.name = kafka, kind, name
        self.given = Leat(folder)
        self.runs = 0
        self.given.ok("generate", *GENERATE, "--seed", 1, "--to", "in.ndjson", "--ledger", "sent.ledger")
        self.lines = (folder / "in.ndjson").read_text().splitlines()
        if kind == "kafka":
            kafka.create_topic(f"{name}-in", THREE_PARTITIONS)
            kafka.produce(f"{name}-in", [(int(json.loads(line)["deviceId"][-1]) % THREE_PARTITIONS, line)
                                         for line in self.lines],
                          kafka.producer(enable_idempotence=True))   # retries must not change the order

    def source(self, servers):
        if self.kind == "kafka":
            return KAFKA.format(topic=f"{self.name}-in", servers=servers)
        return f"connector = 'file', path = '{self.given.folder}/in.ndjson'"

    def prepare(self, leat, servers=None, more=""):
        """Writes p.sql into the test's folder, with topics of its own."""
        self.runs += 1
        servers = servers or self.kafka.bootstrap
        topics = {}
        for sink in ("all", "clean", "counts"):
            topics[sink] = KAFKA.format(topic=self.kafka.create_topic(f"{self.name}-{self.runs}-{sink}", 2),
                                        servers=servers)
        leat.write("p.sql", PIPELINE.format(columns=COLUMNS, time=TIME, source=self.source(servers),
                                            **topics) + more)
        return Home(leat.folder / "p.leat")

    def run(self, leat, fault=None, rows=25, epoch=200):
        return leat.start("run", "p.sql", env={
            "LEAT_BATCH_ROWS": rows, "LEAT_EPOCH_ROWS": epoch, **({"LEAT_FAULT": fault} if fault else {})})

    def counted(self, home):
        rows = home.count("total") and home.rows("total")
        return rows[0]["n"] if rows else 0

    def all_counted(self, home):
        return self.counted(home) >= len(self.lines)

    def finish(self, leat, home, seconds=60):
        """Runs until all is counted and delivered, undisturbed."""
        running = self.run(leat)
        if self.kind == "kafka":
            running.wait_until(lambda: "home p.leat:" in running.err and self.all_counted(home),
                               "everything is counted", seconds)
            self.wait_delivered(running, home, seconds)
            ended = running.terminate()
        else:
            ended = running.wait(seconds)
        assert ended.status == 0, ended

    def wait_delivered(self, running, home, seconds):
        """A sink by position may be behind the home after a kill: what it lacks is read again. What an
        outbox owes may take longer than the moments that a stop waits for it."""
        topic = f"{self.name}-{self.runs}-all"
        running.wait_until(lambda: len(self.kafka.consume(topic)) >= len(self.lines),
                           "everything is delivered", seconds)
        running.wait_until(lambda: home.query("SELECT count(*) AS n FROM leat_outbox") == [{"n": 0}],
                           "nothing is owed", seconds)

    def judge(self, leat, postgres):
        home = Home(leat.folder / "p.leat")
        assert self.all_counted(home) and home.rows("total")[0]["n"] == len(self.lines)
        for table in ALL + CLEAN:
            limits = ["--deduplicated", "--max-duplicated", 0] if table in CLEAN else \
                ["--max-missing-copies", 0]
            leat.ok("verify", "--ledger", self.given.folder / "sent.ledger", "--in", f"p.sql:{table}",
                    *limits)
        assert not home.rows("late_rows") and not home.rows("dead_letters")
        events = {}
        for line in self.lines:
            row = json.loads(line)
            events[row["eventId"]] = (row["deviceId"], row["createdAt"], row["deviceSequenceNumber"])
        postgres.load("crash_events", [("device", "text"), ("at", "timestamptz"), ("number", "bigint")],
                      events.values())
        expected = postgres.json_rows("""SELECT device, date_trunc('second', at) AS s, count(*) AS n,
            sum(number) AS numbers FROM crash_events GROUP BY 1, 2""")
        expected = sorted((r["device"], r["s"].replace("+00:00", "Z"), r["n"], r["numbers"])
                          for r in map(json.loads, expected))
        assert expected == sorted((r["deviceId"], r["window_start"], r["n"], int(r["numbers"]))
                                  for r in home.rows("per_device"))
        counts = {}
        for device, _, _ in events.values():
            counts[device] = counts.get(device, 0) + 1
        topic = f"{self.name}-{self.runs}-counts"
        assert self.latest(topic) == counts

    def latest(self, topic):
        """What a compacted topic holds in the end."""
        found = {}
        for _, _, key, value in sorted(self.kafka.consume(topic)):
            found[key.decode()] = json.loads(value)["n"] if value else None
        return found


@pytest.fixture(scope="module", params=["file", "kafka"])
def trial(request, tmp_path_factory, kafka):
    return Trial(tmp_path_factory.mktemp("given"), kafka, request.param, f"crash-{request.param}")


@pytest.fixture(scope="module")
def kafka_trial(tmp_path_factory, kafka):
    return Trial(tmp_path_factory.mktemp("given"), kafka, "kafka", "crash-random")


def points():
    """The program's list; those of --reset are not passed here."""
    return [name for name in listed(Leat(os.getcwd())) if not name.startswith("query.")]


PASSES = [int(n) for n in os.environ.get("CRASH_PASSES", "2").split(",")]


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("group", range(6))
def test_killed_at_every_point(leat, trial, postgres, group, passes):
    """Each point of a group kills the same pipeline once, one after the other; then it must be right."""
    home = trial.prepare(leat)
    mine = points()[group::6]
    died = 0
    for point in mine:
        running = trial.run(leat, f"{point}:{1 if point in ONCE else passes}")
        goal = trial.counted(home) + 400        # a point that is not passed here must not use up the rows
        wait_until(lambda: not running.alive() or trial.counted(home) > goal, f"{point} kills or rows pass")
        died += not running.alive()
        running.kill()
        assert running.process.returncode in (0, -9), running.wait()
    trial.finish(leat, home)
    trial.judge(leat, postgres)
    assert died, f"none of {mine} was passed"


@pytest.mark.parametrize("seed", range(int(os.environ.get("CRASH_SEEDS", "2"))))
def test_killed_at_random(leat, kafka_trial, postgres, seed):
    draw = random.Random(seed)
    home = kafka_trial.prepare(leat)
    for _ in range(8):
        fault = f"{draw.choice(points())}:{draw.randrange(1, 30)}"
        running = kafka_trial.run(leat, fault, rows=draw.choice((1, 10, 100)), epoch=draw.choice((50, 300)))
        wait_until(lambda: not running.alive() or kafka_trial.all_counted(home), f"{fault} or all is done")
        running.kill()
    kafka_trial.finish(leat, home)
    kafka_trial.judge(leat, postgres)


GENERATED = """
SET http = 'off';
SET checkpoint_interval = '20 milliseconds';
CREATE TABLE telemetry ({columns}) WITH (connector = 'generator', events = 4000, rate = 4000, devices = 20,
  fields = 1, duplicates = 0, seed = 7, start = '2026-01-01T00:00:00Z', event_time = 'createdAt');
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM telemetry;
CREATE MATERIALIZED VIEW per_device AS
SELECT deviceId, count(*) AS n, max(deviceSequenceNumber) AS last, sum(deviceSequenceNumber) AS numbers
FROM telemetry GROUP BY deviceId;
CREATE TABLE in_file ({columns}) WITH (connector = 'file', path = 'all.ndjson');
INSERT INTO in_file SELECT * FROM telemetry;
CREATE TABLE in_folder ({columns}) WITH (connector = 'file', path = 'all/', format = 'csv');
INSERT INTO in_folder SELECT * FROM telemetry;
CREATE TABLE in_topic ({columns}) WITH ({topic});
INSERT INTO in_topic SELECT * FROM telemetry;
"""


def test_the_generator_is_killed(leat, kafka):
    """Its events are made anew after a kill: the same ones where they were committed, no gap, no copy."""
    topic = kafka.create_topic("crash-generated", 2)
    leat.write("p.sql", GENERATED.format(columns=COLUMNS, topic=KAFKA.format(
        topic=topic, servers=kafka.bootstrap)))
    home = Home(leat.folder / "p.leat")
    died = 0
    for fault in [f"{point}:{1 if point in ONCE else 3}" for point in points()]:
        running = leat.start("run", "p.sql", env={"LEAT_FAULT": fault, "LEAT_EPOCH_ROWS": 20})
        before = (home.count("total") and home.rows("total")[0]["n"]) or 0
        wait_until(lambda: not running.alive() or home.count("total") and
                   home.rows("total")[0]["n"] > before + 100, f"{fault} kills or rows pass")
        died += not running.alive()
        running.kill()
    assert died >= 5        # which ones are passed before enough rows are in is the machine's affair
    ended = leat.run("run", "p.sql")
    assert ended.status == 0, ended
    folder = [line.split(",") for file in (leat.folder / "all").glob("epoch-*")
              for line in file.read_text().splitlines()[1:]]
    rows = {"file": [(row["deviceId"], row["deviceSequenceNumber"], row["eventId"])
                     for row in leat.read("all.ndjson")],
            "folder": [(row[2], int(row[3]), row[0]) for row in folder],
            "topic": [(row["deviceId"], row["deviceSequenceNumber"], row["eventId"])
                      for row in (json.loads(value) for *_, value in kafka.consume(topic))]}
    for name, found in rows.items():
        assert len(found) == 4000 and len(set(found)) == 4000, name
        assert sorted(found) == sorted(rows["file"]), name
        devices = {}
        for device, number, _ in found:
            devices.setdefault(device, []).append(number)
        assert all(sorted(numbers) == list(range(len(numbers))) for numbers in devices.values()), name
    assert all(row["last"] == row["n"] - 1 and int(row["numbers"]) == row["n"] * (row["n"] - 1) // 2
               for row in home.rows("per_device"))


def test_a_broker_is_killed(leat, three_brokers, postgres, tmp_path_factory):
    """Three brokers, replication 3, min.insync 2: one is killed in the middle and comes back; the
    program is killed too."""
    trial = Trial(tmp_path_factory.mktemp("given"), three_brokers, "kafka", "crash-cluster")
    home = trial.prepare(leat)
    running = trial.run(leat, rows=5, epoch=50)
    running.wait_until(lambda: (home.count("per_device") or 0) > 3, "something is counted")
    dead = three_brokers.leader("crash-cluster-in", 0)
    three_brokers.kill(dead)
    counted = trial.counted(home)
    running.wait_until(lambda: trial.counted(home) > counted or trial.all_counted(home),
                       "it goes on without the broker")
    running.kill()
    running = trial.run(leat, "deliver.committed:2")
    wait_until(lambda: not running.alive() or trial.all_counted(home), "killed, or all is counted", 60)
    running.kill()
    three_brokers.restart(dead)
    trial.finish(leat, home)
    trial.judge(leat, postgres)


@pytest.fixture(scope="module")
def proxied():
    """A broker that tells its clients to come through a proxy, and another address for the tests."""
    broker = Kafka()
    direct, controller, behind = free_ports(3)
    broker.broker.port, broker.broker.controller_port = direct, controller
    broker.bootstrap = f"127.0.0.1:{direct}"
    proxy = Proxy(behind)
    broker.broker.more = {
        "listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{behind},"
                     f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxy.port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT"}
    broker.start()
    yield broker, proxy
    proxy.close()
    broker.remove()


@pytest.mark.parametrize("how", ["cut", "stall", "slow"])
def test_the_network(leat, proxied, postgres, tmp_path_factory, how):
    """Connections break, go silent or crawl in small pieces, again and again."""
    kafka, proxy = proxied
    proxy.mend()
    trial = Trial(tmp_path_factory.mktemp("given"), kafka, "kafka", f"net-{how}")
    home = trial.prepare(leat, servers=f"127.0.0.1:{proxy.port}")
    running = trial.run(leat, rows=10, epoch=100)
    for _ in range(3):
        counted = trial.counted(home)
        running.wait_until(lambda: trial.all_counted(home) or trial.counted(home) > counted, "it goes on")
        if how == "slow":
            proxy.slow(0.002, 1000)
            before = proxy.passed
            wait_until(lambda: proxy.passed > before + 20000, "bytes crawl")
        else:
            held = proxy.held
            getattr(proxy, how)()
            wait_until(lambda: "trying again" in running.err if how == "cut" else proxy.held > held + 1,
                       "it is noticed")
        proxy.mend()
    running.wait_until(lambda: trial.all_counted(home), "all is counted", 60)
    trial.wait_delivered(running, home, 60)
    ended = running.terminate()
    assert ended.status == 0, ended
    trial.judge(leat, postgres)
