"""A broker that speaks TLS with a certificate of our own authority and asks for a password: log and source get in, others do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kafka_server
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_server import ACCOUNT, PASSWORD
from waiting import wait_until

from ca.authority import Authority
from ca.settings import Settings as CaSettings
from ca.tables import metadata
from monitors.collector import Surroundings, build
from monitors.record import Record
from secops.db import Database, create_all
from secops.settings import Kafka
from secops.settings import Log as LogSettings
from secops.store.kafka_client import LogAway
from secops.store.kafka_open import open_kafka

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kafka")]
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The broker's key and chain, our root, and the root of somebody else."""
    folder, now = tmp_path_factory.mktemp("trust"), datetime.now(UTC)
    for name in ("ours", "theirs"):
        database = Database(f"sqlite:///{folder / name}.db")
        create_all(database, [metadata])
        authority = Authority.initialise(folder / name, database, CaSettings(), now=now)
        (folder / f"{name}-root.pem").write_bytes(authority.root_pem())
        if name == "ours":
            chain, key = authority.server_credentials(["localhost"], ["127.0.0.1"], folder / "server", now)
            (folder / "broker.pem").write_bytes(key.read_bytes() + chain.read_bytes())
        database.close()
    (folder / "root.pem").write_bytes((folder / "ours-root.pem").read_bytes())
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n")
    return folder


@pytest.fixture(scope="module")
def secure(trust: Path) -> Iterator[kafka_server.Broker]:
    if why := kafka_server.missing():
        pytest.skip(why)
    with kafka_server.broker(trust=trust) as running:
        yield running


def access(trust: Path, mechanism: str = "SCRAM-SHA-512", **more: Any) -> dict[str, Any]:
    account = {"sasl_mechanism": mechanism, "sasl_username": ACCOUNT, "sasl_password_file": trust / "password"}
    return {"security": "sasl_ssl", "ca_file": trust / "ours-root.pem", **account, **more}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_log_lies_in_a_broker_with_tls_and_passwords(
    secure: kafka_server.Broker, trust: Path, mechanism: str
) -> None:
    topic = f"log-{mechanism.lower()}"
    kafka = Kafka(bootstrap=secure.address, topic=topic, writer="a", replication=1, **access(trust, mechanism))
    log = open_kafka(LogSettings(engine="kafka", partitions=2, kafka=kafka), writable=True)
    log.append({0: [{"message": "one"}], 1: [{"message": "two"}]}, {"file": 7})
    assert [event["message"] for event in log.read(0, 0, 10) + log.read(1, 0, 10)] == ["one", "two"]
    log.close()
    again = open_kafka(LogSettings(engine="kafka", partitions=2, kafka=kafka), writable=True)
    assert again.positions() == {"file": 7}
    again.close()


def stranger(name: str, trust: Path, tmp_path: Path) -> dict[str, Any]:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    return {
        "wrong password": access(trust, sasl_password_file=wrong),
        "wrong password, plain": access(trust, "PLAIN", sasl_password_file=wrong),
        "nobody": access(trust, sasl_username="nobody"),
        "another authority": access(trust, ca_file=trust / "theirs-root.pem"),
        "no password": {"security": "ssl", "ca_file": trust / "ours-root.pem"},
        "no tls": {"security": "plaintext"},
    }[name]


STRANGERS = ("wrong password", "wrong password, plain", "nobody", "another authority", "no password", "no tls")


def test_the_log_says_why_it_is_not_let_in(secure: kafka_server.Broker, trust: Path, tmp_path: Path) -> None:
    own = stranger("wrong password", trust, tmp_path)
    kafka = Kafka(bootstrap=secure.address, topic="log", writer="a", replication=1, **own)
    with pytest.raises(LogAway, match="Authentication failed") as refused:
        open_kafka(LogSettings(engine="kafka", partitions=2, kafka=kafka), writable=True)
    assert "not the password" not in str(refused.value)


class Stored:
    """Keeps records until there are enough."""

    def __init__(self, stop: asyncio.Event, most: int) -> None:
        self.raws: list[bytes] = []
        self._stop, self._most = stop, most

    async def submit(self, records: Sequence[Record]) -> None:
        self.raws += [record.raw for record in records]
        if len(self.raws) >= self._most:
            self._stop.set()

    def offer(self, records: Sequence[Record]) -> bool:
        raise AssertionError(f"{len(records)} records offered by a source that waits")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_topic_behind_tls_and_a_password_is_a_source(
    secure: kafka_server.Broker, trust: Path, mechanism: str
) -> None:
    topic, own = f"county-{mechanism.lower()}", {"bootstrap.servers": secure.address, **secure.client}
    admin = AdminClient(own)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer(own)
    for number in range(50):
        producer.produce(topic, b"m%d" % number)
    producer.flush(30)

    async def follow() -> list[bytes]:
        stop = asyncio.Event()
        stored = Stored(stop, 50)
        settings = {"bootstrap": secure.address, "topic": topic, "format": "line", **access(trust, mechanism)}
        await asyncio.wait_for(build("kafka", settings, Surroundings()).run(stored, now=now, stop=stop), 60)
        return stored.raws

    assert asyncio.run(follow()) == [b"m%d" % number for number in range(50)]


def now() -> datetime:
    return datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize("name", STRANGERS)
def test_a_source_that_is_not_let_in_says_so_and_gets_nothing(
    secure: kafka_server.Broker, trust: Path, tmp_path: Path, name: str
) -> None:
    async def look() -> str:
        stop = asyncio.Event()
        settings = {"bootstrap": secure.address, "topic": "county-plain", **stranger(name, trust, tmp_path)}
        collector = build("kafka", settings, Surroundings())
        stored = Stored(stop, 1)
        running = asyncio.ensure_future(collector.run(stored, now=now, stop=stop))
        await asyncio.to_thread(wait_until, lambda: "cannot read" in collector.status.en, 40.0)
        said = f"{collector.status.zh} {collector.status.en}"
        stop.set()
        await running
        assert not stored.raws
        return said

    said = asyncio.run(look())
    assert "无法读取" in said
    assert "not the password" not in said
