"""Events per second, CPU and memory of four queries over the sample's events, beside two ceilings.

Q1 filter and project, Q2 count, avg, min and max per device per minute, Q3 deduplicate, then Q2, Q4
join with the devices, then per site per minute. Homes, epochs and checksums are on as in production.
CPU is user and system time of the whole process, from wait4; memory is its peak. Over Kafka the time
runs until the program reports that it has taken the last event; the broker's CPU is not counted."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
LEAT = pathlib.Path(os.environ.get("LEAT", ROOT / "build" / "leat")).resolve()
KEPT = ROOT / ".dev" / "bench"
BROKER = ROOT / "tests" / "kafka" / "broker"
PARTITIONS = 4

TABLE = """
CREATE TABLE telemetry (eventId text, value double precision, deviceId text,
  deviceSequenceNumber bigint, type text, createdAt timestamptz, complexData jsonb)
WITH ({source}, event_time = 'createdAt', watermark_delay = '5 seconds');
"""
PER_DEVICE = """CREATE MATERIALIZED VIEW per_device WITH (emit = 'final') AS
SELECT deviceId, window_start, count(*) AS n, avg(value) AS mean, min(value) AS low, max(value) AS high
FROM tumble({table}, createdAt, INTERVAL '1 minute') GROUP BY deviceId, window_start;
"""
QUERIES = {
    "Q1": """CREATE TABLE out (eventId text, deviceId text, value double precision, createdAt timestamptz)
WITH (connector = 'file', path = '-');
INSERT INTO out SELECT eventId, deviceId, value, createdAt FROM telemetry WHERE type = 'TEMP';
""",
    "Q2": PER_DEVICE.format(table="telemetry"),
    "Q3": "CREATE VIEW clean WITH (horizon = '10 minutes') AS "
          "SELECT DISTINCT ON (eventId) * FROM telemetry;\n" + PER_DEVICE.format(table="clean"),
    "Q4": """CREATE TABLE devices (deviceId text PRIMARY KEY, site text)
WITH (connector = 'file', path = 'devices.csv', format = 'csv');
CREATE VIEW enriched AS SELECT t.*, d.site FROM telemetry t JOIN devices d ON d.deviceId = t.deviceId;
CREATE MATERIALIZED VIEW per_site WITH (emit = 'final') AS
SELECT site, window_start, count(*) AS n, avg(value) AS mean
FROM tumble(enriched, createdAt, INTERVAL '1 minute') GROUP BY site, window_start;
""",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Measured:
    """A process with its wall time, CPU seconds and peak memory; `until` ends it early."""

    def __init__(self, command, folder, until=None):
        with open(folder / "err", "wb") as err:
            began = time.monotonic()
            process = subprocess.Popen([str(c) for c in command], cwd=folder, stderr=err,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wall = None
        if until:
            pause = threading.Event()
            while not until():
                if process.poll() is not None:
                    break
                pause.wait(0.05)
            wall = time.monotonic() - began
            process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.wall = wall or time.monotonic() - began
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss / 1024
        if process.returncode:
            sys.exit(f"bench: {command[0]} ended with {process.returncode}:\n"
                     f"{(folder / 'err').read_text()[-3000:]}")


def compile_ceilings(folder):
    def build(compiler, source, *libraries):
        program = folder / pathlib.Path(source).stem
        subprocess.run([*compiler, "-O2", "-o", program, ROOT / "bench" / source, *libraries],
                       check=True)
        return program
    return (build(["g++", "-std=c++20"], "pick.cc", "-lsimdjson"),
            build(["gcc", "-std=gnu17"], "consumer.c", "-lrdkafka"))


GENERATE = ["generate", "--seed", "1", "--devices", "1000", "--duplicates", "0.001",
            "--disorder", "2 seconds", "--start", "2020-01-01T00:00:00Z"]


def events_file(count):
    """The events, made once and kept."""
    path = KEPT / f"events-{count}.ndjson"
    if not path.exists():
        say(f"making {count} events")
        KEPT.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        subprocess.run([LEAT, *GENERATE, "--events", str(count), "--to", part], check=True)
        part.rename(path)
    lines = 0
    with open(path, "rb") as file:     # and the file is in the page cache
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
    return path, lines


def pipeline(folder, query, source, settings):
    (folder / "devices.csv").write_text("deviceId,site\n" + "".join(
        f"contoso-device-id-{i:06d},site {i % 20}\n" for i in range(1000)))
    (folder / "q.sql").write_text(settings + TABLE.format(source=source) + QUERIES[query])


def row(name, source, measured, events, repeats):
    best = min(measured, key=lambda m: m.cpu)
    note = "" if repeats == 1 else f"  (best of {repeats})"
    print(f"{name:<28} {source:<6} {events / best.wall:>12,.0f} {best.cpu / events * 1e6:>12.2f} "
          f"{best.peak_mb:>9.0f}{note}", flush=True)


def free_ports(count):
    import socket
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def rows_taken(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/pipeline", timeout=5) as answer:
            return json.load(answer)["sources"][0]["rows"]
    except (urllib.error.URLError, ConnectionError):
        return 0


def bench_file(args, folder, pick):
    path, events = events_file(args.events)
    row("simdjson, three fields", "file", [Measured([pick, path], folder) for _ in range(args.repeat)],
        events, args.repeat)
    for query in args.query:
        measured = []
        for _ in range(args.repeat):
            home = pathlib.Path(tempfile.mkdtemp(dir=folder))
            pipeline(home, query, f"connector = 'file', path = '{path}'", "SET http = 'off';")
            measured.append(Measured([LEAT, "run", "q.sql"], home))
            shutil.rmtree(home)
        row(query, "file", measured, events, args.repeat)


def bench_kafka(args, folder, consumer):
    port, controller = free_ports(2)
    data = folder / "kafka"
    data.mkdir()
    with open(data / "log", "wb") as log:
        broker = subprocess.Popen([BROKER, "run", data, str(port), str(controller)], stdout=log,
                                  stderr=log)
    try:
        address = f"127.0.0.1:{port}"
        subprocess.run([BROKER, "topic", address, "telemetry", str(PARTITIONS)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        say(f"sending {args.events} events to Kafka")
        source = f"connector = 'kafka', topic = 'telemetry', \"bootstrap.servers\" = '{address}'"
        (folder / "sink.sql").write_text(TABLE.format(source=source))
        subprocess.run([LEAT, *GENERATE, "--events", str(args.events), "--to",
                        f"{folder / 'sink.sql'}:telemetry"], check=True)
        done = subprocess.run([consumer, address, "telemetry", str(PARTITIONS)], check=True,
                              capture_output=True, text=True)
        events = int(done.stdout.split()[0])
        row("librdkafka, touching bytes", "kafka",
            [Measured([consumer, address, "telemetry", str(PARTITIONS)], folder)
             for _ in range(args.repeat)], events, args.repeat)
        for query in args.query:
            measured = []
            for _ in range(args.repeat):
                home = pathlib.Path(tempfile.mkdtemp(dir=folder))
                web, = free_ports(1)
                pipeline(home, query, source, f"SET http = '127.0.0.1:{web}';")
                measured.append(Measured([LEAT, "run", "q.sql"], home,
                                         lambda: rows_taken(web) >= events))
                shutil.rmtree(home)
            row(query, "kafka", measured, events, args.repeat)
    finally:
        broker.terminate()
        broker.wait()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="default: 1000000, about 850 MB")
    parser.add_argument("--kafka", action="store_true", help="also from Apache Kafka")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the one with least CPU is shown")
    parser.add_argument("--query", action="append", choices=QUERIES, help="only this one; may be repeated")
    args = parser.parse_args()
    args.query = args.query or list(QUERIES)
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        folder = pathlib.Path(folder)
        pick, consumer = compile_ceilings(folder)
        print(f"{'':<28} {'source':<6} {'events/s':>12} {'CPU s / 1 M':>12} {'peak MB':>9}")
        bench_file(args, folder, pick)
        if args.kafka:
            bench_kafka(args, folder, consumer)


main()
