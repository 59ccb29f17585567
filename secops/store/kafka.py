"""The event log in Apache Kafka, for more than one machine: the same shape and promises as the embedded one.

::

    <topic>             one message an event: its JSON without event.id; event.id is partition and offset
    <topic>.positions   compacted: <writer> NUL <source> -> the source's position

Any number of machines write, each under a name of its own; a batch and its positions are one transaction. Offsets have
gaps, where marks of transactions and batches taken back lie; ``end`` is always one past the last event that counts.
``docs/kafka.md`` tells the rest.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

import orjson
from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition

from secops.records import EVENT_ID
from secops.store import frames
from secops.store.files import CONSUMER
from secops.store.kafka_follow import Follower
from secops.store.kafka_lookup import Lookup
from secops.store.kafka_writer import SEPARATOR, SETTLE_SECONDS, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from secops.records import Event, EventId
    from secops.store.kafka_client import Place
    from secops.store.log import Look

COMMIT_SECONDS = 5.0


class KafkaLog:
    """``Log`` over Kafka; with a ``writer`` name it appends, without one it only reads.

    Raises:
        LogAway: Kafka does not answer.
    """

    def __init__(self, place: Place, *, writer: str = "", settle_seconds: float = SETTLE_SECONDS) -> None:
        self.partitions = place.partitions
        self.place = place
        self._name = writer
        self._lookup, self._follower = Lookup(place), Follower(place)
        self._consumers: dict[str, Consumer] = {}
        self._lock = threading.Lock()
        self._writer = Writer(place, writer, settle_seconds=settle_seconds) if writer else None
        self._positions = self._stored_positions() if writer else {}

    def append(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any] | None = None) -> None:
        """See ``Log.append``.

        Raises:
            LogAway: nothing was stored; the same call may be made again later.
            LogBusy: another process has opened the log under this writer's name.
            LogUnsettled: whether it was stored is not known; the log must be opened again.
            PermissionError: the log was opened for reading.
        """
        if self._writer is None:
            raise PermissionError(errno.EACCES, "the log was opened for reading", self.place.topic)
        unknown = [partition for partition in batches if not 0 <= partition < self.partitions]
        if unknown:
            raise ValueError(f"partition {unknown[0]} of a log of {self.partitions}")
        if positions or any(batches.values()):
            self._writer.append(batches, positions or {})
            self._positions.update(positions or {})

    def read(self, partition: int, offset: int, limit: int, *, whole: bool = True) -> list[Event]:  # noqa: ARG002 - see below
        """See ``Log.read``; others read the topic as well, so nothing is left out there."""
        if not 0 <= partition < self.partitions:
            return []
        found = self._follower.read(partition, offset, limit)
        if not found and self.end(partition) > offset:  # it is there, only not here yet
            found = self._follower.read(partition, offset, limit, certain=True)
        events: list[Event] = orjson.loads(b"[" + b",".join([line for _, line in found]) + b"]")
        for (at, _), event in zip(found, events, strict=True):
            event[EVENT_ID] = f"{partition}-{at}"
        return events

    def get(self, ids: Sequence[EventId]) -> list[Event]:
        """See ``Log.get``."""
        lines = self.lines(ids)
        present = [place for place in ids if place in lines]
        events = frames.to_events([lines[place] for place in present], 0, 0)
        for place, event in zip(present, events, strict=True):
            event[EVENT_ID] = str(place)
        return events

    def lines(self, ids: Iterable[EventId], look: Look | None = None) -> dict[EventId, bytes]:  # noqa: ARG002 - events lie alone here
        """See ``Log.lines``."""
        wanted = [place for place in sorted(set(ids)) if 0 <= place.partition < self.partitions]
        looked = ((place, self._lookup.line(*place)) for place in wanted)
        return {place: line for place, line in looked if line is not None}

    def end(self, partition: int) -> int:
        """See ``Log.end``; there may be a gap before the next event."""
        return self._lookup.end(partition) if 0 <= partition < self.partitions else 0

    def first(self, partition: int) -> int:
        """The oldest offset still kept."""
        return self._lookup.first(partition)

    def positions(self) -> dict[str, Any]:
        """See ``Log.positions``: those of this writer's sources; of all writers' for a reading process."""
        return dict(self._positions) if self._writer is not None else self._stored_positions()

    def commit(self, consumer: str, partition: int, offset: int) -> None:
        """See ``Log.commit``; any process may call it for its own consumer."""
        place = [TopicPartition(self.place.topic, partition, offset)]
        client = self._consumer(consumer)
        self.place.patiently(lambda: client.commit(offsets=place, asynchronous=False))

    def committed(self, consumer: str, partition: int) -> int:
        """See ``Log.committed``."""
        place = [TopicPartition(self.place.topic, partition)]
        client = self._consumer(consumer)
        (found,) = self.place.patiently(lambda: client.committed(place, timeout=COMMIT_SECONDS))
        return 0 if found.offset == OFFSET_INVALID else int(found.offset)

    def close(self) -> None:
        """See ``Log.close``."""
        if self._writer is not None:
            self._writer.close()
        self._follower.close()
        self._lookup.close()
        with self._lock:
            while self._consumers:
                self._consumers.popitem()[1].close()

    def _stored_positions(self) -> dict[str, Any]:
        found = {}
        for message in self._lookup.whole(self.place.positions, 0):
            writer, _, source = message.key.decode().partition(SEPARATOR)
            if message.value and self._name in {"", writer}:
                found[source] = orjson.loads(message.value)
        return found

    def _consumer(self, name: str) -> Consumer:
        if not CONSUMER.fullmatch(name):
            raise ValueError(f"consumer name {name[:64]!r}: lower-case letters, digits, dot, hyphen, underscore")
        with self._lock:
            if name not in self._consumers:
                group = f"{self.place.topic}.done.{name}"
                self._consumers[name] = Consumer(self.place.properties(group_id=group, enable_auto_commit=False))
            return self._consumers[name]
