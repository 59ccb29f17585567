"""Short looks at any place of a topic: its bounds, a span of offsets, the last event that counts.

Offsets in Kafka have gaps: the mark at a transaction's end takes one, and what was taken back takes its own.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from secops.store.kafka_client import PATIENCE_SECONDS, passing

if TYPE_CHECKING:
    from confluent_kafka import Message

    from secops.store.kafka_client import Place

CHUNK: Final = 256  # offsets looked up at a time
CACHE_BYTES: Final = 64 * 2**20
FRESH_SECONDS: Final = 0.05  # an end this old is the end: pollers ask more often than it matters
ANSWER_SECONDS: Final = 5.0
PUMP_SECONDS: Final = 0.01  # a client waits so long for as many messages as it asked for
FIRST_LOOK_BACK: Final = 2  # an event and the mark of its transaction


class Taken(NamedTuple):
    """A message, without what nobody asks of it."""

    offset: int
    key: bytes
    value: bytes


class Lookup:
    """One consumer that is moved about; safe to use from several threads."""

    def __init__(self, place: Place, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._ends: dict[int, tuple[float, int, int]] = {}  # partition -> (looked at, upper bound then, end)
        self._cache: OrderedDict[tuple[int, int], dict[int, bytes]] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes

    def end(self, partition: int) -> int:
        """One past the last event that counts; 0 where there was never any."""
        with self._lock:
            looked, bound, end = self._ends.get(partition, (-FRESH_SECONDS, 0, 0))
            if time.monotonic() - looked < FRESH_SECONDS:
                return end
            low, high = self._bounds(self._place.topic, partition)
            if high != bound:
                end = self._last(partition, max(low, min(end, high)), high, end)
            self._ends[partition] = (time.monotonic(), high, end)
            return end

    def first(self, partition: int) -> int:
        """The oldest offset kept."""
        with self._lock:
            return self._bounds(self._place.topic, partition)[0]

    def whole(self, topic: str, partition: int) -> list[Taken]:
        """Everything that counts in a small topic."""
        with self._lock:
            return self._span(topic, partition, *self._bounds(topic, partition))

    def line(self, partition: int, offset: int) -> bytes | None:
        """The event at ``offset``; None where there is none (any more)."""
        if offset < 0 or offset >= self.end(partition):
            return None
        number = offset // CHUNK
        with self._lock:
            chunk = self._cache.get((partition, number))
            if chunk is None:
                chunk = self._chunk(partition, number)
            else:
                self._cache.move_to_end((partition, number))
            return chunk.get(offset)

    def close(self) -> None:
        """Release the client."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None

    def _chunk(self, partition: int, number: int) -> dict[int, bytes]:
        start, end = number * CHUNK, min((number + 1) * CHUNK, self._ends[partition][2])
        chunk = {each.offset: each.value for each in self._span(self._place.topic, partition, start, end)}
        if end == (number + 1) * CHUNK:  # it is whole and will not change
            self._cache[partition, number] = chunk
            self._cached += _weight(chunk)
            while self._cached > self._cache_bytes and len(self._cache) > 1:
                self._cached -= _weight(self._cache.popitem(last=False)[1])
        return chunk

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """``(oldest offset, end of what is settled)``."""
        asked = TopicPartition(topic, partition)
        low, high = self._place.patiently(lambda: self._open().get_watermark_offsets(asked, timeout=ANSWER_SECONDS))
        return low, high

    def _last(self, partition: int, floor: int, high: int, known: int) -> int:
        """Look back from ``high``, further each time, for the last event; none since ``floor``: still ``known``."""
        back = FIRST_LOOK_BACK
        while True:
            start = max(high - back, floor)
            found = self._span(self._place.topic, partition, start, high)
            if found:
                return found[-1].offset + 1
            if start == floor:
                return known
            back *= 32

    def _span(self, topic: str, partition: int, start: int, end: int) -> list[Taken]:
        """Every event from ``start`` to before ``end``."""
        if start >= end:
            return []
        consumer = self._open()
        found: list[Taken] = []
        consumer.assign([TopicPartition(topic, partition, start)])
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while time.monotonic() < deadline:
                for message in consumer.consume(min(end - start, 500), PUMP_SECONDS):
                    if _ended(message, end):
                        return found
                    offset = message.offset()
                    if message.error() is None and offset is not None and offset >= start:
                        found.append(Taken(offset, bytes(message.key() or b""), bytes(message.value() or b"")))
                if found and found[-1].offset == end - 1:
                    return found
        finally:
            consumer.unassign()
        raise self._place.away()

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(
                self._place.properties(
                    group_id=f"{self._place.topic}.lookup",
                    isolation_level="read_committed",
                    enable_auto_commit=False,
                    enable_partition_eof=True,
                    auto_offset_reset="earliest",  # of what is no longer kept
                    fetch_wait_max_ms=10,
                    fetch_message_max_bytes=2**20,
                    queued_max_messages_kbytes=4096,
                    fetch_queue_backoff_ms=5,
                )
            )
        return self._consumer


def _ended(message: Message, end: int) -> bool:
    """Whether ``message`` says that nothing more comes below ``end``."""
    error = message.error()
    if error is None:
        return (message.offset() or 0) >= end
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own errors are named so
        return True
    if not passing(KafkaException(error)):
        raise KafkaException(error)
    return False


def _weight(chunk: dict[int, bytes]) -> int:
    return sum(map(len, chunk.values())) + 100 * len(chunk)
