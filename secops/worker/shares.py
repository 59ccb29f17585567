"""Which partitions a role's process works on: all of them on one machine, its share of them on several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from secops import lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from secops.db import Database
    from secops.lease import Lease

    class Members(Protocol):
        """Says which partitions are this process's now."""

        def partitions(self) -> frozenset[int]:
            """Those that are this member's now."""

        def close(self) -> None:
            """Leave."""


class Shares(Protocol):
    """What is whose."""

    def mine(self) -> Mapping[int, Lease | None]:
        """The partitions to work on now, each with what to show when something of it is stored."""

    def close(self) -> None:
        """Leave what was shared to others."""


class Everything:
    """One process has all partitions."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self._mine: dict[int, Lease | None] = dict.fromkeys(partitions)

    def mine(self) -> Mapping[int, Lease | None]:
        """See Shares."""
        return self._mine

    def close(self) -> None:
        """Nobody waits for them."""


class Shared:
    """Processes on several machines have a share each, which changes as they come and go.

    Whoever is assigned a partition takes its lease, ``<consumer>/<partition>``: with that the one before can store nothing more.
    """

    def __init__(
        self, member: Members, database: Database, consumer: str, holder: str, now: Callable[[], datetime]
    ) -> None:
        self._member, self._database, self._consumer, self._holder, self._now = member, database, consumer, holder, now
        self._mine: dict[int, Lease | None] = {}

    def mine(self) -> Mapping[int, Lease | None]:
        """See Shares; ends what was lost, takes the lease of what was gained."""
        assigned = self._member.partitions()
        if assigned != self._mine.keys():
            gained = assigned - self._mine.keys()
            kept = {partition: held for partition, held in self._mine.items() if partition in assigned}
            self._mine = {**kept, **self._take(gained)}
        return dict(self._mine)

    def close(self) -> None:
        """See Shares."""
        self._member.close()

    def _take(self, gained: Iterable[int]) -> dict[int, Lease | None]:
        with self._database.begin() as tx:
            return {
                partition: lease.take(tx, f"{self._consumer}/{partition}", self._holder, self._now(), assigned=True)
                for partition in sorted(gained)
            }
