"""Fixtures: the program in a folder of the test's own, PostgreSQL, Apache Kafka, HTTP."""
import json
import os
import sys
import urllib.error
import urllib.request

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from support.process import BINARY, Leat            # noqa: E402
from support.servers import Kafka, Postgres, ThreeBrokers   # noqa: E402


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK) and not session.config.option.collectonly:
        pytest.exit(f"no program at {BINARY}; run './dev build' first or set LEAT", 2)


@pytest.fixture
def leat(tmp_path):
    program = Leat(tmp_path)
    yield program
    program.end_all()


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka():
    """A broker that all tests share: each test uses topics of its own."""
    broker = Kafka().start()
    yield broker
    broker.remove()


@pytest.fixture
def own_kafka():
    """A broker of the test's own, not started yet, for tests in which it goes away."""
    broker = Kafka()
    yield broker
    if broker.process:
        broker.remove()


@pytest.fixture(scope="session")
def shared_brokers():
    cluster = ThreeBrokers().start()
    yield cluster
    cluster.remove()


@pytest.fixture
def three_brokers(shared_brokers):
    """Three brokers that tests share, all well at a test's begin; see support.servers.ThreeBrokers."""
    shared_brokers.mend()
    return shared_brokers


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


@pytest.fixture(scope="session")
def http():
    """http(url): the answer whatever its status; None when nobody listens."""
    def get(url, seconds=10):
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())
        except (urllib.error.URLError, ConnectionError):
            return None
    return get
