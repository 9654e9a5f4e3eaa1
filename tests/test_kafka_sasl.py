"""SASL_SSL with PLAIN, as Azure Event Hubs wants it, on a real broker: what is right goes through, what is wrong is
told with the broker and the remedy, tried again without a hurry, and goes on once it is put right."""
import os

import pytest

from support.rows import Home
from support.servers import SaslKafka
from test_kafka import bodies, event


@pytest.fixture(scope="module")
def sasl():
    broker = SaslKafka().start()
    yield broker
    broker.remove()


OPTIONS = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN", "sasl.username": "$ConnectionString"}


def options(sasl, leat, **changes):
    """The table options of a login; a change to None leaves one out."""
    leat.write("secret", sasl.password + "\n")
    found = {"bootstrap.servers": sasl.secure, **OPTIONS, "ssl.ca.location": str(sasl.authority),
             "sasl.password": "${file:secret}",
             **{name.replace("_", "."): value for name, value in changes.items()}}
    return ", ".join(f"\"{name}\" = '{value}'" for name, value in found.items() if value is not None)


def pipeline(leat, source, given, sink=None):
    leat.write("p.sql", f"""SET http = '127.0.0.1:0'; SET checkpoint_interval = '50 milliseconds';
CREATE TABLE events (k text, v int, t timestamptz) WITH (connector = 'kafka', topic = '{source}', {given});
CREATE MATERIALIZED VIEW plain AS SELECT * FROM events;
""" + (f"""CREATE TABLE out (k text, n bigint) WITH (connector = 'kafka', topic = '{sink}', {given});
INSERT INTO out SELECT k, v FROM events;""" if sink else ""))
    return Home(leat.folder / "p.leat")


def sources(http, running):
    url = running.wait_until(lambda: next((word for word in running.err.split() if word.startswith("http://")), None),
                             "the address").rstrip("/")
    return http(f"{url}/v1/pipeline").json["sources"]


def processor_seconds(running):
    with open(f"/proc/{running.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_source_and_sink(leat, sasl):
    source, sink = sasl.create_topic("good", 2), sasl.create_topic("good-out", 1)
    home = pipeline(leat, source, options(sasl, leat), sink)
    sasl.produce(source, [(i % 2, event(i)) for i in range(100)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("plain") == 100, "100 rows")
    running.wait_until(lambda: len(sasl.consume(sink)) == 100, "100 rows in the topic")
    ended = running.terminate()
    assert ended.status == 0 and sasl.password not in ended.err, ended
    assert sorted(body["n"] for body in bodies(sasl.consume(sink))) == list(range(100))


REFUSED = {
    "password": ({"sasl_password": "wrong"}, ["SASL authentication error", '"sasl.password"']),
    "authority": ({"ssl_ca_location": "OTHER"}, ["not signed by a known authority", '"ssl.ca.location"']),
    "host": ({"bootstrap_servers": "ADDRESS"}, ["hostname mismatch", '"bootstrap.servers"']),
    "plain_to_tls": ({"security_protocol": "SASL_PLAINTEXT"}, ["seems to want TLS", '"security.protocol"']),
    "no_login_to_tls": ({"security_protocol": None, "sasl_mechanisms": None}, ['"security.protocol"']),
    "tls_to_plain": ({"bootstrap_servers": "PLAIN"}, ["seems to speak no TLS", '"security.protocol"'])}


def test_what_is_refused(leat, sasl, http):
    """A table for each way to be wrong, and one that is right: it goes on beside the others."""
    topic = sasl.create_topic("refused", 1)
    places = {"OTHER": str(sasl.other_authority), "ADDRESS": f"127.0.0.1:{sasl.secure_port}",
              "PLAIN": sasl.bootstrap}
    text, addresses = "", {}
    for name, (changes, _) in REFUSED.items():
        changes = {key: places.get(value, value) for key, value in changes.items()}
        addresses[name] = changes.get("bootstrap_servers", sasl.secure)
        text += f"CREATE TABLE {name} (v int) WITH (connector = 'kafka', topic = '{topic}', " \
                f"{options(sasl, leat, **changes)});\n" \
                f"CREATE MATERIALIZED VIEW v_{name} AS SELECT v FROM {name};\n"
    home = pipeline(leat, topic, options(sasl, leat))
    leat.write("p.sql", (leat.folder / "p.sql").read_text() + text)
    sasl.produce(topic, [(0, event(i)) for i in range(10)])
    running = leat.start("run", "p.sql")
    for name, (_, words) in REFUSED.items():
        running.wait_until(lambda name=name: f"source {name}: no broker answers at {addresses[name]}" in running.err,
                           f"the log names the broker of {name}")
        line = next(line for line in running.err.splitlines() if f"source {name}: " in line)
        assert all(word in line for word in words), line
        state = next(s["state"] for s in sources(http, running) if s["name"] == name)
        assert all(word in state for word in words), state
    running.wait_until(lambda: home.count("plain") == 10, "the rows of the table that is right")
    # an attempt a second, and one line for all of them
    assert all(running.err.count(f"source {name}: ") == 1 for name in REFUSED), running.err
    assert processor_seconds(running) < 5 and "wrong" not in running.err, running.err
    ended = running.terminate()
    assert ended.status == 0, ended


def test_a_secret_that_is_put_right(leat, sasl, http):
    """The file is read again at each connect: nothing needs a restart, and nothing is lost."""
    source, sink = sasl.create_topic("late-secret", 1), sasl.create_topic("late-secret-out", 1)
    home = pipeline(leat, source, options(sasl, leat), sink)
    leat.write("secret", "not yet\n")
    sasl.produce(source, [(0, event(i)) for i in range(10)])
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: "SASL authentication error" in running.err, "the login is refused")
    leat.write("secret", sasl.password + "\n")
    running.wait_until(lambda: home.count("plain") == 10, "10 rows", 60)
    running.wait_until(lambda: len(sasl.consume(sink)) == 10, "10 rows in the topic", 60)
    assert sources(http, running)[0]["state"] == ""
    ended = running.terminate()
    assert ended.status == 0 and "were read again" in ended.err and sasl.password not in ended.err, ended
