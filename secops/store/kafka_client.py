"""What every client of Kafka here shares: where it is, what is raised when it cannot serve, whose fault an error is.

Clients are quiet: what librdkafka would print again and again while a broker is away becomes the reason of one ``LogAway``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from secops.errors import UserError
from secops.store.log import LogFull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Answer = TypeVar("Answer")

PATIENCE_SECONDS: Final = 30.0  # for a broker that is being restarted or another that becomes leader
MAX_MESSAGE: Final = 32 * 2**20  # bytes of one event as JSON
_PASSING: Final = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own errors are named with an underscore
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - likewise
        KafkaError._TIMED_OUT,  # noqa: SLF001 - likewise
        KafkaError._RESOLVE,  # noqa: SLF001 - likewise
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # a topic that has just been made
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - likewise
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)


class LogAway(LogFull):
    """Kafka cannot be reached or takes nothing: nothing of the batch was stored, nothing may be acknowledged."""

    def __init__(self, place: str, why: str) -> None:
        UserError.__init__(
            self,
            "log.away",
            f"Kafka（{place}）暂不可用：{why}；请检查 broker、网络与权限，恢复后自动继续（见 runbooks/kafka.md）",
            f"Kafka at {place} cannot serve: {why}; look at the brokers, the network and the rights "
            "(runbooks/kafka.md); work resumes by itself",
        )


class LogUnsettled(RuntimeError):  # noqa: N818 - a state of the log, named as people say it
    """Whether the last batch was stored is not known: the log must be opened anew, which settles it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the log lies: a topic of events, a compacted topic of sources' positions, and how to reach the brokers."""

    topic: str
    partitions: int
    client: Mapping[str, str]  # librdkafka's properties: bootstrap.servers, security.protocol, ...
    trouble: list[str] = field(default_factory=list, compare=False, repr=False)  # the last error that librdkafka told

    @property
    def positions(self) -> str:
        """The topic of positions."""
        return f"{self.topic}.positions"

    @property
    def brokers(self) -> str:
        """The brokers, as they were set."""
        return self.client.get("bootstrap.servers", "")

    def properties(self, **own: Any) -> dict[str, Any]:  # noqa: ANN401 - librdkafka takes texts, numbers and functions
        """A client's properties; ``own`` are given with ``_`` for ``.``."""
        named = {name.replace("_", "."): value for name, value in own.items()}
        return {**self.client, "log_level": 0, "error_cb": self._remember, **named}

    def away(self, error: KafkaException | None = None) -> LogAway:
        """The error that says why nothing goes on."""
        why = error.args[0].str() if error is not None else ""
        last = self.trouble[-1] if self.trouble else ""
        return LogAway(self.brokers, "; ".join(dict.fromkeys(part for part in (why, last) if part)) or "no answer")

    def patiently(self, ask: Callable[[], Answer], seconds: float = PATIENCE_SECONDS) -> Answer:
        """Ask again while the reason passes by itself.

        Raises:
            LogAway: it did not pass in ``seconds``, or is of another kind.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return ask()
            except KafkaException as error:
                if not passing(error) or time.monotonic() >= deadline:
                    raise self.away(error) from error
            time.sleep(0.05)

    def _remember(self, error: KafkaError) -> None:
        """Keep the last error; that all brokers are down tells less than why each of them let nobody in."""
        if not self.trouble or error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own
            self.trouble[:] = [error.str()]


def passing(error: KafkaException) -> bool:
    """Whether trying again is all there is to do."""
    found = error.args[0]
    return bool(found.retriable()) or found.code() in _PASSING
