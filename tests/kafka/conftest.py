from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import kafka_server
import pytest

from secops.store.kafka import KafkaLog
from secops.store.kafka_client import Place
from secops.store.kafka_topics import make_topics

_numbers = itertools.count()


@pytest.fixture
def place(kafka: kafka_server.Broker) -> Place:
    """Two topics of this test's own."""
    made = Place(f"t{next(_numbers)}", 4, {"bootstrap.servers": kafka.address})
    make_topics(made, replication=1, retention_days=200)
    return made


@pytest.fixture
def opened(place: Place) -> Iterator[Callable[..., KafkaLog]]:
    """Open the log as often as a test wants; all are closed in the end."""
    logs: list[KafkaLog] = []

    def make(writer: str = "", **more: float) -> KafkaLog:
        logs.append(KafkaLog(place, writer=writer, **more))
        return logs[-1]

    yield make
    for log in logs:
        log.close()
