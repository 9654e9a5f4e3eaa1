"""Real servers for tests: PostgreSQL 15 as the judge, Apache Kafka as the broker.

Each lives in a folder of its own under the system's temporary folder, listens on 127.0.0.1 on a free
port and is ended by its pid."""
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .process import ROOT, wait_until


def free_ports(count):
    """Ports that differ and that no outgoing connection is given while a server takes its time to
    start: from below the range of which the system deals those out. All are held before the first is
    given back."""
    dealt_out = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    highest = int(dealt_out[0]) if int(dealt_out[0]) > 12000 else 65536
    lowest = 10000 if highest < 65536 else int(dealt_out[1]) + 1
    held = []
    try:
        while len(held) < count:
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", random.randrange(lowest, highest)))
                held.append(s)
            except OSError:     # taken: another one
                s.close()
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()


def free_port():
    return free_ports(1)[0]


def end(process, with_signal, seconds=20):
    if process.poll() is None:
        process.send_signal(with_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Postgres:
    """A server that answers as LANGUAGE says: UTC, ISO, interval style postgres, collation C."""

    programs = pathlib.Path("/usr/lib/postgresql/15/bin")

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="leat-postgres-"))
        self.port = free_port()
        self.drop = []
        if os.geteuid() == 0:      # the server refuses root
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.drop = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                         "--clear-groups"]
        data = self.folder / "data"
        subprocess.run([*self.drop, self.programs / "initdb", "-D", data, "-U", "judge", "-A",
                        "trust", "--no-sync", "--encoding=UTF8", "--lc-collate=C",
                        "--lc-ctype=C.UTF-8", "--lc-messages=C", "--lc-monetary=C",
                        "--lc-numeric=C", "--lc-time=C"],
                       check=True, capture_output=True, cwd="/")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [*self.drop, self.programs / "postgres", "-D", data, "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
             "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "timezone=UTC",
             "-c", "datestyle=ISO", "-c", "intervalstyle=postgres", "-c", "jit=off"],
            stdout=self.log, stderr=self.log, cwd="/")
        self.connection = wait_until(self.connect, "PostgreSQL accepts a connection")

    def connect(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return psycopg.connect(host="127.0.0.1", port=self.port, user="judge",
                                   dbname="postgres", autocommit=True)
        except psycopg.OperationalError:
            return None

    def execute(self, sql):
        self.connection.execute(sql)

    def json_rows(self, sql):
        """The rows of a query, each as the text that row_to_json makes of it."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT row_to_json(row_)::text FROM ({sql}) row_")
            return [row[0] for row in cursor]

    def load(self, table, columns, rows):
        """A fresh table of (name, type) columns filled with rows of JSON-like values."""
        quoted = ", ".join(f'"{name}" {kind}' for name, kind in columns)
        self.execute(f'DROP TABLE IF EXISTS "{table}"; CREATE TABLE "{table}" ({quoted})')
        with self.connection.cursor() as cursor, cursor.copy(f'COPY "{table}" FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)

    def stop(self):
        self.connection.close()
        end(self.process, signal.SIGINT)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def marker_words(found):
    """What stands beside the offset of a sink's marker: generation, epoch, run and, by position, number.

    The client takes the metadata for a text that ends in a NUL, which a copy of it lacks: behind the
    words there may be whatever stands in memory."""
    try:
        text = found.metadata or ""
    except UnicodeDecodeError as beyond:
        text = beyond.object.decode(errors="replace")
    words = re.match(r"(\d+) (\d+) ([0-9a-f]{16})(?: (\d+))?", text)
    return [word for word in words.groups() if word] if words else []


class Broker:
    """The process of one Kafka node. It keeps its port and its data when it is ended and started
    again; properties of `more` come after those of tests/kafka/broker and win."""

    def __init__(self, more=None, heap="256m", ports=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="leat-kafka-"))
        self.port, self.controller_port = ports or free_ports(2)
        self.more, self.heap = dict(more or {}), heap
        self.process = None

    def launch(self):
        lines = "".join(f"{name}={value}\n" for name, value in self.more.items())
        (self.folder / "more.properties").write_text(lines)
        with open(self.folder / "broker.log", "ab") as log:
            self.process = subprocess.Popen(
                [ROOT / "tests/kafka/broker", "run", self.folder, str(self.port),
                 str(self.controller_port)], stdout=log, stderr=log,
                env={**os.environ, "KAFKA_HEAP": self.heap})

    def check_alive(self):
        assert self.process.poll() is None, (self.folder / "broker.log").read_text()[-5000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process:
            end(self.process, signal.SIGTERM)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Kafka:
    """One broker; it can be stopped and started again on the same port and data."""

    replicas = 1

    def __init__(self, more=None):
        self.broker = Broker(more)
        self.folder, self.port = self.broker.folder, self.broker.port
        self.bootstrap = f"127.0.0.1:{self.port}"

    @property
    def process(self):
        return self.broker.process

    def start(self):
        self.broker.launch()
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        wait_until(self.answers, "Apache Kafka answers", 60)
        return self

    def answers(self):
        self.broker.check_alive()
        try:
            return self.admin.list_topics(timeout=2).brokers
        except KafkaException:
            return None

    def stop(self):
        self.broker.stop()

    def remove(self):
        self.broker.remove()

    def create_topic(self, name, partitions=4, **config):
        config = {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(name, num_partitions=partitions, replication_factor=self.replicas,
                       config=config)
        asked = []

        def made():
            try:
                asked.append(self.admin.create_topics([new])[name].result(30))
                return True
            except KafkaException as failed:
                asked.append(failed.args[0].code())
                # the client's connections are in motion; then the first question may have got through
                if asked[-1] in (KafkaError._DESTROY_BROKER, KafkaError._TRANSPORT):
                    return False
                if asked[-1] == KafkaError.TOPIC_ALREADY_EXISTS and len(asked) > 1:
                    return True
                raise
        wait_until(made, f"topic {name} is made")
        wait_until(lambda: len(self.admin.list_topics(name, timeout=5)
                               .topics[name].partitions) == partitions, f"topic {name} is there")
        return name

    def producer(self, **config):
        config = {key.replace("_", "."): value for key, value in config.items()}
        return Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 5,
                         **config})

    def produce(self, topic, messages, producer=None):
        """Sends (partition, value) or (partition, value, key) and waits until all are acknowledged."""
        mine = producer or self.producer()
        failures = []

        def delivered(error, _):
            if error:
                failures.append(error)
        for partition, value, *key in messages:
            if isinstance(value, str):
                value = value.encode()
            while True:
                try:
                    mine.produce(topic, value, key[0] if key else None, partition,
                                 on_delivery=delivered)
                    break
                except BufferError:
                    mine.poll(0.1)
        assert mine.flush(60) == 0 and not failures, failures

    def consume(self, topic, partitions=None, isolation="read_committed"):
        """All messages between begin and end: [(partition, offset, key, value)]."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "reader",
                             "isolation.level": isolation, "enable.auto.commit": False,
                             "enable.partition.eof": True, "auto.offset.reset": "earliest"})
        try:
            count = partitions or len(consumer.list_topics(topic, 10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, p, 0) for p in range(count)])
            ended, messages = set(), []

            def drained():
                message = consumer.poll(0.5)
                while message is not None:
                    if not message.error():
                        messages.append((message.partition(), message.offset(), message.key(),
                                         message.value()))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        ended.add(message.partition())
                    else:
                        raise KafkaException(message.error())
                    message = None if len(ended) == count else consumer.poll(0.5)
                return len(ended) == count
            wait_until(drained, f"topic {topic} is read to its end", 60)
            return messages
        finally:
            consumer.close()


class ThreeBrokers(Kafka):
    """Three brokers that are controllers too: replication 3, min.insync.replicas 2, so that any one
    of them may be killed and nothing acknowledged is lost. Brokers are numbered 1 to 3.

        def test_x(leat, three_brokers, request):       # the fixture; one cluster for all tests
            topic = three_brokers.create_topic("name-of-this-test", 4)
            dead = three_brokers.leader(topic, 0)
            three_brokers.kill(dead)                    # SIGKILL; another leads after about 3 s
            ...
            three_brokers.restart(dead)                 # waits until it has caught up everywhere

    `bootstrap` names all three; `produce`, `consume`, `admin` and the like are Kafka's and go on
    while one broker is away. `pause(n)` and `resume(n)` stop a broker without ending it. The fixture
    brings back what a test left dead or stopped."""

    replicas = 3

    def __init__(self, more=None):
        ports = free_ports(6)
        quorum = ",".join(f"{n}@127.0.0.1:{ports[n + 2]}" for n in (1, 2, 3))
        self.brokers = {n: Broker({
            "node.id": n, "controller.quorum.voters": quorum, "default.replication.factor": 3,
            "min.insync.replicas": 2, "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2,
            "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,
            "replica.lag.time.max.ms": 3000, "controlled.shutdown.enable": "false",
            "leader.imbalance.check.interval.seconds": 5, **(more or {})},
            "96m", (ports[n - 1], ports[n + 2])) for n in (1, 2, 3)}
        self.bootstrap = ",".join(f"127.0.0.1:{b.port}" for b in self.brokers.values())

    def start(self):
        for broker in self.brokers.values():
            broker.launch()
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        wait_until(self.all_answer, "three brokers answer", 60)
        return self

    def all_answer(self):
        for broker in self.brokers.values():
            broker.check_alive()
        try:
            return len(self.admin.list_topics(timeout=2).brokers) == 3
        except KafkaException:
            return False

    def create_topic(self, name, partitions=4, **config):
        super().create_topic(name, partitions, **config)

        def everywhere():    # a client's first question goes to the one broker that it knows
            try:
                for broker in self.brokers.values():
                    fresh = AdminClient({"bootstrap.servers": f"127.0.0.1:{broker.port}",
                                         "log_level": 0})
                    if len(fresh.list_topics(name, timeout=5).topics[name].partitions) != partitions:
                        return False
            except KafkaException:
                return False
            return True
        wait_until(everywhere, f"every broker knows topic {name}")
        return name

    def leader(self, topic, partition=0):
        """The broker that leads a partition now."""
        def known():
            try:
                found = self.admin.list_topics(topic, timeout=2).topics[topic].partitions
                return max(found[partition].leader, 0)
            except KafkaException:
                return 0
        return wait_until(known, f"{topic}[{partition}] has a leader")

    def kill(self, number):
        self.brokers[number].kill()

    def pause(self, number):
        self.brokers[number].pause()

    def resume(self, number):
        self.brokers[number].resume()

    def restart(self, number):
        self.brokers[number].launch()
        self.wait_in_sync()

    def wait_in_sync(self):
        """Until every replica of every partition has caught up."""
        def caught_up():
            if not self.all_answer():
                return False
            topics = self.admin.list_topics(timeout=5).topics.values()
            return all(len(p.isrs) == len(p.replicas) and p.leader > 0
                       for topic in topics for p in topic.partitions.values())
        wait_until(caught_up, "all replicas are in sync", 60)

    def mend(self):
        """Whatever a test did to the brokers is undone."""
        for broker in self.brokers.values():
            broker.resume()
            if broker.process.poll() is not None:
                broker.launch()
        self.wait_in_sync()

    def stop(self):
        for broker in self.brokers.values():     # together: the last alone could not say farewell
            if broker.process and broker.process.poll() is None:
                broker.kill()

    def remove(self):
        self.stop()
        for broker in self.brokers.values():
            broker.remove()


def openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


class SaslKafka(Kafka):
    """A broker whose clients log in as they do at Azure Event Hubs: SASL_SSL, mechanism PLAIN, user
    `$ConnectionString`. `secure` is that listener's address, which its certificate calls localhost;
    `authority` and `other_authority` are PEM files of the one that signed it and of another one.
    `bootstrap` is a plain listener beside it, for the test's own clients."""

    user = "$ConnectionString"
    password = "Endpoint=sb://leat.servicebus.windows.net/;SharedAccessKeyName=Root;" \
               "SharedAccessKey=ab+c/123="

    def __init__(self):
        super().__init__()
        self.secure_port = free_port()
        self.secure = f"localhost:{self.secure_port}"
        self.authority, self.other_authority = self.folder / "ca.pem", self.folder / "other.pem"
        for name in "ca", "other":
            openssl(self.folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                    f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}")
        openssl(self.folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "broker.key",
                "-out", "broker.csr", "-subj", "/CN=localhost")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost\n")
        openssl(self.folder, "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "broker.crt")
        openssl(self.folder, "pkcs8", "-topk8", "-nocrypt", "-in", "broker.key", "-out", "broker.p8")
        store = self.folder / "broker.pem"
        store.write_text("".join((self.folder / part).read_text()
                                 for part in ("broker.p8", "broker.crt", "ca.pem")))
        listener = "listener.name.sasl_ssl."
        plain = f"PLAINTEXT://127.0.0.1:{self.port}"
        self.broker.more = {
            "listeners": f"{plain},SASL_SSL://127.0.0.1:{self.secure_port},"
                         f"CONTROLLER://127.0.0.1:{self.broker.controller_port}",
            "advertised.listeners": f"{plain},SASL_SSL://{self.secure}",
            "listener.security.protocol.map":
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "connection.failed.authentication.delay.ms": 100,
            f"{listener}plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_{self.user}="{self.password}";',
            f"{listener}ssl.keystore.type": "PEM",
            f"{listener}ssl.keystore.location": store,
        }
