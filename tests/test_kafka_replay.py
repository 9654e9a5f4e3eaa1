"""Topic to topic by position, on a real broker: what is read again after a crash, for all or for the
sink alone, is outside once and counted once."""
import json
import random
import re

import pytest
from confluent_kafka.admin import NewPartitions

from support.process import wait_until
from support.rows import Home

PIPELINE = """SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE events (k text, v int) WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s');
CREATE MATERIALIZED VIEW plain AS SELECT v FROM events;
CREATE TABLE out (k text, n bigint)
WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s');
INSERT INTO out SELECT k, v FROM events WHERE v %% 3 > 0;
"""


class Pipe:
    def __init__(self, leat, broker, name):
        name = re.sub(r"\W+", "-", name)
        self.leat, self.broker, self.sent = leat, broker, 0
        self.source = broker.create_topic(f"{name}-in", 3)
        self.out = broker.create_topic(f"{name}-out", 2)
        leat.write("p.sql", PIPELINE % (self.source, broker.bootstrap, self.out, broker.bootstrap))
        self.home = Home(leat.folder / "p.leat")

    def send(self, count):
        self.broker.produce(self.source, [(i % 3, json.dumps({"k": f"k{i % 7}", "v": i}))
                                          for i in range(self.sent, self.sent + count)])
        self.sent += count

    def start(self, **env):
        return self.leat.start("run", "p.sql", env={"LEAT_EPOCH_ROWS": 50, "LEAT_BATCH_ROWS": 10,
                                                    **env})

    def numbers(self):
        return sorted(json.loads(value)["n"] for _, _, _, value in self.broker.consume(self.out))

    def finish(self):
        running = self.start()
        wanted = [v for v in range(self.sent) if v % 3]
        running.wait_until(lambda: len(self.numbers()) >= len(wanted), f"{len(wanted)} rows")
        running.wait_until(lambda: (self.home.count("plain") or 0) >= self.sent, "all are counted")
        ended = running.terminate()
        assert ended.status == 0, ended
        assert self.numbers() == wanted
        assert sorted(row["v"] for row in self.home.rows("plain")) == list(range(self.sent))
        counts = self.home.query("SELECT kind, count FROM leat_counts WHERE query = 'out' "
                                 "AND source = 'events'")
        counts = {row["kind"]: row["count"] for row in counts}
        assert counts["in"] == self.sent and counts["filtered"] == self.sent - len(wanted)


@pytest.fixture
def pipe(leat, kafka, request):
    return Pipe(leat, kafka, request.node.name)


def test_killed_at_any_time(pipe):
    moments = random.Random(11)
    for _ in range(8):
        running = pipe.start()
        before = len(pipe.numbers())
        pipe.send(240)
        wanted = before + moments.randrange(1, 120)
        running.wait_until(lambda: len(pipe.numbers()) >= wanted, f"{wanted} rows")
        running.kill()
    pipe.finish()


def test_more_partitions(pipe):
    pipe.send(90)
    running = pipe.start()
    running.wait_until(lambda: len(pipe.numbers()) >= 60, "60 rows")
    running.kill()
    for future in pipe.broker.admin.create_partitions([NewPartitions(pipe.source, 5)]).values():
        future.result(30)
    wait_until(lambda: len(pipe.broker.admin.list_topics(pipe.source, timeout=5)
                           .topics[pipe.source].partitions) == 5, "5 partitions")
    pipe.broker.produce(pipe.source, [(3 + i % 2, json.dumps({"k": "k", "v": i}))
                                      for i in range(90, 150)])
    pipe.sent = 150
    pipe.finish()


def test_other_words_for_the_cluster_need_a_reset(pipe):
    pipe.send(60)
    pipe.finish()
    text = (pipe.leat.folder / "p.sql").read_text()
    pipe.leat.write("p.sql", text.replace(pipe.broker.bootstrap,
                                          f"{pipe.broker.bootstrap},{pipe.broker.bootstrap}", 1))
    refused = pipe.leat.run("run", "p.sql")
    assert refused.status == 1 and "was served by position until now" in refused.err
    pipe.send(60)
    running = pipe.leat.start("run", "p.sql", "--reset", "out")
    running.wait_until(lambda: len(pipe.numbers()) >= 80, "80 rows")
    assert running.terminate().status == 0
    assert pipe.numbers() == [v for v in range(120) if v % 3]
