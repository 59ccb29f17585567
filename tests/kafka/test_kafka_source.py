"""A tenant's topic as a source: everything once, through a stop at any moment, and what it says when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import kafka_server
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from waiting import wait_until

from monitors.collector import Surroundings, build
from monitors.record import Record, SinkFull

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kafka")]


def now() -> datetime:
    return datetime(2026, 11, 24, 8, tzinfo=UTC)


class World:
    """Stores records with their positions; full every third time; tells to stop after ``most``."""

    def __init__(self, stop: asyncio.Event, most: int) -> None:
        self.stored: list[Record] = []
        self.positions: dict[str, Any] = {}
        self.stop, self.most, self.calls = stop, most, 0

    async def submit(self, records: Sequence[Record]) -> None:
        self.calls += 1
        if self.calls % 3 == 1:
            raise SinkFull
        self.stored += records
        self.positions |= dict(record.position for record in records if record.position)
        if len(self.stored) >= self.most:
            self.stop.set()

    def offer(self, records: Sequence[Record]) -> bool:
        raise AssertionError(f"{len(records)} records offered by a source that waits")


async def follow(settings: dict[str, Any], positions: dict[str, Any], most: int) -> World:
    stop = asyncio.Event()
    world = World(stop, most)
    collector = build("kafka", settings, Surroundings(positions=positions))
    await asyncio.wait_for(collector.run(world, now=now, stop=stop), 60)
    return world


def test_a_topic_is_read_once_through_stops(kafka: kafka_server.Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic("county", 3, 1)])["county"].result(30)
    producer = Producer({"bootstrap.servers": kafka.address})
    for number in range(3000):
        producer.produce("county", b'{"message": "m%d"}' % number, partition=number % 3)
    producer.produce("county", b"x" * 900, partition=0)
    producer.produce("county", None, key=b"k", partition=1)
    producer.flush(30)
    settings = {"bootstrap": kafka.address, "topic": "county", "tenant": "county-a", "max_message": 480}
    stored: list[Record] = []
    positions: dict[str, Any] = {}
    for most in (1, 700, 3001):  # each goes on where the one before stopped
        if len(stored) < 3001:
            world = asyncio.run(follow(settings, positions, min(most, 3001 - len(stored))))
            stored += world.stored
            positions |= world.positions
    assert len(stored) == len({(record.peer, record.position[1]) for record in stored if record.position})
    good = [record.raw for record in stored if not record.error]
    assert sorted(good) == sorted(b'{"message": "m%d"}' % number for number in range(3000))
    assert {record.tenant for record in stored} == {"county-a"}
    assert [len(record.raw) for record in stored if record.error == "oversized"] == [480]


def test_a_topic_that_is_not_there_is_said(kafka: kafka_server.Broker) -> None:
    async def look() -> str:
        stop = asyncio.Event()
        collector = build("kafka", {"bootstrap": kafka.address, "topic": "nowhere"}, Surroundings())
        running = asyncio.ensure_future(collector.run(World(stop, 1), now=now, stop=stop))
        await asyncio.to_thread(wait_until, lambda: "nowhere" in collector.status.en, 30.0)
        said = collector.status.en
        stop.set()
        await running
        return said

    assert "cannot read kafka:" in asyncio.run(look())


def test_a_run_after_a_failed_one_goes_on_with_every_partition(kafka: kafka_server.Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic("again", 2, 1)])["again"].result(30)
    producer = Producer({"bootstrap.servers": kafka.address})
    for number in range(10):
        producer.produce("again", b"%d" % number, partition=number % 2)
    producer.flush(30)

    class Broken(World):
        async def submit(self, records: Sequence[Record]) -> None:
            raise OSError(f"the log broke under {len(records)} records")

    async def look() -> list[bytes]:
        stop = asyncio.Event()
        collector = build("kafka", {"bootstrap": kafka.address, "topic": "again", "format": "line"}, Surroundings())
        with pytest.raises(OSError, match="broke"):
            await asyncio.wait_for(collector.run(Broken(stop, 1), now=now, stop=stop), 60)
        world = World(stop, 10)
        await asyncio.wait_for(collector.run(world, now=now, stop=stop), 60)
        return sorted(record.raw for record in world.stored)

    assert asyncio.run(look()) == [b"%d" % number for number in range(10)]
