"""What a Kafka sink promises, on real brokers: markers that are forgotten, producers that are fenced
or expired, rows that a topic refuses.

The expiring broker forgets what it can within a minute; what takes that long is begun by the first
test that needs it and judged by the last one of this file."""
import json
import re
import signal
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from support.process import Leat, wait_until
from support.rows import Home
from support.servers import Kafka, marker_words

PIPELINE = """SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE events (k text, v int) WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s');
CREATE MATERIALIZED VIEW plain AS SELECT * FROM events;
CREATE TABLE out (k text, n bigint%s)
WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s'%s);
INSERT INTO out SELECT k, v FROM events;
"""
RENEW = {"LEAT_RENEW_SECONDS": 5}


class Pipe:
    """A pipeline from one topic into another."""

    def __init__(self, leat, broker, name, partitions=2, columns="", options="", out=None):
        self.leat, self.broker, self.sent = leat, broker, 0
        name = re.sub(r"\W+", "-", name)
        self.source = broker.create_topic(f"{name}-in", 2)
        self.out = out or broker.create_topic(f"{name}-out", partitions)
        # One cluster is known by the same words: with others the delivery is by outbox.
        leat.write("p.sql", PIPELINE % (self.source, f"{broker.bootstrap},{broker.bootstrap}",
                                        columns, self.out, broker.bootstrap, options))
        self.home = Home(leat.folder / "p.leat")

    def send(self, count):
        self.broker.produce(self.source, [(i % 2, json.dumps({"k": f"k{i % 7}", "v": i}))
                                          for i in range(self.sent, self.sent + count)])
        self.sent += count

    def start(self, **env):
        return self.leat.start("run", "p.sql", env=env)

    def numbers(self):
        return sorted(json.loads(value)["n"] for _, _, _, value in self.broker.consume(self.out))

    def arrived(self, running, seconds=30):
        running.wait_until(lambda: len(self.numbers()) >= self.sent, f"{self.sent} rows", seconds)

    def run(self, **env):
        running = self.start(**env)
        self.arrived(running)
        ended = running.terminate()
        assert ended.status == 0, ended
        assert self.numbers() == list(range(self.sent))
        return ended

    @property
    def group(self):
        return "leat.%s.out" % self.home.query("SELECT value FROM leat_meta WHERE name = 'id'")[0]["value"]

    def marker(self):
        """(generation, epoch) as they stand in the group; None: there is no marker."""
        reader = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": self.group})
        try:
            found = reader.committed([TopicPartition(self.out, 0)], 10)[0]
        finally:
            reader.close()
        if found.offset < 0:
            return None
        generation, epoch, *_ = marker_words(found)
        assert int(epoch) == found.offset
        return int(generation), int(epoch)

    def forget_marker(self):
        """As Kafka does after offsets.retention.minutes."""
        for future in self.broker.admin.delete_consumer_groups([self.group]).values():
            future.result(30)
        assert self.marker() is None


@pytest.fixture
def pipe(leat, kafka, request):
    """What a killed run left open is aborted soon: until then nobody reads what others write behind it."""
    return Pipe(leat, kafka, request.node.name,
                options=', "transaction.timeout.ms" = 3000')


@pytest.fixture(scope="module")
def expiring():
    """A broker that forgets: offsets after a minute, producers and their ids after seconds."""
    broker = Kafka({"offsets.retention.minutes": 1, "offsets.retention.check.interval.ms": 500,
                    "transactional.id.expiration.ms": 3000,
                    "transaction.remove.expired.transaction.cleanup.interval.ms": 500,
                    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 300,
                    "producer.id.expiration.ms": 3000,
                    "producer.id.expiration.check.interval.ms": 500}).start()
    yield broker
    broker.remove()


class Aging:
    """Pipelines whose markers grow old while the other tests run."""

    def __init__(self, broker, folder):
        self.pipes = {}
        for name in ("paid", "delivered", "owed", "renewed"):
            (folder / name).mkdir()
            self.pipes[name] = Pipe(Leat(folder / name), broker, f"aging-{name}")
            self.pipes[name].send(100)
            self.pipes[name].run()
        for name, point in (("delivered", "deliver.committed:1"), ("owed", "deliver.begin:1")):
            self.pipes[name].send(50)
            ended = self.pipes[name].start(LEAT_FAULT=point).wait()
            assert ended.status == -signal.SIGKILL, ended
        self.running = self.pipes["renewed"].start(**RENEW)

    def end(self):
        for pipe in self.pipes.values():
            pipe.leat.end_all()


@pytest.fixture(scope="module")
def aging(expiring, tmp_path_factory):
    pipes = Aging(expiring, tmp_path_factory.mktemp("aging"))
    yield pipes
    pipes.end()


def test_markers_begin_to_age(aging):
    assert all(pipe.marker() for pipe in aging.pipes.values())


def headers(broker, topic):
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader",
                       "auto.offset.reset": "earliest"})
    partitions = reader.list_topics(topic, 10).topics[topic].partitions
    reader.assign([TopicPartition(topic, p, 0) for p in partitions])
    found = []

    def read():
        message = reader.poll(0.2)
        while message is not None:
            found.append(dict(message.headers() or []))
            message = reader.poll(0.2)
        return found
    try:
        return wait_until(read, f"records in {topic}")
    finally:
        reader.close()


def test_records_carry_their_epoch(pipe):
    for _ in range(3):
        pipe.send(100)
        pipe.run()
    found = headers(pipe.broker, pipe.out)
    generation, epoch = pipe.marker()
    epochs = [int(header["leat-epoch"]) for header in found]
    assert len(found) == 300 and generation == 3
    assert len(set(epochs)) >= 3 and min(epochs) >= 1 and max(epochs) == epoch
    named = {header["leat-sink"] for header in found if "leat-sink" in header}
    assert named == {pipe.group.encode()}


def test_marker_is_gone_and_nothing_is_owed(pipe):
    pipe.send(100)
    pipe.run()
    pipe.forget_marker()
    pipe.send(100)
    ended = pipe.run()
    assert "reading back" not in ended.err
    assert pipe.marker()[0] == 2


@pytest.mark.parametrize("point, last", [("deliver.committed", True), ("deliver.sent", False)])
def test_marker_is_gone_and_an_epoch_is_owed(pipe, point, last):
    """Among rows of others, in a topic that another pipeline of Leat writes, too."""
    pipe.send(100)
    pipe.run()
    pipe.send(100)
    ended = pipe.start(LEAT_FAULT=f"{point}:1").wait()
    assert ended.status == -signal.SIGKILL, ended
    if last:    # of the hundred as many as its first epoch had, which may be of one partition alone
        wait_until(lambda: len(pipe.numbers()) > 100, "readers see what was committed")
    before = len(pipe.numbers())
    assert before > 100 if last else before == 100
    neighbour = Leat(pipe.leat.folder / "other")
    neighbour.started = pipe.leat.started       # ended with the test, however it ends
    other = Pipe(neighbour, pipe.broker, f"{pipe.out}-other", out=pipe.out)
    other.send(50)
    running = other.start()
    running.wait_until(lambda: len(pipe.numbers()) >= before + 50, "others", 60)
    assert running.terminate().status == 0
    pipe.forget_marker()
    running = pipe.start()
    running.wait_until(lambda: "reading back the end of topic" in running.err, "it looks for its rows")
    running.wait_until(lambda: len(pipe.numbers()) >= 250, "all rows")
    pipe.send(10)
    running.wait_until(lambda: len(pipe.numbers()) >= 260, "all rows and ten more")
    ended = running.terminate()
    assert ended.status == 0 and "the last of its rows there is of epoch" in ended.err, ended
    assert pipe.numbers() == sorted([*range(210), *range(50)])


def test_marker_is_gone_at_the_first_delivery(pipe):
    """The home remembers none yet; its first epoch was delivered all the same."""
    pipe.send(100)
    ended = pipe.start(LEAT_FAULT="deliver.committed:1").wait()
    assert ended.status == -signal.SIGKILL, ended
    pipe.forget_marker()
    pipe.run()


def test_another_producer_of_the_same_name(pipe):
    """It fences the sink's and dies; nobody else delivers, so the sink goes on."""
    pipe.send(100)
    running = pipe.start()
    pipe.arrived(running)
    for _ in range(3):
        fence = pipe.broker.producer(transactional_id=pipe.group)
        fence.init_transactions(30)
        fence.begin_transaction()
        fence.produce(pipe.out, b'{"n":-1}')
        fence.flush()
        del fence
        pipe.send(100)
        pipe.arrived(running)
    assert running.terminate().status == 0
    assert pipe.numbers() == list(range(400))


class Wait:
    """A condition that holds after so many seconds: for what the broker's clock alone decides."""

    def __init__(self, seconds):
        self.until = time.monotonic() + seconds

    def __call__(self):
        return time.monotonic() > self.until


def test_stopped_for_longer_than_a_transaction(leat, expiring, request):
    """SIGSTOP: the broker aborts what was open and fences it; the process goes on, exactly once."""
    pipe = Pipe(leat, expiring, request.node.name,
                options=', "transaction.timeout.ms" = 1000')
    running = pipe.start(LEAT_EPOCH_ROWS=10, LEAT_BATCH_ROWS=10)
    pipe.send(100)
    pipe.arrived(running)
    for _ in range(2):
        before = pipe.home.count("plain")
        pipe.send(1000)
        running.wait_until(lambda: pipe.home.count("plain") > before, "it is in the midst of them")
        running.process.send_signal(signal.SIGSTOP)
        wait_until(Wait(1.6), "longer than the transaction's time")
        running.process.send_signal(signal.SIGCONT)
        pipe.arrived(running, 60)
    assert running.terminate().status == 0
    assert pipe.numbers() == list(range(pipe.sent))


def test_producer_ids_are_forgotten(leat, expiring, request):
    """A sink that was silent for longer than its producer's ids live."""
    pipe = Pipe(leat, expiring, request.node.name)
    running = pipe.start()
    pipe.send(100)
    pipe.arrived(running)
    wait_until(Wait(4.5), "transactional.id.expiration.ms and producer.id.expiration.ms")
    pipe.send(100)
    pipe.arrived(running)
    assert running.terminate().status == 0
    assert pipe.numbers() == list(range(200))


LETTERS = "SELECT query, source, reason, record FROM dead_letters ORDER BY record"


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("limit", ["client", "topic"])
def test_rows_that_are_too_large(leat, kafka, request, delivery, limit):
    """They are dead letters, found by the client or by the broker, in whatever batch they were."""
    name = re.sub(r"\W+", "-", request.node.name)
    out = kafka.create_topic(f"{name}-o", 2, **{"max.message.bytes": "20000"})
    client = ', "message.max.bytes" = 20000' if limit == "client" else ', "compression.codec" = none'
    pipe = Pipe(leat, kafka, name, out=out, options=f", delivery = '{delivery}'{client}")
    rows = [(i % 2, json.dumps({"k": "x" * (30000 if i in (77, 150, 151) else 200), "v": i}))
            for i in range(1000)]
    kafka.produce(pipe.source, rows)
    running = pipe.start()
    running.wait_until(lambda: len(set(pipe.numbers())) == 997, "all others")
    running.wait_until(lambda: pipe.home.count("dead_letters") == 3, "dead letters")
    kafka.produce(pipe.source, [(0, json.dumps({"k": "later", "v": 2000}))])
    running.wait_until(lambda: 2000 in pipe.numbers(), "it goes on")
    ended = running.terminate()
    assert ended.status == 0 and "refuses a row" in ended.err, ended
    letters = pipe.home.query(LETTERS)
    assert [(row["query"], row["source"]) for row in letters] == [("out", None)] * 3
    assert all("larger than topic" in row["reason"] and "message.max.bytes" in row["reason"]
               for row in letters)
    assert sorted(json.loads(row["record"])["n"] for row in letters) == [77, 150, 151]
    if delivery == "exactly_once":
        assert pipe.numbers() == sorted({*range(1000), 2000} - {77, 150, 151})


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_rows_without_a_key_in_a_compacted_topic(leat, kafka, request, delivery):
    name = re.sub(r"\W+", "-", request.node.name)
    out = kafka.create_topic(f"{name}-o", 2, **{"cleanup.policy": "compact"})
    pipe = Pipe(leat, kafka, name, out=out, options=f", key = 'k', delivery = '{delivery}'")
    kafka.produce(pipe.source, [(i % 2, json.dumps({"k": None if i % 100 == 50 else f"k{i}", "v": i}))
                                for i in range(500)])
    running = pipe.start()
    running.wait_until(lambda: pipe.home.count("dead_letters") == 5, "dead letters")
    running.wait_until(lambda: len(set(pipe.numbers())) == 495, "all others")
    assert running.terminate().status == 0
    letters = pipe.home.query(LETTERS)
    assert sorted(json.loads(row["record"])["n"] for row in letters) == [50, 150, 250, 350, 450]
    assert f"topic '{out}' at {kafka.bootstrap} did not take the row" in letters[0]["reason"]


@pytest.mark.parametrize("point", ["deliver.refused:1", "deliver.committed:1"])
def test_refused_rows_are_counted_once(leat, kafka, request, point):
    """Killed around the commit of an epoch in which rows were refused."""
    name = re.sub(r"\W+", "-", request.node.name)
    out = kafka.create_topic(f"{name}-o", 1, **{"cleanup.policy": "compact"})
    pipe = Pipe(leat, kafka, name, out=out, options=", key = 'k'")
    kafka.produce(pipe.source, [(i % 2, json.dumps({"k": None if i % 10 == 5 else f"k{i}", "v": i}))
                                for i in range(100)])
    ended = pipe.start(LEAT_FAULT=point).wait()
    assert ended.status == -signal.SIGKILL, ended
    running = pipe.start()
    running.wait_until(lambda: len(pipe.numbers()) == 90, "all others")
    running.wait_until(lambda: pipe.home.count("dead_letters") == 10, "dead letters")
    assert running.terminate().status == 0
    assert pipe.numbers() == [i for i in range(100) if i % 10 != 5]
    assert pipe.home.count("dead_letters") == 10


def test_markers_have_aged(aging):
    """More than a minute after they were written: gone, but for the one that was renewed."""
    pipes = aging.pipes
    for name in ("paid", "delivered", "owed"):
        wait_until(lambda: pipes[name].marker() is None, f"the marker of '{name}' is forgotten", 90)
    assert aging.running.alive() and pipes["renewed"].marker()
    assert aging.running.terminate().status == 0
    for name in ("delivered", "owed"):
        assert "the last of its rows there is of epoch" in pipes[name].run().err
    for pipe in pipes.values():
        pipe.send(50)
        pipe.run()
        assert pipe.marker()
