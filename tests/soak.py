"""A long run with faults: does anything get lost, does anything grow?

`leat generate` feeds a topic of a real broker; one pipeline reads it and writes every way there is: a topic of
another broker exactly once, files by length, views in its home. While it runs, it is killed and stopped and
started again, its sink's broker stalls, both brokers restart. Every two seconds the processes' memory and
descriptors, the home and its rejects are measured. At the end all is let in, `leat verify` judges what arrived,
and what was measured is held against limits: memory, descriptors and the home must not grow. Kills stop after
the first part, so that one process lives long enough to show a leak; the brokers' faults go on almost to the end.

Without Kafka the simulator is a table of the pipeline, and only the pipeline is killed."""
import argparse
import json
import os
import pathlib
import random
import signal
import sqlite3
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))

from support.process import Leat, wait_until       # noqa: E402

COLUMNS = """eventId text NOT NULL, value double precision, deviceId text, deviceSequenceNumber bigint,
  type text, createdAt timestamptz NOT NULL, complexData jsonb"""
KAFKA_SOURCE = """
CREATE TABLE telemetry ({columns}, enqueuedAt timestamptz GENERATED ALWAYS AS (metadata('timestamp')) STORED)
WITH (connector = 'kafka', topic = 'telemetry', "bootstrap.servers" = '{source}', event_time = 'createdAt',
      watermark_delay = '3 seconds');
CREATE TABLE relay ({columns}, enqueuedAt timestamptz, processedAt timestamptz)
WITH (connector = 'kafka', topic = 'relay', key = 'deviceId', "bootstrap.servers" = '{target}');
INSERT INTO relay SELECT *, now() FROM clean;
"""
GENERATOR_SOURCE = """
CREATE TABLE telemetry ({columns})
WITH (connector = 'generator', event_time = 'createdAt', watermark_delay = '3 seconds', {generator});
CREATE TABLE relay ({columns}) WITH (connector = 'file', path = 'relay.ndjson');
INSERT INTO relay SELECT * FROM clean;
"""
PIPELINE = """SET pipeline = 'soak'; SET http = 'off'; SET keep_rejects = {keep};
SET checkpoint_interval = '1 second';
{source}
CREATE VIEW clean WITH (horizon = '1 minute') AS SELECT DISTINCT ON (eventId) * FROM telemetry;
CREATE TABLE copies (eventId text, value double precision, deviceId text, deviceSequenceNumber bigint,
  createdAt timestamptz) WITH (connector = 'file', path = 'copies.ndjson');
INSERT INTO copies SELECT eventId, value, deviceId, deviceSequenceNumber, createdAt FROM telemetry;
CREATE MATERIALIZED VIEW per_device WITH (retention = '2 minutes') AS
SELECT deviceId, type, window_start, count(*) AS events, avg(value) AS mean
FROM tumble(clean, createdAt, INTERVAL '10 seconds') GROUP BY deviceId, type, window_start;
CREATE MATERIALIZED VIEW sessions WITH (retention = '2 minutes') AS
SELECT deviceId, window_start, window_end, count(*) AS events
FROM session(clean, createdAt, INTERVAL '800 milliseconds', partition_by => deviceId)
GROUP BY deviceId, window_start, window_end;
CREATE MATERIALIZED VIEW totals AS SELECT type, count(*) AS events FROM clean GROUP BY type;
CREATE TABLE windows (deviceId text, type text, window_start timestamptz, events bigint)
WITH (connector = 'file', path = 'windows.ndjson');
INSERT INTO windows SELECT deviceId, type, window_start, events FROM per_device;
"""
SAMPLE_SECONDS = 2
MEBI = 1 << 20


def process_numbers(pid):
    """Memory in bytes, descriptors, threads; None when the process is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in fields:
        return None
    return {"memory": int(fields["VmRSS"].split()[0]) * 1024, "descriptors": descriptors,
            "threads": int(fields["Threads"])}


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Soak:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.folder = pathlib.Path(options.folder).resolve()
        self.folder.mkdir(parents=True)
        self.leat = Leat(self.folder)
        self.seconds = options.minutes * 60
        self.ledger = "sent.ledger" if options.kafka else "soak.sql:telemetry"
        self.samples, self.faults, self.problems = [], [], []
        self.life = 0                 # of the pipeline: one a start
        self.running = self.generator = self.source = self.target = None
        self.pause = threading.Event()
        self.started = time.monotonic()

    # ---- the parts ----

    def say(self, text):
        print(f"{self.age():7.0f} s  {text}", flush=True)

    def age(self):
        return time.monotonic() - self.started

    def problem(self, text):
        self.problems.append(text)
        self.say(f"PROBLEM: {text}")

    def prepare(self):
        o = self.options
        if o.kafka:
            from support.servers import Kafka
            self.source, self.target = Kafka().start(), Kafka().start()
            keep = {"retention_bytes": "-1", "retention_ms": "-1"}
            self.source.create_topic("telemetry", 4, **keep)
            self.target.create_topic("relay", 4, **keep)
            source = KAFKA_SOURCE.format(columns=COLUMNS, source=self.source.bootstrap,
                                         target=self.target.bootstrap)
        else:
            events = int(o.rate * self.seconds)
            source = GENERATOR_SOURCE.format(columns=COLUMNS, generator=(
                f"events = {events}, rate = {o.rate}, seed = {o.seed}, start = '2026-01-01', fields = {o.fields}, "
                "disorder = '2 seconds', bad = 0.001, late = 0.001, duplicates = 0.001"))
        self.leat.write("soak.sql", PIPELINE.format(source=source, keep=o.keep_rejects))

    def start_pipeline(self):
        self.life += 1
        self.running = self.leat.start("run", "--quiet", "soak.sql")

    def start_generator(self):
        o = self.options
        self.generator = self.leat.start(
            "generate", "--rate", o.rate, "--seed", o.seed, "--start", time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "--fields", o.fields, "--disorder",
            "2 seconds", "--bad", "0.001", "--late", "0.001", "--duplicates", "0.001", "--to",
            "soak.sql:telemetry", "--ledger", "sent.ledger")

    def query(self, sql):
        """Rows of the home, None while it is not there or busy."""
        path = self.folder / "soak.leat"
        try:
            home = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        except sqlite3.OperationalError:
            return None
        try:
            return home.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return None
        finally:
            home.close()

    # ---- measuring ----

    def sample(self, calm):
        row = {"at": round(self.age(), 1), "life": self.life, "calm": calm,
               "home": size_of(self.folder / "soak.leat"), "wal": size_of(self.folder / "soak.leat-wal")}
        for name, process in (("pipeline", self.running), ("generator", self.generator)):
            if process:
                row[name] = process_numbers(process.pid)
        if len(self.samples) % 15 == 0:
            rejects = self.query("SELECT (SELECT count(*) FROM late_rows), (SELECT count(*) FROM dead_letters), "
                                 "(SELECT count(*) FROM leat_outbox), (SELECT count(*) FROM per_device)")
            if rejects:
                row.update(zip(("late_rows", "dead_letters", "outbox", "per_device"), rejects[0]))
        self.samples.append(row)
        with open(self.folder / "samples.ndjson", "a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def watch(self, seconds, calm=False):
        """Samples until the time is over, and notices what ends by itself."""
        until = min(self.age() + seconds, self.seconds)
        while self.age() < until:
            self.sample(calm)
            self.pause.wait(max(0.0, min(SAMPLE_SECONDS, until - self.age())))
            if not self.running.alive():
                if self.options.kafka or self.running.process.returncode != 0:
                    self.problem(f"the pipeline ended by itself with {self.running.process.returncode}: "
                                 f"{self.running.err[-600:]}")
                    self.start_pipeline()
                else:
                    return       # the simulator's table has ended
            if self.generator and not self.generator.alive():
                self.problem(f"the simulator ended: {self.generator.err[-600:]}")
                self.generator = None

    # ---- faults ----

    def kill(self):
        self.running.kill()
        self.start_pipeline()

    def stop(self):
        ended = self.running.terminate(40)
        if ended.status != 0:
            self.problem(f"stopped with status {ended.status}: {ended.err[-600:]}")
        self.start_pipeline()

    def stall(self):
        self.target.broker.pause()
        try:
            self.watch(self.random.uniform(4, 15))
        finally:
            self.target.broker.resume()

    def restart_source(self):
        self.restart(self.source)

    def restart_target(self):
        self.restart(self.target)

    def restart(self, broker):
        broker.stop()
        self.watch(self.random.uniform(0, 8))
        broker.start()

    def fault(self, killing):
        kinds = [self.stall, self.stall, self.restart_source, self.restart_target] if self.options.kafka else []
        if killing:
            kinds += [self.kill, self.kill, self.kill, self.kill, self.stop, self.stop]
        if not kinds:
            return
        kind = self.random.choice(kinds)
        self.faults.append(kind.__name__)
        self.say(f"fault: {kind.__name__}")
        kind()

    def run(self):
        o = self.options
        self.prepare()
        self.started = time.monotonic()
        self.start_pipeline()
        if o.kafka:
            self.start_generator()
        pause = o.pause or max(2.0, min(40.0, self.seconds / 20))
        while self.age() < self.seconds * 0.92:
            killing = self.age() < self.seconds * o.killing
            self.watch(self.random.uniform(0.3, 1.7) * pause * (1 if killing else 2), not killing)
            if self.age() < self.seconds * 0.92 and self.running.alive():
                self.fault(killing)
        self.watch(self.seconds, True)

    # ---- the end ----

    def count_of(self, query, kinds):
        names = ",".join(f"'{kind}'" for kind in kinds)
        rows = self.query(f"SELECT coalesce(sum(count), 0) FROM leat_counts WHERE query = '{query}' "
                          f"AND kind IN ({names})")
        return rows[0][0] if rows else 0

    def let_in(self):
        """Until all that was sent is taken in, closed and delivered."""
        if not self.options.kafka:
            status = self.running.wait(120).status
            if status != 0:
                self.problem(f"the pipeline ended with {status}: {self.running.err[-600:]}")
            return
        if self.generator and self.generator.terminate(120).status != 0:
            self.problem(f"the simulator failed: {self.generator.err[-600:]}")
        sent = sum(self.source_ends())
        self.say(f"{sent} records were sent; letting them in")
        self.running.wait_until(lambda: self.count_of("", ["rows", "dead"]) >= sent, "all records are taken in", 600)
        once = self.query("SELECT sum(events) FROM totals")[0][0]
        self.say(f"{once} events are counted; waiting for the last windows")

        def closed():
            late = self.count_of("per_device", ["late", "late_idle"])
            return self.windows()[0] + late >= once and not self.query("SELECT 1 FROM leat_outbox LIMIT 1")
        self.running.wait_until(closed, "all windows are closed and delivered", 120)
        if self.running.terminate(40).status != 0:
            self.problem(f"the last stop failed: {self.running.err[-600:]}")

    def source_ends(self):
        from confluent_kafka import Consumer, TopicPartition
        consumer = Consumer({"bootstrap.servers": self.source.bootstrap, "group.id": "ends"})
        try:
            return [consumer.get_watermark_offsets(TopicPartition("telemetry", p), 20)[1] for p in range(4)]
        finally:
            consumer.close()

    def windows(self):
        """Events in the delivered windows, and windows that came twice."""
        seen, events, twice = set(), 0, 0
        with open(self.folder / "windows.ndjson", encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break
                row = json.loads(line)
                key = (row["deviceId"], row["type"], row["window_start"])
                twice += key in seen
                seen.add(key)
                events += row["events"]
        return events, twice

    def verify(self, what, *arguments):
        ended = self.leat.run("verify", "--ledger", self.ledger, "--json", *arguments, seconds=1800)
        if ended.status == 2 or not ended.out:
            self.problem(f"verify {what}: {ended.err}")
            return {}
        result = json.loads(ended.out)
        (self.folder / f"verify-{what}.json").write_text(ended.out)
        self.say(f"verify {what}: " + ", ".join(f"{name} {result[name]}" for name in (
            "sent", "arrived", "missing", "unexpected", "duplicated", "changed", "missing_copies", "out_of_order")))
        for leg, figures in result.get("latency_seconds", {}).items():
            self.say(f"   {leg}: " + ", ".join(f"{n} {v:.3f}" for n, v in figures.items() if n != "rows"))
        if not result["ok"]:
            self.problem(f"verify {what}: {result['broken_limits']} {result['examples']}")
        return result

    def judge(self):
        relay = self.verify("relay", "--deduplicated", "--account", "soak.sql:relay", "--in",
                            "soak.sql:relay" if self.options.kafka else "relay.ndjson")
        if not self.options.kafka and relay.get("sent") != int(self.options.rate * self.seconds):
            self.problem("the pipeline did not come to the end of its events")
        self.verify("copies", "--max-missing-copies", "0", "--account", "soak.sql:copies", "--in", "copies.ndjson")
        events, twice = self.windows()
        late = self.count_of("per_device", ["late", "late_idle"])
        once = self.query("SELECT sum(events) FROM totals")[0][0]
        self.say(f"windows: {events} events and {late} late ones of {once}; {twice} windows came twice")
        if twice or events + late != once:
            self.problem("the windows do not hold each event once")
        for table in ("late_rows", "dead_letters"):
            rows = self.query(f"SELECT count(*) FROM {table}")[0][0]
            if rows > self.options.keep_rejects:
                self.problem(f"{table} holds {rows} rows, more than keep_rejects = {self.options.keep_rejects}")

    def steady(self, name, values, least):
        """The last third of a life against the middle one, behind a warm-up of a fifth. The first third may still
        grow: after a broker was away its backlog comes at once, and the memory that it took stays with malloc."""
        values = [v for v in values if v is not None]
        values = values[len(values) // 5:]
        if not values:
            return
        third = max(1, len(values) // 3)
        parts = [statistics.median(part) for part in (values[:third], values[third:2 * third] or values, values[-third:])]
        unit = MEBI if least >= MEBI else 1
        self.say(f"{name}: " + ", ".join(f"{part / unit:.1f}" for part in parts) + " by thirds, "
                 f"{max(values) / unit:.1f} at most")
        if parts[2] - parts[1] <= max(least, parts[1] * 0.15):
            return
        if len(values) * SAMPLE_SECONDS < 240:
            self.say(f"   {name} has grown, but this was too short to judge")
        else:
            self.problem(f"{name} grows: from {parts[1] / unit:.1f} to {parts[2] / unit:.1f}")

    def constant(self):
        last = [s for s in self.samples if s["life"] == self.life and s.get("pipeline")]
        self.say(f"{self.life} lives of the pipeline; the last one has {len(last)} samples")
        for name, least in (("memory", 24 * MEBI), ("descriptors", 4), ("threads", 2)):
            self.steady(f"pipeline {name}", [s["pipeline"][name] for s in last], least)
        generator = [s["generator"] for s in self.samples if s.get("generator")]
        for name, least in (("memory", 24 * MEBI), ("descriptors", 4)):
            self.steady(f"simulator {name}", [s[name] for s in generator], least)
        self.steady("home", [s["home"] for s in self.samples if s["at"] > 240], 8 * MEBI)
        self.steady("its log", [s["wal"] for s in self.samples if s["at"] > 240], 32 * MEBI)
        most = max(s["pipeline"]["memory"] for s in self.samples if s.get("pipeline"))
        self.say(f"most memory of any life: {most / MEBI:.1f}")
        if most > self.options.memory * MEBI:
            self.problem(f"the pipeline took {most / MEBI:.0f} MB, more than {self.options.memory}")

    def end(self):
        self.leat.end_all()
        for broker in (self.source, self.target):
            if broker:
                if broker.process and broker.process.poll() is None:
                    broker.broker.resume()
                broker.remove()


def arguments():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="default: an hour")
    parser.add_argument("--rate", type=int, default=2000, help="events a second (2000)")
    parser.add_argument("--fields", type=int, default=5, help="members of complexData (5)")
    parser.add_argument("--killing", type=float, default=0.55, help="the part of the time with kills (0.55)")
    parser.add_argument("--pause", type=float, default=0, help="seconds between faults, about (a 20th, at most 40)")
    parser.add_argument("--keep-rejects", type=int, default=2000, help="rows of late_rows and dead_letters (2000)")
    parser.add_argument("--memory", type=int, default=400, help="MB that the pipeline may take at most (400)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kafka", dest="kafka", action="store_false", help="files alone")
    parser.add_argument("--folder", help="where to (.dev/soak-TIME)")
    options = parser.parse_args()
    options.minutes = options.minutes + options.hours * 60 or 60
    options.folder = options.folder or f".dev/soak-{time.strftime('%H%M%S')}"
    return options


def main():
    soak = Soak(arguments())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        soak.run()
        soak.let_in()
        soak.judge()
        soak.constant()
    except AssertionError as failed:
        soak.problem(str(failed))
    except KeyboardInterrupt:
        soak.problem("interrupted")
    finally:
        soak.end()
    counts = {kind: soak.faults.count(kind) for kind in sorted(set(soak.faults))}
    soak.say(f"faults: {counts}; everything is in {soak.folder}")
    soak.say("passed" if not soak.problems else f"FAILED: {len(soak.problems)} problems")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
