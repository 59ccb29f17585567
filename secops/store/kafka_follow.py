"""Reading partitions from an offset on, with the next events already on their way.

What was read stays in hand until a later offset is asked for, so that asking again (for the oldest unread event, say) costs
nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from secops.store.kafka_client import PATIENCE_SECONDS, passing

if TYPE_CHECKING:
    from secops.store.kafka_client import Place

AHEAD_EVENTS: Final = 20_000  # in hand of one partition before it is held back
AHEAD_BYTES: Final = 32 * 2**20
QUEUED_KBYTES: Final = 65_536
FILL_SECONDS: Final = 0.05  # to fill a batch that has begun
PUMP_SECONDS: Final = 0.01  # a client waits so long for as many messages as it asked for
TAKE: Final = 5000


@dataclass(slots=True)
class Stretch:
    """What is in hand of a partition: events from ``start`` on; ``following`` is the offset that comes next."""

    start: int
    following: int
    events: deque[tuple[int, bytes]] = field(default_factory=deque)
    size: int = 0  # bytes
    at_end: bool = False  # nothing more was there when last heard of
    held: bool = False

    def put(self, offset: int, line: bytes) -> None:
        """Add the next event; one that lies before what comes next was asked for earlier."""
        if offset >= self.following:
            self.events.append((offset, line))
            self.size += len(line)
            self.following, self.at_end = offset + 1, False

    def drop_before(self, offset: int) -> None:
        """Forget what lies before ``offset``."""
        while self.events and self.events[0][0] < offset:
            self.size -= len(self.events.popleft()[1])
        self.start, self.following = max(self.start, offset), max(self.following, offset)

    @property
    def full(self) -> bool:
        """Whether enough is in hand."""
        return len(self.events) >= AHEAD_EVENTS or self.size >= AHEAD_BYTES


class Follower:
    """One consumer over every partition that was asked for; safe to use from several threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._stretches: dict[int, Stretch] = {}

    def read(self, partition: int, offset: int, limit: int, *, certain: bool = False) -> list[tuple[int, bytes]]:
        """Up to ``limit`` events with their offsets, from ``offset`` on; empty when nothing more was heard of.

        ``certain`` says that there is something: it is waited for.

        Raises:
            LogAway: the brokers do not answer.
        """
        with self._lock:
            stretch = self._stretch(partition, offset)
            self._pump(0)
            stretch.at_end = stretch.at_end and not certain
            self._fill(stretch, limit)
            return [stretch.events[at] for at in range(min(limit, len(stretch.events)))]

    def close(self) -> None:
        """Release the client."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None
            self._stretches.clear()

    def _stretch(self, partition: int, offset: int) -> Stretch:
        """What is in hand from ``offset`` on; another place of the partition is gone to when that is far off."""
        stretch = self._stretches.get(partition)
        if stretch is not None and stretch.start <= offset <= stretch.following + TAKE:
            at_end = stretch.at_end
            stretch.drop_before(offset)
            stretch.at_end = at_end
        else:
            stretch = self._go(partition, offset)
        if stretch.held and not stretch.full:
            self._open().resume([TopicPartition(self._place.topic, partition)])
            stretch.held = False
        return stretch

    def _go(self, partition: int, offset: int) -> Stretch:
        consumer = self._open()
        if partition in self._stretches:
            consumer.incremental_unassign([TopicPartition(self._place.topic, partition)])
        stretch = self._stretches[partition] = Stretch(offset, offset)
        place = TopicPartition(self._place.topic, partition, offset)
        self._place.patiently(lambda: consumer.incremental_assign([place]))
        return stretch

    def _fill(self, stretch: Stretch, limit: int) -> None:
        began = time.monotonic()
        while len(stretch.events) < limit and not stretch.at_end and not stretch.full:
            waited = time.monotonic() - began
            if stretch.events and waited > FILL_SECONDS:
                return
            if waited > PATIENCE_SECONDS:
                raise self._place.away()
            self._pump(PUMP_SECONDS)

    def _pump(self, seconds: float) -> None:
        """Take what has come, whichever partition it is of."""
        for message in self._open().consume(TAKE, seconds):
            partition, offset, line, error = message.partition(), message.offset(), message.value(), message.error()
            stretch = None if partition is None else self._stretches.get(partition)
            if error is not None:
                self._told(error, stretch, offset)
            elif stretch is not None and offset is not None and line is not None:
                stretch.put(offset, line)
        for partition, stretch in self._stretches.items():
            if stretch.full and not stretch.held:
                self._open().pause([TopicPartition(self._place.topic, partition)])
                stretch.held = True

    def _told(self, error: KafkaError, stretch: Stretch | None, offset: int | None) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own errors are named so
            if stretch is not None and (offset is None or offset >= stretch.following):
                stretch.at_end = True
        elif not passing(KafkaException(error)):
            raise self._place.away(KafkaException(error))

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(
                self._place.properties(
                    group_id=f"{self._place.topic}.follow",
                    isolation_level="read_committed",
                    enable_auto_commit=False,
                    enable_partition_eof=True,
                    auto_offset_reset="earliest",  # of what is no longer kept
                    queued_max_messages_kbytes=QUEUED_KBYTES,
                    queued_min_messages=AHEAD_EVENTS,
                    fetch_queue_backoff_ms=5,  # else a second of rest whenever enough is in hand
                    fetch_wait_max_ms=20,  # else a quiet partition makes the busy ones wait for half a second
                )
            )
        return self._consumer
