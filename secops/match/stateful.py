"""What every rule that remembers something has in common, whatever it remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secops.match.rule import Rule


class Occurrence(NamedTuple):
    """A hit, as rules that remember see it."""

    rule_id: str
    tenant: str
    time: int  # event time, microseconds since 1970
    seen: int  # when it was ingested, same unit
    event_id: str
    fields: Mapping[str, Any]


class Firing(NamedTuple):
    """Such a rule became true."""

    group: tuple[tuple[str, str], ...]
    count: int  # type: ignore[assignment]  # nobody calls tuple.count here
    event_ids: tuple[str, ...]
    fields: Mapping[str, Any] = {}
    tenant: str = ""  # of a firing that no event brought about
    time: int = 0  # likewise, microseconds since 1970


class Stateful(Protocol):
    """One rule over all its keys: fed with hits, told of time, stored with the log's offset.

    What it says depends on the hits and their order alone, not on how these were cut into batches or on restarts.
    """

    @property
    def rule(self) -> Rule:
        """The rule."""

    @property
    def late(self) -> int:
        """Hits that came too late to count."""

    @property
    def dropped(self) -> int:
        """Pieces given up because there were too many in one place."""

    @property
    def evicted(self) -> int:
        """Keys or values given up because there were too many."""

    def feed(self, hit: Occurrence) -> Firing | None:
        """Take one hit."""

    def heard(self, times: Iterable[int]) -> None:
        """When events of whatever kind were ingested, to the minute and rising; told before a batch, after a restart."""

    def tick(self, now: int, *, behind: bool) -> Iterable[Firing]:
        """Every event ingested before ``now`` (microseconds since 1970) has been fed; ``behind``: there may be more."""

    def expire(self, now: int) -> None:
        """Forget what can matter no more; ``now`` is the time of ingestion reached."""

    def take_changes(self) -> dict[str, bytes | None]:
        """State entries ``<rule id>:<key>`` that changed since the last call; None for those that are gone."""

    def restore(self, data: bytes) -> None:
        """Take back one entry.

        Raises:
            ValueError, KeyError, TypeError: the entry is not one, or of a rule that meant something else.
        """

    def order(self) -> None:
        """Called once after all entries were restored."""


class Untimed:
    """What rules that only look at events have in common: time that passes says nothing to them."""

    def heard(self, times: Iterable[int]) -> None:
        """See Stateful."""

    def tick(self, now: int, *, behind: bool) -> Iterable[Firing]:  # noqa: ARG002 - see Stateful
        """See Stateful."""
        return ()
