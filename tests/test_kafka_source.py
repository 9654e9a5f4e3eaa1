"""Where a Kafka source begins and goes on: `start`, gaps in the offsets, records that were deleted
before they were read, brokers that die, logins that are refused."""
import json
import signal

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions

from support.process import wait_until
from test_kafka import BASE, SINK, SOURCE, bodies, event, pipeline, run_until, topic, values  # noqa: F401


def until(running, home, count, what="rows", seconds=60, view="plain"):
    running.wait_until(lambda: (home.count(view) or 0) >= count, f"{count} {what}", seconds)


def stop(running):
    ended = running.terminate()
    assert ended.status == 0, ended
    return ended


def settled(home, name="events.start"):
    if home.count("leat_facts"):
        rows = home.query("SELECT value FROM leat_facts WHERE name = ?", name)
        return rows and rows[0]["value"]


def position(home, partition=0):
    rows = home.query("SELECT position FROM leat_positions WHERE partition = ?", str(partition))
    return rows[0]["position"] if rows else None


def delete_before(kafka, topic, offset, partition=0):
    for future in kafka.admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        future.result(30)


def add_partitions(kafka, topic, count):
    for future in kafka.admin.create_partitions([NewPartitions(topic, count)]).values():
        future.result(30)
    wait_until(lambda: len(kafka.admin.list_topics(topic, timeout=5).topics[topic].partitions) == count,
               f"{count} partitions")


def delete_topic(kafka, topic):
    for future in kafka.admin.delete_topics([topic]).values():
        future.result(30)
    wait_until(lambda: topic not in kafka.admin.list_topics(timeout=5).topics, "the topic is gone")


def produce_at(kafka, topic, rows):
    """(partition, number, milliseconds behind BASE)"""
    producer = kafka.producer()
    for partition, v, ms in rows:
        producer.produce(topic, event(v).encode(), None, partition, timestamp=BASE * 1000 + ms)
    assert producer.flush(30) == 0


# ---- start ----

def test_start_at_a_time(leat, kafka, topic):
    """The first record of each partition that is not older; one without begins at its end."""
    home = pipeline(leat, kafka, topic, options=", start = '2020-01-01 00:00:01.0005Z'")
    produce_at(kafka, topic, [(0, 1, 1000), (0, 2, 1001), (0, 3, 500), (0, 4, 3000),
                              (1, 5, 1000), (2, 6, 1002)])
    running = leat.start("run", "p.sql")
    until(running, home, 4)
    produce_at(kafka, topic, [(1, 7, 2000), (3, 8, 2000), (3, 9, 10)])
    until(running, home, 7)
    stop(running)
    assert values(home) == [2, 3, 4, 6, 7, 8, 9]


def test_start_at_a_time_is_settled_once(leat, kafka, topic):
    """What comes between the first look and a restart before the first epoch is read."""
    home = pipeline(leat, kafka, topic, options=", start = '2020-01-02'")
    produce_at(kafka, topic, [(i % 4, i, i) for i in range(8)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home), "the begin is in the home")
    running.kill()
    produce_at(kafka, topic, [(i % 4, i, i) for i in range(8, 16)])     # older than the time
    run_until(leat, home, 8)
    assert values(home) == list(range(8, 16))


@pytest.mark.parametrize("start, expected", [("infinity", []), ("-infinity", [1, 2]), ("1960-01-01", [1, 2])])
def test_start_at_the_ends_of_time(leat, kafka, topic, start, expected):
    home = pipeline(leat, kafka, topic, options=f", start = '{start}'")
    produce_at(kafka, topic, [(0, 1, 0), (1, 2, 0)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home), "the begin is in the home")
    produce_at(kafka, topic, [(0, 3, 0), (3, 4, 0)])
    until(running, home, len(expected) + 2)
    stop(running)
    assert values(home) == [*expected, 3, 4]


def commit_offsets(kafka, group, offsets):
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def test_start_at_a_groups_offsets(leat, kafka, topic):
    """A partition without one begins at its start; what the group does later changes nothing."""
    options = f", start = 'group', \"group.id\" = '{topic}-g'"
    home = pipeline(leat, kafka, topic, options=options)
    kafka.produce(topic, [(i % 4, event(i)) for i in range(40)])
    commit_offsets(kafka, f"{topic}-g", [TopicPartition(topic, 0, 5), TopicPartition(topic, 1, 10)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home), "the begin is in the home")
    running.kill()
    assert "no offset of 2 of 4 partitions" in running.err
    commit_offsets(kafka, f"{topic}-g", [TopicPartition(topic, p, 10) for p in range(4)])
    run_until(leat, home, 25)
    assert values(home) == sorted([*range(20, 40, 4), *range(2, 40, 4), *range(3, 40, 4)])


def test_start_at_the_pipelines_own_group(leat, kafka, topic):
    """Without "group.id" it is the pipeline's name: --fresh goes on where the last run stood."""
    home = pipeline(leat, kafka, topic, options=", start = 'group'")
    leat.write("p.sql", f"SET pipeline = '{topic}'; SET home = 'sqlite:p.leat';" + (leat.folder / "p.sql").read_text())
    kafka.produce(topic, [(i % 4, event(i)) for i in range(40)])
    run_until(leat, home, 40)
    kafka.produce(topic, [(i % 4, event(i)) for i in range(40, 48)])
    running = leat.start("run", "--fresh", "p.sql")
    running.wait_until(lambda: (home.count("plain") or 0) == 8, "8 rows")
    stop(running)
    assert values(home) == list(range(40, 48))


def test_start_is_no_part_of_a_query(leat, kafka, topic):
    """A home that knows where it stands goes on from there, and says so."""
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(i)) for i in range(10)])
    run_until(leat, home, 10)
    pipeline(leat, kafka, topic, options=", start = '2030-01-01', on_gap = 'skip'")
    kafka.produce(topic, [(i % 2, event(i)) for i in range(10, 20)])
    ended = run_until(leat, home, 20)
    assert values(home) == list(range(20)) and "start = '2030-01-01' is not used" in ended.err


@pytest.mark.parametrize("option, words", [
    ("start = 'lastest'", "did you mean 'latest'?"),
    ("start = '2026-13-01'", "option 'start' expects 'earliest', 'latest', 'group' or a time like "
                             "'2026-01-01T00:00:00Z', got '2026-13-01'"),
    ("start = ''", "option 'start' expects a text that is not empty"),
    ("on_gap = 'ignore'", "option 'on_gap' expects one of 'fail', 'skip', got 'ignore'")])
def test_bad_values(leat, option, words):
    leat.write("p.sql", SOURCE % ("", "t", "127.0.0.1:1", f", {option}"))
    ended = leat.run("check", "p.sql")
    assert ended.status == 2 and words in ended.err and "p.sql:3:" in ended.err, ended


def test_on_gap_is_a_sources(leat):
    leat.write("p.sql", (SOURCE % ("", "t", "127.0.0.1:1", "")) + SINK % ("", "o", "127.0.0.1:1", ", on_gap = 'skip'") +
               "INSERT INTO out SELECT k, v FROM events;")
    ended = leat.run("check", "p.sql")
    assert ended.status == 2 and "on_gap" in ended.err, ended


# ---- growth ----

@pytest.mark.parametrize("start", ["latest", "2030-01-01"])
def test_partitions_that_appear_later(leat, kafka, topic, start):
    """From their beginning, whatever `start` said, while it runs and while it does not."""
    home = pipeline(leat, kafka, topic, options=f", start = '{start}'")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home), "the begin is in the home")
    add_partitions(kafka, topic, 5)
    kafka.produce(topic, [(4, event(i)) for i in range(100, 110)])
    until(running, home, 10)
    stop(running)
    add_partitions(kafka, topic, 6)
    kafka.produce(topic, [(5, event(i)) for i in range(110, 120)])
    run_until(leat, home, 20)
    kafka.produce(topic, [(i % 6, event(i)) for i in range(120, 126)])
    run_until(leat, home, 26)
    assert values(home) == list(range(100, 126))
    assert settled(home).split("\t")[:2] == [topic, start]


def test_a_topic_with_fewer_partitions_is_another(leat, kafka, topic):
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(i)) for i in range(10)])
    run_until(leat, home, 10)
    delete_topic(kafka, topic)
    kafka.create_topic(topic, 2)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "has 2 partitions, before it had 4" in ended.err and "--fresh" in ended.err, ended


def test_another_topic_under_the_same_name(leat, kafka, topic):
    """A changed topic is a changed query; reset, it must not read at the old topic's positions."""
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(i)) for i in range(10)])
    run_until(leat, home, 10)
    other = kafka.create_topic(f"{topic}-other", 4)
    pipeline(leat, kafka, other)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "has changed" in ended.err, ended
    ended = leat.run("run", "--reset", "plain", "p.sql")
    assert ended.status == 1 and f"positions of topic '{topic}'" in ended.err and "--fresh" in ended.err, ended


# ---- offsets with holes ----

def transaction(kafka, topic, rows, commit=True):
    producer = kafka.producer(transactional_id=f"{topic}-writer")
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition, v in rows:
        producer.produce(topic, event(v).encode(), partition=partition)
    producer.flush()
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


def test_positions_pass_what_is_no_record(leat, kafka, topic, http):
    """Markers and aborted records at a partition's end: it stands behind them, with nothing waiting, and what
    deletes them is no loss."""
    home = pipeline(leat, kafka, topic, options=", idle_timeout = '300 milliseconds'")
    leat.write("p.sql", (leat.folder / "p.sql").read_text().replace("'off'", "'127.0.0.1:0'", 1))
    transaction(kafka, topic, [(0, 1), (0, 2)])                         # offsets 0, 1, marker 2
    transaction(kafka, topic, [(0, 100), (0, 101), (1, 102)], commit=False)     # 3, 4, marker 5
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 2 and position(home) == 6, "position 6")
    url = running.wait_until(lambda: next((word for word in running.err.split() if word.startswith("http://")), None),
                             "the address")
    running.wait_until(lambda: all(p["idle"] and p["lag"] in (0, None) for p in http(
        f"{url.rstrip('/')}/v1/pipeline").json["sources"][0]["partitions"]), "all is read, all partitions are idle")
    stop(running)
    delete_before(kafka, topic, 6)
    delete_before(kafka, topic, 2, partition=1)
    transaction(kafka, topic, [(0, 3)])
    run_until(leat, home, 3)
    assert values(home) == [1, 2, 3]


def test_open_transactions(leat, kafka, topic):
    """What is not decided is not read, holds nothing else back, and 'latest' stands before it."""
    home = pipeline(leat, kafka, topic, options=", start = 'latest'")
    producer = kafka.producer(transactional_id=f"{topic}-open")
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, event(1).encode(), partition=0)
    producer.flush()
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home), "the begin is in the home")
    kafka.produce(topic, [(0, event(2)), (1, event(3))])
    until(running, home, 1)
    assert values(home) == [3]
    producer.commit_transaction(30)
    until(running, home, 3)
    stop(running)
    assert values(home) == [1, 2, 3]


def test_compacted_topics(leat, kafka, topic):
    compacted = kafka.create_topic(f"{topic}-compacted", 1, **{
        "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "100"})
    home = pipeline(leat, kafka, compacted)
    rows = [(0, event(i), str(i % 3).encode()) for i in range(100)]
    kafka.produce(compacted, rows)

    def cleaned():
        kafka.produce(compacted, [(0, event(1000), b"rolls the segment")])
        return len(kafka.consume(compacted)) < 50
    wait_until(cleaned, "the topic is compacted", 60, every=0.3)
    left = [json.loads(value)["v"] for _, _, _, value in kafka.consume(compacted)]
    end = kafka.consume(compacted)[-1][1] + 1
    run_until(leat, home, len(left))
    assert values(home) == sorted(left) and position(home) == end
    kafka.produce(compacted, [(0, event(2000), b"k")])
    run_until(leat, home, len(left) + 1)


# ---- deleted before it was read ----

def numbers(http, running):
    url = running.wait_until(lambda: next((word for word in running.err.split() if word.startswith("http://")), None),
                             "the address").rstrip("/")
    return http(f"{url}/v1/pipeline").json["sources"][0], http(f"{url}/metrics").text


def test_retention_passed_the_position(leat, kafka, topic, http):
    home = pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(i)) for i in range(10)])
    run_until(leat, home, 10)
    kafka.produce(topic, [(0, event(i)) for i in range(10, 30)])
    delete_before(kafka, topic, 20)
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and f"topic '{topic}' partition 0 no longer has offsets 10 to 19" in ended.err, ended
    assert "on_gap = 'skip'" in ended.err and "leat run --fresh" in ended.err and values(home) == list(range(10))
    pipeline(leat, kafka, topic, options=", on_gap = 'skip'")
    leat.write("p.sql", (leat.folder / "p.sql").read_text().replace("'off'", "'127.0.0.1:0'", 1))
    # killed before the first epoch behind it: met again, it is the same gap
    skipping = (leat.folder / "p.sql").read_text()
    leat.write("p.sql", skipping.replace("'50 milliseconds'", "'1 hour'"))
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: settled(home, "events.lost"), "the gap is in the home")
    running.kill()
    assert home.count("plain") == 10
    leat.write("p.sql", skipping)
    for lost, rows in (10, 20), (10, 20), (15, 25):
        if lost == 15:
            kafka.produce(topic, [(0, event(i)) for i in range(30, 40)])
            delete_before(kafka, topic, 35)
        running = leat.start("run", "p.sql")
        until(running, home, rows)
        running.wait_until(lambda: numbers(http, running)[0]["lost"] == lost, f"{lost} lost")
        assert f'leat_source_lost_records_total{{source="events"}} {lost}' in numbers(http, running)[1]
        stop(running)
    assert values(home) == [*range(10), *range(20, 30), *range(35, 40)]
    # nothing is left behind the gap: the home stands there all the same
    kafka.produce(topic, [(0, event(40))])
    delete_before(kafka, topic, 41)
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: position(home) == 41, "position 41")
    stop(running)
    pipeline(leat, kafka, topic)
    kafka.produce(topic, [(0, event(41))])
    run_until(leat, home, 26)


def test_retention_passes_while_it_runs(leat, kafka, topic):
    home = pipeline(leat, kafka, topic, options=", on_gap = 'skip'")
    kafka.produce(topic, [(i % 2, event(i)) for i in range(10)])
    running = leat.start("run", "p.sql")
    until(running, home, 10)
    running.process.send_signal(signal.SIGSTOP)
    kafka.produce(topic, [(0, event(10)), (1, event(11))])      # answers the request that waits for rows
    kafka.produce(topic, [(i % 2, event(i)) for i in range(12, 30)])
    delete_before(kafka, topic, 10)
    running.process.send_signal(signal.SIGCONT)
    kafka.produce(topic, [(0, event(30))])
    running.wait_until(lambda: {30, 29} <= set(values(home)), "the rows behind the gap")
    ended = stop(running)
    lost = set(range(31)) - set(values(home))
    assert lost and lost <= set(range(10, 20, 2)) and len(values(home)) + len(lost) == 31
    assert f"topic '{topic}' partition 0 no longer has offsets" in ended.err


@pytest.mark.parametrize("on_gap", ["fail", "skip"])
def test_a_topic_that_ends_before_the_position(leat, kafka, topic, on_gap):
    """Made anew or cut back: nothing that could be done by itself is right."""
    home = pipeline(leat, kafka, topic, options=f", on_gap = '{on_gap}'")
    kafka.produce(topic, [(i % 4, event(i)) for i in range(40)])
    run_until(leat, home, 40)
    delete_topic(kafka, topic)
    kafka.create_topic(topic, 4)
    kafka.produce(topic, [(0, event(i)) for i in range(5)])
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "ends at offset" in ended.err and "up to 10" in ended.err, ended
    assert "made anew" in ended.err and "--fresh" in ended.err and values(home) == list(range(40))
    running = leat.start("run", "--fresh", "p.sql")
    running.wait_until(lambda: home.count("plain") == 5, "the new topic's rows")
    stop(running)
