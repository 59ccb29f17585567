"""A member of a consumer group: Kafka decides which partitions are whose, and takes them from a member that is silent.

Only the assignment is Kafka's. What was done of a partition is remembered where the work is stored, and whoever stores it shows
a lease that the next owner's replaces (``secops.lease``), because a member that was silent may still be at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from secops.store.kafka_client import Place

SESSION_MS: Final = 10_000  # a member this long silent loses its partitions
HEARTBEAT_MS: Final = 1000
STUCK_MS: Final = 60_000  # and one that has not asked for so long what is its


class Member:
    """Takes part from the first look at ``partitions`` until ``close``."""

    def __init__(self, place: Place, group: str, *, session_ms: int = SESSION_MS) -> None:
        self._owned: set[int] = set()
        self._consumer = Consumer(
            place.properties(
                group_id=f"{place.topic}.{group}",
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=session_ms,
                heartbeat_interval_ms=min(HEARTBEAT_MS, session_ms // 3),
                max_poll_interval_ms=max(STUCK_MS, session_ms),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
        )
        self._consumer.subscribe([place.topic], on_assign=self._assigned, on_revoke=self._gone, on_lost=self._gone)

    def partitions(self) -> frozenset[int]:
        """Those that are this member's now; also says that it lives."""
        while self._consumer.poll(0) is not None:
            """The partitions are paused: what comes all the same is read elsewhere."""
        return frozenset(self._owned)

    def close(self) -> None:
        """Leave, so that the others have the partitions at once."""
        self._consumer.close()
        self._owned.clear()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)  # the log is read by offsets of our own
        self._owned |= {each.partition for each in partitions}

    def _gone(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owned -= {each.partition for each in partitions}
        consumer.incremental_unassign(partitions)
