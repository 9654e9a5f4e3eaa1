"""The Kafka connector on a real broker.

One broker serves all tests of this file, each with topics of its own; the tests in which the broker
goes away have one to themselves. Kafka's sources never end: a test waits until the rows that it sent
are in the home, then stops the program."""
import json
import random
import re
import signal

import pytest

from support.data import stamp, telemetry, telemetry_line
from support.process import wait_until
from support.rows import Home, assert_same

SOURCE = """SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE events (k text, v int, t timestamptz%s)
WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s', event_time = 't'%s);
CREATE MATERIALIZED VIEW plain AS SELECT * FROM events;
"""
BASE = 1577836800


def event(v, k="k", second=None):
    return json.dumps({"k": k, "v": v, "t": stamp((BASE + (v if second is None else second)) * 10**6)})


@pytest.fixture
def topic(kafka, request):
    name = re.sub(r"\W+", "-", request.node.name)
    return kafka.create_topic(name, 4)


def pipeline(leat, broker, topic, more="", columns="", options=""):
    leat.write("p.sql", SOURCE % (columns, topic, broker.bootstrap, options) + more)
    return Home(leat.folder / "p.leat")


def values(home, view="plain"):
    return sorted(row["v"] for row in home.rows(view))


def run_until(leat, home, count, view="plain"):
    """Runs until the view has so many rows, then asks the program to stop."""
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: (home.count(view) or 0) >= count, f"{count} rows in {view}")
    ended = running.terminate()
    assert ended.status == 0, ended
    return ended


def test_null_keys_and_four_partitions(leat, kafka, topic):
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(i % 4, event(i)) for i in range(1000)])
    run_until(leat, home, 1000)
    assert values(home) == list(range(1000))


def test_metadata(leat, kafka, topic):
    columns = """, topic text GENERATED ALWAYS AS (metadata('topic')) STORED,
  part int GENERATED ALWAYS AS (metadata('partition')) STORED,
  off bigint GENERATED ALWAYS AS (metadata('offset')) STORED,
  sent timestamptz GENERATED ALWAYS AS (metadata('timestamp')) STORED,
  key text GENERATED ALWAYS AS (metadata('key')) STORED,
  headers jsonb GENERATED ALWAYS AS (metadata('headers')) STORED"""
    home = pipeline(leat, kafka, topic, columns=columns)
    producer = kafka.producer()
    producer.produce(topic, event(1).encode(), b"the key", 2, timestamp=BASE * 1000 + 5,
                     headers=[("h", b"x"), ("empty", None)])
    producer.produce(topic, event(2).encode(), None, 2, timestamp=BASE * 1000)
    producer.flush()
    run_until(leat, home, 2)
    rows = sorted(home.rows("plain"), key=lambda row: row["v"])
    assert [(r["topic"], r["part"], r["off"], r["sent"], r["key"]) for r in rows] == \
        [(topic, 2, 0, "2020-01-01T00:00:00.005Z", "the key"), (topic, 2, 1, "2020-01-01T00:00:00Z", None)]
    assert json.loads(rows[0]["headers"])["h"] == "x"


def test_stop_and_resume(leat, kafka, topic):
    """Positions live in the home: nothing twice, nothing lost, whatever way it ended."""
    home = pipeline(leat, kafka, topic, """
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(v) AS total FROM events;""")
    for round_ in range(3):
        kafka.produce(topic, [(i % 4, event(i)) for i in range(round_ * 500, round_ * 500 + 500)])
        run_until(leat, home, round_ * 500 + 500)
    assert values(home) == list(range(1500))
    assert home.rows("total") == [{"n": 1500, "total": 1124250}]


def test_killed_and_resumed(leat, kafka, topic):
    home = pipeline(leat, kafka, topic, """
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events;""")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(2000)])
    for _ in range(8):
        ended = leat.start("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": 100,
                                                "LEAT_BATCH_ROWS": 50}).wait(30)
        assert ended.status == -9, ended
    assert 0 < home.count("plain") < 2000
    run_until(leat, home, 2000)
    assert values(home) == list(range(2000)) and home.rows("total") == [{"n": 2000}]


WINDOWS = """
CREATE MATERIALIZED VIEW w WITH (emit = 'final') AS SELECT window_start, count(*) AS n
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;"""


def test_silent_partition(leat, kafka, topic):
    """A partition that never speaks holds windows back for idle_timeout, then no longer."""
    home = pipeline(leat, kafka, topic, WINDOWS, options=", idle_timeout = '500 milliseconds'")
    kafka.produce(topic, [(i % 3, event(i)) for i in range(60)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 60, "60 rows")
    running.wait_until(lambda: (home.count("w") or 0) >= 5, "windows that the silence closed")
    assert running.terminate().status == 0
    rows = sorted(home.rows("w"), key=lambda row: row["window_start"])
    assert [row["n"] for row in rows][:5] == [10] * 5
    assert home.rows("late_rows") == []


def test_slow_partition_holds_back(leat, kafka, topic):
    """The watermark is the least of the partitions': one that lags has its rows in time."""
    home = pipeline(leat, kafka, topic, WINDOWS, options=", idle_timeout = '1 hour'")
    kafka.produce(topic, [(p, event(i)) for p in (0, 1, 2) for i in range(0, 600, 10)])
    kafka.produce(topic, [(3, event(5))])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 181, "181 rows")
    kafka.produce(topic, [(3, event(i)) for i in range(15, 595, 10)])
    running.wait_until(lambda: (home.count("w") or 0) >= 58, "windows that all partitions passed")
    assert running.terminate().status == 0
    assert {row["n"] for row in home.rows("w")} == {4}
    assert home.rows("late_rows") == []


def test_read_committed(leat, kafka, topic):
    home = pipeline(leat, kafka, topic)
    producer = kafka.producer(transactional_id=topic)
    producer.init_transactions(30)
    for commit in (True, False, True):
        producer.begin_transaction()
        for i in range(10):
            producer.produce(topic, event(i + (0 if commit else 100)).encode(), partition=i % 4)
        producer.flush()
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    run_until(leat, home, 20)
    assert values(home) == sorted([*range(10), *range(10)])


def test_tombstones_and_bad_records(leat, kafka, topic):
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(1)), (0, None, b"k"), (0, b""), (0, b"broken"),
                          (0, b'{"v":"x"}'), (0, event(2))])
    run_until(leat, home, 2)
    letters = home.query("SELECT * FROM dead_letters ORDER BY position")
    assert [(r["query"], r["source"], r["partition"], r["position"]) for r in letters] == \
        [(None, "events", 0, i) for i in (1, 2, 3, 4)]
    assert letters[2]["record"] == "broken"
    assert letters[3]["reason"].startswith("events[0]@4: ")
    assert values(home) == [1, 2]


def test_max_future(leat, kafka, topic):
    """An event stamped far ahead of the clock is a dead letter and moves no watermark."""
    home = pipeline(leat, kafka, topic, WINDOWS)
    kafka.produce(topic, [(0, event(1)), (0, json.dumps({"v": 2, "t": "2999-01-01T00:00:00Z"})),
                          (0, event(3))])
    run_until(leat, home, 2)
    assert values(home) == [1, 3]
    assert len(home.rows("dead_letters")) == 1 and home.rows("late_rows") == []


def test_start_latest(leat, kafka, topic):
    home = pipeline(leat, kafka, topic, options=", start = 'latest'")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    sent = 1000

    def arrived():     # where 'latest' is, only the program knows: send until something arrives
        nonlocal sent
        kafka.produce(topic, [(sent % 4, event(sent))])
        sent += 1
        return home.count("plain")
    running.wait_until(arrived, "a row sent after the start")
    assert running.terminate().status == 0
    assert min(values(home)) >= 1000


def test_latest_is_settled_once(leat, kafka, topic):
    """What comes while the program is down after its first start is not missed."""
    home = pipeline(leat, kafka, topic, options=", start = 'latest'")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("leat_facts") and
                       home.query("SELECT * FROM leat_facts WHERE name = 'events.start'"),
                       "'latest' is in the home")
    assert running.terminate().status == 0
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100, 200)])
    run_until(leat, home, 100)
    assert values(home) == list(range(100, 200))


def test_offsets_are_committed_for_monitoring(leat, kafka, topic):
    from confluent_kafka import Consumer, TopicPartition
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "p"})
    try:
        running.wait_until(
            lambda: [p.offset for p in reader.committed([TopicPartition(topic, i)
                                                         for i in range(4)], 10)] == [25] * 4,
            "offsets in the group of the pipeline's name")
    finally:
        reader.close()
    assert running.terminate().status == 0


def test_log_append_time(leat, kafka, topic):
    """Where the broker stamps records, its clock judges what is too far ahead."""
    appended = kafka.create_topic(f"{topic}-appended", 1, **{"message.timestamp.type": "LogAppendTime"})
    columns = ", sent timestamptz GENERATED ALWAYS AS (metadata('timestamp')) STORED"
    home = pipeline(leat, kafka, appended, columns=columns)
    kafka.produce(appended, [(0, event(1)), (0, json.dumps({"v": 2, "t": "2999-01-01T00:00:00Z"})),
                             (0, event(3))])
    run_until(leat, home, 2)
    assert values(home) == [1, 3] and len(home.rows("dead_letters")) == 1
    assert all(row["sent"] > "2025" for row in home.rows("plain"))


def test_large_and_odd_records(leat, kafka, topic):
    """Five megabytes in one record; keys and headers that are no text."""
    large = kafka.create_topic(f"{topic}-large", 1, **{"max.message.bytes": "10000000"})
    columns = """, key text GENERATED ALWAYS AS (metadata('key')) STORED,
  headers jsonb GENERATED ALWAYS AS (metadata('headers')) STORED"""
    home = pipeline(leat, kafka, large, columns=columns)
    producer = kafka.producer(**{"message.max.bytes": 10000000})
    producer.produce(large, event(1, "k" * 5000000).encode(), partition=0)
    producer.produce(large, event(2).encode(), b"\xff\xfe", 0, headers=[("h", b"\xff"), ("h", b"2")])
    producer.produce(large, event(3).encode(), b"", 0, headers=[])
    producer.flush()
    run_until(leat, home, 2)
    rows = {row["v"]: row for row in home.rows("plain")}
    letters = home.rows("dead_letters")
    assert len(rows) + len(letters) == 3, letters
    assert len(rows[1]["k"]) == 5000000 and rows[1]["key"] is None and rows[3]["key"] == ""


def test_more_partitions(leat, kafka, topic):
    """Partitions that appear later begin at their start."""
    from confluent_kafka.admin import NewPartitions
    home = pipeline(leat, kafka, topic, options=', "topic.metadata.refresh.interval.ms" = 500')
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    for future in kafka.admin.create_partitions([NewPartitions(topic, 6)]).values():
        future.result(30)
    wait_until(lambda: len(kafka.admin.list_topics(topic, timeout=5).topics[topic].partitions) == 6,
               "6 partitions")
    kafka.produce(topic, [(4 + i % 2, event(i)) for i in range(100, 200)])
    running.wait_until(lambda: home.count("plain") == 200, "rows of the new partitions", 60)
    assert running.terminate().status == 0
    assert values(home) == list(range(200))


def test_topic_is_missing(leat, kafka):
    pipeline(leat, kafka, "no-such-topic")
    ended = leat.run("run", "p.sql", seconds=60)
    assert ended.status == 1 and "no-such-topic" in ended.err, ended


def test_broker_property_unknown(leat, kafka):
    pipeline(leat, kafka, "t", options=', "fetch.wait.max.mss" = 5')
    ended = leat.run("run", "p.sql", seconds=60)
    assert ended.status == 2 and "fetch.wait.max.mss" in ended.err, ended


SINK = """
CREATE TABLE out (k text, n bigint%s)
WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s'%s);
"""


def bodies(messages):
    return [None if value is None else json.loads(value) for _, _, _, value in messages]


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_sink(leat, kafka, topic, delivery):
    out = kafka.create_topic(f"{topic}-out", 2)
    home = pipeline(leat, kafka, topic, SINK % ("", out, kafka.bootstrap, f", delivery = '{delivery}'") +
                    "INSERT INTO out SELECT k, v FROM events WHERE v % 2 = 0;")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(200)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 200, "200 rows")
    ended = running.terminate()
    assert ended.status == 0, ended
    messages = kafka.consume(out)
    assert sorted(body["n"] for body in bodies(messages)) == list(range(0, 200, 2))
    assert {key for _, _, key, _ in messages} == {None}
    assert messages[0][3].startswith(b'{"k":"k","n":')


def test_sink_keys(leat, kafka, topic):
    outs = [kafka.create_topic(f"{topic}-{i}", 3) for i in range(3)]
    more = "".join((SINK % (key, out, kafka.bootstrap, option)).replace("TABLE out", f"TABLE out{i}") +
                   f"INSERT INTO out{i} SELECT k, v FROM events;\n"
                   for i, (out, key, option) in enumerate([
                       (outs[0], "", ", key = 'k'"), (outs[1], "", ", key = 'k, n'"),
                       (outs[2], ", PRIMARY KEY (k)", "")]))
    home = pipeline(leat, kafka, topic, more)
    kafka.produce(topic, [(0, event(1, "a")), (0, event(2, "b")), (0, event(3, None)),
                          (0, event(4, 'q"'))])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 4, "4 rows")
    assert running.terminate().status == 0

    def keys(topic):
        return {json.loads(value)["n"]: key for _, _, key, value in kafka.consume(topic)}
    assert keys(outs[0]) == {1: b"a", 2: b"b", 3: None, 4: b'q"'}
    assert {n: json.loads(key) for n, key in keys(outs[1]).items()} == \
        {1: ["a", 1], 2: ["b", 2], 3: [None, 3], 4: ['q"', 4]}
    assert keys(outs[2])[1] == b"a"


def test_one_write_a_key_and_epoch(leat, kafka, topic):
    """Of a key an epoch's latest row leaves; across epochs the later epoch wins."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % (", PRIMARY KEY (k)", out, kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    home_sql = (leat.folder / "p.sql").read_text().replace("50 milliseconds", "10 minutes")
    leat.write("p.sql", home_sql)
    kafka.produce(topic, [(i % 4, event(i, f"k{i % 5}")) for i in range(1000)])
    running = leat.start("run", "--progress", "p.sql")
    running.wait_until(lambda: re.search(r" 1000 events", running.err), "all rows are taken")
    assert running.terminate().status == 0
    assert home.count("plain") == 1000
    messages = kafka.consume(out)
    assert sorted((key, json.loads(value)["n"]) for _, _, key, value in messages) == \
        [(b"k%d" % i, 995 + i) for i in range(5)]


def test_sink_topic_is_missing(leat, kafka, topic):
    pipeline(leat, kafka, topic, SINK % ("", "no-such-out", kafka.bootstrap, "") +
             "INSERT INTO out SELECT k, v FROM events;")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "sink out: topic 'no-such-out' does not exist" in ended.err, ended


def test_two_runs_of_one_home(leat, kafka, topic, tmp_path):
    """A home and its copy: the one that the other overtook ends and says why."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % ("", out, kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    run_until(leat, home, 100)
    copy = type(leat)(tmp_path / "copy")
    for name in ("p.sql", "p.leat"):
        copy.write(name, (leat.folder / name).read_bytes())
    first = leat.start("run", "p.sql")
    try:
        kafka.produce(topic, [(i % 4, event(i)) for i in range(100, 200)])
        wait_until(lambda: len(kafka.consume(out)) == 200, "the first run delivers")
        ended = copy.run("run", "p.sql")
        assert ended.status == 1 and "sink out: " in ended.err, ended
        assert "run of this home" in ended.err or "old copy" in ended.err, ended
    finally:
        first.kill()
        copy.end_all()
    assert sorted(body["n"] for body in bodies(kafka.consume(out))) == list(range(200))


def test_an_old_copy_of_a_home(leat, kafka, topic):
    """The marker in the topic's group knows more than a home that was put back."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % ("", out, kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    run_until(leat, home, 100)
    old = (leat.folder / "p.leat").read_bytes()
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100, 200)])
    run_until(leat, home, 200)
    for path in leat.folder.glob("p.leat*"):
        path.unlink()
    leat.write("p.leat", old)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "sink out: " in ended.err, ended
    assert len(kafka.consume(out)) == 200


def test_exactly_once_through_kills_at_any_time(leat, kafka, topic):
    """SIGKILL at random moments, in the middle of a transaction or between two."""
    moments = random.Random(7)
    out = kafka.create_topic(f"{topic}-out", 3)
    home = pipeline(leat, kafka, topic, SINK % ("", out, kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    sent, producer = 0, kafka.producer()
    for _ in range(12):
        running = leat.start("run", "p.sql", env={"LEAT_EPOCH_ROWS": 40, "LEAT_BATCH_ROWS": 20})
        before = home.count("plain") or 0
        kafka.produce(topic, [(i % 4, event(i)) for i in range(sent, sent + 200)], producer)
        sent += 200
        wanted = before + moments.randrange(1, 200)
        running.wait_until(lambda: (home.count("plain") or 0) >= wanted, f"{wanted} rows")
        running.kill()
    kafka.produce(topic, [(i % 4, event(i)) for i in range(sent, sent + 200)], producer)
    sent += 200
    run_until(leat, home, sent)
    assert values(home) == list(range(sent))
    assert sorted(body["n"] for body in bodies(kafka.consume(out))) == list(range(sent))


@pytest.mark.parametrize("seed", [1, 2])
def test_exactly_once_through_kills(leat, kafka, topic, seed):
    """Killed again and again between commit and delivery: every result is in the topic once."""
    out = kafka.create_topic(f"{topic}-out", 2)
    home = pipeline(leat, kafka, topic, SINK % (", t timestamptz", out, kafka.bootstrap, "") +
                    """INSERT INTO out SELECT k, v, t FROM events;
CREATE TABLE windows (window_start timestamptz, n bigint)
WITH (connector = 'kafka', topic = '%s', "bootstrap.servers" = '%s');
INSERT INTO windows SELECT window_start, count(*) FROM tumble(events, t, INTERVAL '10 seconds')
GROUP BY window_start;""" % (kafka.create_topic(f"{topic}-windows", 1), kafka.bootstrap),
                    options=", idle_timeout = '300 milliseconds'")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(1200)])
    for kill in range(6):
        ended = leat.start("run", "p.sql", env={
            "LEAT_KILL_AT_EPOCH": 1 + (kill + seed) % 3, "LEAT_EPOCH_ROWS": 100,
            "LEAT_BATCH_ROWS": f"random:{seed}"}).wait(60)
        assert ended.status == -9, ended
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 1200, "1200 rows in the view")
    running.wait_until(lambda: len(kafka.consume(out)) >= 1200, "1200 rows in the topic")
    running.wait_until(lambda: len(kafka.consume(f"{topic}-windows")) >= 119, "windows in the topic")
    assert running.terminate().status == 0
    assert sorted(body["n"] for body in bodies(kafka.consume(out))) == list(range(1200))
    windows = bodies(kafka.consume(f"{topic}-windows"))
    starts = [row["window_start"] for row in windows]
    assert len(starts) == len(set(starts)) and {row["n"] for row in windows} == {10}


def test_unwindowed_group_to_a_keyed_topic(leat, kafka, topic):
    """One row a group at each checkpoint; a group that no longer meets HAVING is deleted."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % (", PRIMARY KEY (k)", out, kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, count(*) FROM events GROUP BY k HAVING count(*) < 3;")
    running = leat.start("run", "p.sql")

    def state():
        latest = {}
        for _, _, key, value in kafka.consume(out):
            latest[key] = value and json.loads(value)["n"]
        return latest
    kafka.produce(topic, [(0, event(1, "a")), (0, event(2, "b")), (0, event(3, "b"))])
    running.wait_until(lambda: state() == {b"a": 1, b"b": 2}, "two groups")
    kafka.produce(topic, [(0, event(4, "a")), (0, event(5, "b"))])
    running.wait_until(lambda: state() == {b"a": 2, b"b": None}, "one grown, one gone")
    assert running.terminate().status == 0
    assert home.count("plain") == 5


VIEW_OF_A_VIEW = """CREATE MATERIALIZED VIEW totals AS SELECT k, count(*) AS n, sum(v) AS s FROM events GROUP BY k;
CREATE MATERIALIZED VIEW halves AS SELECT upper(k) AS k, n FROM totals WHERE s % 2 = 0
UNION ALL SELECT k, -n FROM totals WHERE n > 60;
INSERT INTO out SELECT k, n * 2 FROM totals WHERE s % 3 = 0;
"""


def test_changes_of_a_view_without_a_window(leat, kafka, topic):
    """What reads such a view gets its changes: a row that no longer passes WHERE is deleted. Killed
    at every third epoch, the views and the topic say what the rows say."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % (", PRIMARY KEY (k)", out, kafka.bootstrap, "") +
                    VIEW_OF_A_VIEW)
    rows, producer = [], kafka.producer()
    totals = {}
    for i in range(300):
        k = "abcdefg"[i * i % 7]
        rows.append((i % 4, event(i, k)))
        n, s = totals.get(k, (0, 0))
        totals[k] = n + 1, s + i
    for part in range(3):
        kafka.produce(topic, rows[100 * part:100 * part + 100], producer)
        ended = leat.start("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 3, "LEAT_EPOCH_ROWS": 10,
                                                "LEAT_BATCH_ROWS": "random:4"}).wait(60)
        assert ended.status == -9, ended
    run_until(leat, home, 300)
    latest = {}
    for _, _, key, value in kafka.consume(out):
        latest[key.decode()] = value and json.loads(value)
    assert {k: row["n"] for k, row in latest.items() if row} == \
        {k: 2 * n for k, (n, s) in totals.items() if s % 3 == 0}
    assert sorted((row["k"], row["n"]) for row in home.rows("halves")) == sorted(
        [(k.upper(), n) for k, (n, s) in totals.items() if s % 2 == 0] +
        [(k, -n) for k, (n, s) in totals.items() if n > 60])


def test_groups_that_nothing_comes_to_are_deleted(leat, kafka, topic):
    """state_ttl: the view loses the row, the topic gets a null value, also when the program was
    killed at every epoch between; a row after that begins its group anew."""
    out = kafka.create_topic(f"{topic}-out", 1)
    home = pipeline(leat, kafka, topic, SINK % (", PRIMARY KEY (k)", out, kafka.bootstrap, "") +
                    """CREATE VIEW totals WITH (state_ttl = '1 minute') AS
SELECT k, count(*) AS n, sum(v) AS s FROM events GROUP BY k;
CREATE MATERIALIZED VIEW shown WITH (state_ttl = '1 minute') AS
SELECT k, count(*) AS n FROM events GROUP BY k;
INSERT INTO out SELECT k, n FROM totals WHERE s < 1000;""", options=", idle_timeout = '1 hour'")
    rows, expected, producer = [], {}, kafka.producer()
    for i in range(400):         # k0 … k9 come again and again, others once; time stands still at the end
        k, second = (f"k{i % 10}" if i % 3 else f"once{i}"), min(i, 350)
        rows.append((0, event(i, k, second)))
        n, s, last = expected.get(k, (0, 0, 0))
        if n and last + 60 <= min(i - 1, 350):
            n = s = 0
        expected[k] = n + 1, s + i, second
    kafka.produce(topic, [(p, event(0, "k1", 350)) for p in (1, 2, 3)], producer)
    n, s, last = expected["k1"]
    expected["k1"] = n + 3, s, last
    for part in range(4):
        kafka.produce(topic, rows[100 * part:100 * part + 100], producer)
        ended = leat.start("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 2, "LEAT_EPOCH_ROWS": 20,
                                                "LEAT_BATCH_ROWS": f"random:{part}"}).wait(60)
        assert ended.status == -9, ended
    run_until(leat, home, 403)
    kept = {k: (n, s) for k, (n, s, last) in expected.items() if last + 60 > 350}
    assert len(kept) < len(expected)
    assert {row["k"]: row["n"] for row in home.rows("shown")} == {k: n for k, (n, s) in kept.items()}
    latest = {}
    for _, _, key, value in kafka.consume(out):
        latest[key.decode()] = value and json.loads(value)["n"]
    assert {k: n for k, n in latest.items() if n} == {k: n for k, (n, s) in kept.items() if s < 1000}


def test_topic_to_topic_answers_as_from_files(leat, kafka, topic):
    """Telemetry through a topic gives the rows that it gives from files."""
    lists = telemetry(5, 3000, 4, duplicate_share=0.05)
    queries = """
CREATE VIEW clean WITH (horizon = '1 minute') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE MATERIALIZED VIEW per_device WITH (emit = 'final') AS
SELECT deviceId, window_start, count(*) AS n, sum(deviceSequenceNumber) AS numbers
FROM tumble(clean, createdAt, INTERVAL '10 seconds') GROUP BY deviceId, window_start;
CREATE MATERIALIZED VIEW everything AS SELECT eventId AS v FROM telemetry;
"""
    table = """SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz)
WITH (%s, event_time = 'createdAt', watermark_delay = '3 seconds');
"""
    for partition, rows in enumerate(lists):
        lines = [telemetry_line(row) for row in rows]
        leat.write(f"in/{partition}", "".join(line + "\n" for line in lines))
        kafka.produce(topic, [(partition, line) for line in lines])
    leat.write("f.sql", table % "connector = 'file', path = 'in'" + queries)
    leat.ok("run", "f.sql")
    files = Home(leat.folder / "f.leat")
    leat.write("p.sql", table % f"connector = 'kafka', topic = '{topic}', idle_timeout = '300 ms', "
               f"\"bootstrap.servers\" = '{kafka.bootstrap}'" + queries)
    home = Home(leat.folder / "p.leat")
    total = sum(len(rows) for rows in lists)
    running = leat.start("run", "p.sql", env={"LEAT_BATCH_ROWS": "random:5"})
    expected = files.rows("per_device")
    running.wait_until(lambda: home.count("everything") == total and
                       home.count("per_device") == len(expected), "all windows are closed")
    assert running.terminate().status == 0
    assert_same(expected, home.rows("per_device"), "per_device")
    columns = "SELECT query, source, partition, record FROM late_rows"
    assert_same(files.query(columns), home.query(columns), "late_rows")


def test_generate_into_a_topic_and_verify(leat, kafka, topic):
    leat.write("p.sql", f"""SET http = 'off'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz, complexData jsonb)
WITH (connector = 'kafka', topic = '{topic}', "bootstrap.servers" = '{kafka.bootstrap}');
CREATE TABLE later (eventId text) WITH (connector = 'kafka', topic = '{topic}', start = 'latest',
                                        "bootstrap.servers" = '{kafka.bootstrap}');
CREATE MATERIALIZED VIEW ids AS SELECT eventId FROM telemetry;""")
    leat.ok("generate", "--events", "5000", "--seed", "3", "--to", "p.sql:telemetry", "--ledger", "ledger")
    assert len(kafka.consume(topic)) >= 5000
    ended = leat.ok("verify", "--ledger", "ledger", "--in", "p.sql:telemetry", "--max-missing-copies", "0", "--json")
    legs = json.loads(ended.out)["latency_seconds"]       # to the time of the Kafka record
    leat.ok("verify", "--ledger", "ledger", "--in", "p.sql:later")     # from the begin all the same
    assert list(legs) == ["created_stored"] and legs["created_stored"]["rows"] >= 5000
    home = Home(leat.folder / "p.leat")
    run_until(leat, home, 5000, view="ids")
    assert len({row["eventId"] for row in home.rows("ids")}) == 5000


def test_broker_away_at_start(leat, own_kafka):
    """Retries with a log line, no exit; goes on when the broker is there."""
    own_kafka.start()
    own_kafka.create_topic("late", 2)
    own_kafka.stop()
    home = pipeline(leat, own_kafka, "late")
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: own_kafka.bootstrap in running.err, "a log line names the broker")
    assert running.alive()
    own_kafka.start()
    own_kafka.produce("late", [(i % 2, event(i)) for i in range(50)])
    running.wait_until(lambda: home.count("plain") == 50, "50 rows", 90)
    assert running.terminate().status == 0


def test_broker_away_in_mid_run(leat, own_kafka):
    own_kafka.start()
    own_kafka.create_topic("in", 2)
    own_kafka.create_topic("out", 2)
    home = pipeline(leat, own_kafka, "in", SINK % ("", "out", own_kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    own_kafka.produce("in", [(i % 2, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    before = len(running.err)
    own_kafka.stop()
    running.wait_until(lambda: len(running.err) > before, "a log line about the broker", 60)
    assert running.alive()
    own_kafka.start()
    own_kafka.produce("in", [(i % 2, event(i)) for i in range(100, 200)])
    running.wait_until(lambda: home.count("plain") == 200, "the rows sent after the break", 120)
    wait_until(lambda: len(own_kafka.consume("out")) == 200, "all rows in the topic", 60)
    assert running.terminate().status == 0
    assert values(home) == list(range(200))
    assert sorted(body["n"] for body in bodies(own_kafka.consume("out"))) == list(range(200))


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_broker_restarts_while_rows_flow(leat, own_kafka, delivery):
    """Twice away, once killed: no exit, nothing lost, and nothing doubled by exactly_once."""
    own_kafka.start()
    own_kafka.create_topic("in", 2)
    own_kafka.create_topic("out", 2)
    home = pipeline(leat, own_kafka, "in", SINK % ("", "out", own_kafka.bootstrap,
                                                   f", delivery = '{delivery}'") +
                    "INSERT INTO out SELECT k, v FROM events;")
    running = leat.start("run", "p.sql")
    for restart in range(3):
        first = restart * 2000
        own_kafka.produce("in", [(i % 2, event(i)) for i in range(first, first + 2000)])
        running.wait_until(lambda: (home.count("plain") or 0) > first, "rows of this round", 60)
        own_kafka.process.send_signal(signal.SIGTERM if restart else signal.SIGKILL)
        own_kafka.process.wait()
        own_kafka.start()
    running.wait_until(lambda: home.count("plain") == 6000, "all rows", 120)
    wait_until(lambda: len({value for _, _, _, value in own_kafka.consume("out")}) == 6000,
               "all rows in the topic", 60)
    assert running.terminate().status == 0
    assert values(home) == list(range(6000))
    arrived = sorted(body["n"] for body in bodies(own_kafka.consume("out")))
    assert sorted(set(arrived)) == list(range(6000))
    assert delivery == "at_least_once" or len(arrived) == 6000


def test_stop_while_the_broker_is_away(leat, own_kafka):
    own_kafka.start()
    own_kafka.create_topic("in", 2)
    own_kafka.create_topic("out", 2)
    home = pipeline(leat, own_kafka, "in", SINK % ("", "out", own_kafka.bootstrap, "") +
                    "INSERT INTO out SELECT k, v FROM events;")
    own_kafka.produce("in", [(i % 2, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    own_kafka.stop()
    running.wait_until(lambda: "no broker answers" in running.err, "a log line about the broker", 60)
    assert running.terminate(20).status == 0


def test_broker_away_at_stop(leat, own_kafka):
    """What could not be delivered within the stop's time is delivered at the next start."""
    own_kafka.start()
    own_kafka.create_topic("out", 1)
    leat.write("events.ndjson", "".join(event(i) + "\n" for i in range(100)))
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (k text, v int) WITH (connector = 'file', path = 'events.ndjson');
""" + SINK % ("", "out", own_kafka.bootstrap, "") + "INSERT INTO out SELECT k, v FROM events;")
    killed = leat.run("run", "p.sql", env={"LEAT_KILL_AT_EPOCH": 1, "LEAT_EPOCH_ROWS": 10})
    assert killed.status == -9, killed
    own_kafka.stop()
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: own_kafka.bootstrap in running.err, "a log line names the broker", 60)
    assert running.terminate(30).status == 0
    own_kafka.start()
    leat.ok("run", "p.sql", seconds=90)
    assert sorted(body["n"] for body in bodies(own_kafka.consume("out"))) == list(range(100))
    assert "finished" in leat.ok("run", "p.sql").err
