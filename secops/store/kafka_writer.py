"""Appending to Kafka: a batch, its sources' positions and nothing else are one transaction.

Every writing process has a name of its own, its transactional id: whoever opens the log under that name again ends what its
predecessor left open and shuts it out, so a process that hangs and wakes up can store nothing any more.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from secops.store.frames import to_line
from secops.store.kafka_client import MAX_MESSAGE, LogUnsettled, passing
from secops.store.log import LogBusy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.records import Event
    from secops.store.kafka_client import Place

OPEN_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 120.0  # to learn whether a batch was stored; then the log must be opened anew
STEP_SECONDS: Final = 5.0
TRANSACTION_MS: Final = 60_000  # after a crash readers wait at most so long, if nobody opens the log again
QUEUE_KBYTES: Final = 512 * 1024
SEPARATOR: Final = "\0"  # between a writer's name and its source's
_SHUT_OUT: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own errors are named with an underscore
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    }
)


class Writer:
    """One transactional producer."""

    def __init__(self, place: Place, name: str, *, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._place, self._name, self._settle_seconds = place, name, settle_seconds
        self._lock = threading.Lock()
        self._producer = Producer(
            place.properties(
                transactional_id=f"{place.topic}.{name}",
                transaction_timeout_ms=TRANSACTION_MS,
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                linger_ms=5,
                batch_size=2**20,
                message_max_bytes=MAX_MESSAGE,
                queue_buffering_max_messages=1_000_000,
                queue_buffering_max_kbytes=QUEUE_KBYTES,
            )
        )
        place.patiently(lambda: self._producer.init_transactions(STEP_SECONDS), OPEN_SECONDS)

    def append(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any]) -> None:
        """Store the events and positions as one.

        Raises:
            LogAway: nothing was stored.
            LogBusy: another process has opened the log under this name.
            LogUnsettled: it is not known; the log must be opened anew.
        """
        deadline = time.monotonic() + self._settle_seconds
        with self._lock:
            try:
                self._producer.begin_transaction()
                self._produce(batches, positions, deadline)
                self._commit(deadline)
            except KafkaException as error:
                raise self._failed(error, deadline) from error

    def _produce(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any], deadline: float) -> None:
        topic = self._place.topic
        for partition, events in batches.items():
            for event in events:
                self._put(topic, to_line(event), None, partition, deadline)
        for source, position in positions.items():
            key = f"{self._name}{SEPARATOR}{source}".encode("utf-8", "replace")
            self._put(self._place.positions, orjson.dumps(position), key, 0, deadline)

    def _put(self, topic: str, value: bytes, key: bytes | None, partition: int, deadline: float) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
            except BufferError:  # the queue is full: what is in it goes out meanwhile
                if time.monotonic() >= deadline:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from None  # noqa: SLF001 - see above
                self._producer.poll(0.05)
            else:
                return

    def _commit(self, deadline: float) -> None:
        """Commit; a commit whose answer did not come is asked for again until it is known."""
        while True:
            try:
                self._producer.commit_transaction(STEP_SECONDS)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() >= deadline:
                    raise
            else:
                return

    def _failed(self, error: KafkaException, deadline: float) -> Exception:
        """What became of the batch: taken back, or not known."""
        found = error.args[0]
        if found.code() in _SHUT_OUT:
            return LogBusy(f"{self._place.topic} ({self._name})")
        if found.fatal() or (found.retriable() and not found.txn_requires_abort()):
            return LogUnsettled(f"{found.str()}; {'; '.join(self._place.trouble)}")
        while True:
            try:
                self._producer.abort_transaction(STEP_SECONDS)
            except KafkaException as again:
                if again.args[0].code() in _SHUT_OUT:
                    return LogBusy(f"{self._place.topic} ({self._name})")
                if not passing(again) or time.monotonic() >= deadline:
                    return LogUnsettled(f"{found.str()}; {again.args[0].str()}")
            else:
                return self._place.away(error)

    def close(self) -> None:
        """Release the client; nothing is under way, since every append waits for its end."""
        with suppress(KafkaException):  # one that was shut out has nothing more to say
            self._producer.flush(0)
