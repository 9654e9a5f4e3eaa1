"""Three brokers of which one dies: no record lost, none twice, each partition's order kept."""
import re
import threading

import pytest

from support.process import wait_until
from test_kafka import SINK, bodies, event, pipeline


@pytest.fixture
def topic(three_brokers, request):
    name = re.sub(r"\W+", "-", request.node.name)
    return three_brokers.create_topic(name, 4)


class Writer:
    """Sends numbers, each to the partition that it says, until it is told to stop."""

    def __init__(self, brokers, topic, pause=0.01):
        self.sent, self.stopping, self.brokers, self.topic = 0, threading.Event(), brokers, topic
        self.producer = brokers.producer(enable_idempotence=True)
        self.pause = pause
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(self.pause):
            for _ in range(5):
                n = self.sent
                self.producer.produce(self.topic, event(n, f"k{n % 8}").encode(), partition=n % 4)
                self.sent = n + 1
            self.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(60) == 0


def in_order(numbers):
    """Of each key (number % 8) as they were sent."""
    return all(a < b for k in range(8) for part in [[n for n in numbers if n % 8 == k]]
               for a, b in zip(part, part[1:]))


def test_a_leader_dies_while_rows_flow(leat, three_brokers, topic):
    """The broker that is killed leads partitions of the input and of the output."""
    out = three_brokers.create_topic(f"{topic}-out", 3)
    columns = ", part int GENERATED ALWAYS AS (metadata('partition')) STORED, " \
              "off bigint GENERATED ALWAYS AS (metadata('offset')) STORED"
    home = pipeline(leat, three_brokers, topic, SINK % ("", out, three_brokers.bootstrap, ", key = 'k'") +
                    "INSERT INTO out SELECT k, v FROM events;", columns=columns)
    running = leat.start("run", "p.sql")
    writer = Writer(three_brokers, topic)
    try:
        running.wait_until(lambda: (home.count("plain") or 0) > 200, "rows before", 60)
        dead = three_brokers.leader(topic, 0)
        assert dead in [three_brokers.leader(out, p) for p in range(3)]
        three_brokers.kill(dead)
        wait_until(lambda: three_brokers.leader(topic, 0) != dead, "another leader")
        seen = writer.sent
        running.wait_until(lambda: home.count("plain") > seen, "rows behind the new leader", 60)
        three_brokers.restart(dead)
    finally:
        writer.stop()
    running.wait_until(lambda: home.count("plain") == writer.sent, "all rows in the view", 60)
    running.wait_until(lambda: len(three_brokers.consume(out)) >= writer.sent, "all rows in the topic", 60)
    ended = running.terminate()
    assert ended.status == 0, ended
    rows = home.query("SELECT v, part, off FROM plain ORDER BY part, off")
    assert [row["v"] for row in rows] == sorted(range(writer.sent), key=lambda n: (n % 4, n))
    arrived = [row["n"] for row in bodies(three_brokers.consume(out))]
    assert sorted(arrived) == list(range(writer.sent)) and in_order(arrived)


def test_a_partition_without_its_leader_is_not_idle(leat, three_brokers, topic):
    """Windows wait for rows that stand in a partition whose leader has died, however short idle_timeout is."""
    home = pipeline(leat, three_brokers, topic, """
CREATE MATERIALIZED VIEW w WITH (emit = 'final') AS SELECT window_start, count(*) AS n
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;""", options=", idle_timeout = '2 seconds'")
    lines = [(p, event(p, second=10 + p)) for p in range(4)]
    three_brokers.produce(topic, lines)
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 4, "4 rows")
    dead = three_brokers.leader(topic, 0)
    mine = [p for p in range(4) if three_brokers.leader(topic, p) == dead]
    three_brokers.kill(dead)
    others = [p for p in range(4) if p not in mine]
    producer = three_brokers.producer()
    for p in others:
        producer.produce(topic, event(100 + p, second=50), partition=p)
    assert producer.flush(30) == 0
    running.wait_until(lambda: home.count("plain") == 4 + len(others), "rows of the others")
    # sent while nobody leads: acknowledged by the next leader
    for p in mine:
        producer.produce(topic, event(200 + p, second=12), partition=p)
    assert producer.flush(60) == 0
    running.wait_until(lambda: home.count("plain") == 8, "all rows", 60)
    three_brokers.restart(dead)
    three_brokers.produce(topic, [(p, event(300 + p, second=50)) for p in mine])
    running.wait_until(lambda: (home.count("w") or 0) == 1, "the window", 60)
    ended = running.terminate()
    assert ended.status == 0, ended
    assert [row["n"] for row in home.rows("w")] == [4 + len(mine)] and home.rows("late_rows") == []


def test_a_broker_that_hangs(leat, three_brokers, topic):
    """Stopped, not ended: its connections stay. Another leads, and the reading goes on there."""
    home = pipeline(leat, three_brokers, topic)
    three_brokers.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    hung = three_brokers.leader(topic, 0)
    three_brokers.pause(hung)
    try:
        three_brokers.produce(topic, [(i % 4, event(i)) for i in range(100, 200)])
        running.wait_until(lambda: home.count("plain") == 200, "200 rows", 60)
    finally:
        three_brokers.resume(hung)
    three_brokers.wait_in_sync()
    three_brokers.produce(topic, [(i % 4, event(i)) for i in range(200, 300)])
    running.wait_until(lambda: home.count("plain") == 300, "300 rows", 60)
    ended = running.terminate()
    assert ended.status == 0, ended
    assert sorted(row["v"] for row in home.rows("plain")) == list(range(300))
