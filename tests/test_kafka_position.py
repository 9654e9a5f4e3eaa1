"""From topic to topic by position, on a real broker: one Kafka transaction holds rows and how far the
source's partitions were read for them."""
import json
import random
import re
import signal

import pytest
from confluent_kafka import Consumer, TopicPartition

from support.rows import Home
from support.servers import marker_words

PIPELINE = """SET http = 'off'; SET checkpoint_interval = '%s';
CREATE TABLE events (k text, v int) WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s');
CREATE TABLE out (k text, n bigint) WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s'%s);
INSERT INTO out SELECT k, v FROM events WHERE v %% 3 <> 1;
%s"""


class Pipe:
    def __init__(self, leat, broker, name, checkpoint="50 milliseconds", options="", more="", **config):
        self.leat, self.broker, self.sent = leat, broker, 0
        name = re.sub(r"\W+", "-", name)
        self.source = broker.create_topic(f"{name}-in", 3)
        self.out = broker.create_topic(f"{name}-out", 2, **config)
        leat.write("p.sql", PIPELINE % (checkpoint, self.source, broker.bootstrap, self.out,
                                        broker.bootstrap, options, more))
        self.home = Home(leat.folder / "p.leat")

    def send(self, count, key="k%d"):
        self.broker.produce(self.source, [(i % 3, json.dumps({"k": key % (i % 7), "v": i}))
                                          for i in range(self.sent, self.sent + count)])
        self.sent += count

    def start(self, **env):
        return self.leat.start("run", "p.sql", env=env)

    @property
    def expected(self):
        return [i for i in range(self.sent) if i % 3 != 1]

    def numbers(self):
        return sorted(json.loads(value)["n"] for _, _, _, value in self.broker.consume(self.out))

    def arrived(self, running, seconds=30):
        running.wait_until(lambda: len(self.numbers()) >= len(self.expected), "all rows", seconds)
        assert self.numbers() == self.expected

    @property
    def group(self):
        return "leat.%s.out" % self.home.query("SELECT value FROM leat_meta WHERE name = 'id'")[0]["value"]

    def offsets(self):
        """What stands in the sink's group: of each source partition, and the marker's words."""
        reader = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": self.group})
        try:
            asked = [TopicPartition(self.source, p) for p in range(3)] + [TopicPartition(self.out, 0)]
            found = reader.committed(asked, 10)
        finally:
            reader.close()
        return [p.offset for p in found[:3]], marker_words(found[3])


@pytest.fixture
def pipe(leat, kafka, request):
    return Pipe(leat, kafka, request.node.name)


def test_positions_stand_in_the_group(pipe):
    assert "by position" in pipe.leat.ok("explain", "p.sql").out
    pipe.send(300)
    running = pipe.start()
    pipe.arrived(running)
    running.wait_until(lambda: pipe.offsets()[0] == [100, 100, 100], "positions in the sink's group")
    assert running.terminate().status == 0
    generation, epoch, run, number = pipe.offsets()[1]
    assert int(generation) == 1 and len(run) == 16 and int(number) >= 1
    pipe.send(300)
    running = pipe.start()
    pipe.arrived(running)
    assert running.terminate().status == 0
    assert int(pipe.offsets()[1][0]) == 2


def test_rows_leave_before_their_epoch(leat, kafka, request):
    pipe = Pipe(leat, kafka, request.node.name, checkpoint="10 minutes")
    pipe.send(300)
    running = pipe.start()
    pipe.arrived(running)
    running.kill()
    assert pipe.home.query("SELECT count(*) AS n FROM leat_outbox")[0]["n"] == 0
    pipe.send(30)
    running = pipe.start()
    pipe.arrived(running)
    assert running.terminate().status == 0


@pytest.mark.parametrize("point", ["deliver.sent", "deliver.committed", "home.committed"])
def test_killed_at_a_point(pipe, point):
    pipe.send(200)
    running = pipe.start()
    pipe.arrived(running)
    assert running.terminate().status == 0
    pipe.send(500)
    ended = pipe.start(LEAT_FAULT=f"{point}:1", LEAT_EPOCH_ROWS=50, LEAT_BATCH_ROWS=20).wait()
    assert ended.status == -signal.SIGKILL, ended
    pipe.send(100)
    running = pipe.start()
    pipe.arrived(running)
    assert running.terminate().status == 0


def test_killed_at_random(pipe):
    """Beside a view that counts in epochs, which is as exact."""
    sql = (pipe.leat.folder / "p.sql").read_text()
    pipe.leat.write("p.sql", sql + "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events;")
    moments = random.Random(3)
    for _ in range(8):
        pipe.send(300)
        running = pipe.start(LEAT_EPOCH_ROWS=40, LEAT_BATCH_ROWS=20)
        wanted = len(pipe.expected) - moments.randrange(1, 200)
        running.wait_until(lambda: len(pipe.numbers()) >= wanted, f"{wanted} rows")
        running.kill()
    pipe.send(100)
    running = pipe.start()
    pipe.arrived(running)
    running.wait_until(lambda: pipe.home.rows("total") == [{"n": pipe.sent}], "the view has all")
    assert running.terminate().status == 0


def test_fenced(pipe):
    pipe.send(100)
    running = pipe.start()
    pipe.arrived(running)
    for _ in range(2):
        pipe.broker.producer(transactional_id=pipe.group).init_transactions(30)
        pipe.send(100)
        pipe.arrived(running)
    assert running.terminate().status == 0


def test_refused_rows(leat, kafka, request):
    pipe = Pipe(leat, kafka, request.node.name, options=", key = 'k'", cleanup_policy="compact")
    kafka.produce(pipe.source, [(i % 3, json.dumps({"k": None if i % 50 == 0 else "k", "v": i * 3}))
                                for i in range(200)])
    running = pipe.start()
    running.wait_until(lambda: pipe.home.count("dead_letters") == 4, "dead letters")
    running.wait_until(lambda: len(pipe.numbers()) == 196, "all others")
    running.kill()
    pipe.send(30)
    running = pipe.start()
    running.wait_until(lambda: len(pipe.numbers()) == 196 + 20, "what came later")
    assert running.terminate().status == 0
    assert pipe.home.count("dead_letters") == 4


def test_an_old_copy_of_the_home(pipe):
    pipe.send(100)
    running = pipe.start()
    pipe.arrived(running)
    assert running.terminate().status == 0
    old = (pipe.leat.folder / "p.leat").read_bytes()
    for _ in range(2):
        pipe.send(100)
        running = pipe.start()
        pipe.arrived(running)
        assert running.terminate().status == 0
    for path in pipe.leat.folder.glob("p.leat*"):
        path.unlink()
    pipe.leat.write("p.leat", old)
    ended = pipe.leat.run("run", "p.sql")
    assert ended.status == 1 and "sink out: " in ended.err and "old copy" in ended.err, ended
    assert pipe.numbers() == pipe.expected
