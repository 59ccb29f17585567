"""The event log's engines beside each other: the same batches appended and read back, files and (where there is one) Kafka.

Kafka is measured when ``SECOPS_BENCH_KAFKA`` names brokers, in a topic of its own that is deleted in the end.
"""

from __future__ import annotations

import os
import random
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.bench.append import events
from secops.bench.figures import Figure, stopwatch
from secops.records import EVENT_ID, EventId
from secops.store.files import FileLog

if TYPE_CHECKING:
    from secops.records import Event
    from secops.store.log import Log

EVENTS: Final = 100_000
BATCH: Final = 2000
PARTITIONS: Final = 4
BROKERS: Final = "SECOPS_BENCH_KAFKA"


def measure() -> list[Figure]:
    """Append in batches of 2,000 over four partitions, each durable before the next; then read all."""
    made = events(EVENTS, random.Random(1))  # noqa: S311 - reproducible, not secret
    with tempfile.TemporaryDirectory() as folder:
        figures = _engine("files", FileLog(Path(folder), partitions=PARTITIONS, writable=True, reserve_bytes=0), made)
    if brokers := os.environ.get(BROKERS):
        figures += _kafka(brokers, made)
    return figures


def _engine(name: str, log: Log, made: list[Event]) -> list[Figure]:
    with stopwatch() as writing:
        for start in range(0, len(made), BATCH):
            batch = made[start : start + BATCH]
            log.append({partition: batch[partition::PARTITIONS] for partition in range(PARTITIONS)}, {"bench": start})
    with stopwatch() as reading:
        read = sum(_read(log, partition) for partition in range(PARTITIONS))
    log.close()
    spent = f"cpu {writing.cpu:.2f} s, wall {writing.wall:.2f} s"
    return [
        Figure(name=f"{name}: durable append", value=len(made) / writing.wall, unit="events/s", note=spent),
        Figure(
            name=f"{name}: read back",
            value=read / reading.wall,
            unit="events/s",
            note=f"{read} events, cpu {reading.cpu:.2f} s",
        ),
    ]


def _read(log: Log, partition: int) -> int:
    offset = read = 0
    while got := log.read(partition, offset, 5000):
        offset = EventId.parse(got[-1][EVENT_ID]).offset + 1
        read += len(got)
    return read


def _kafka(brokers: str, made: list[Event]) -> list[Figure]:
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - its client is an extra

    from secops.store.kafka import KafkaLog  # noqa: PLC0415 - likewise
    from secops.store.kafka_client import Place  # noqa: PLC0415 - likewise
    from secops.store.kafka_topics import make_topics  # noqa: PLC0415 - likewise

    place = Place(f"secops-bench-{secrets.token_hex(4)}", PARTITIONS, {"bootstrap.servers": brokers})
    make_topics(place, replication=1, retention_days=200)
    try:
        return _engine("kafka", KafkaLog(place, writer="bench"), made)
    finally:
        admin = AdminClient(place.properties())
        for done in admin.delete_topics([place.topic, place.positions]).values():
            done.result(30)
