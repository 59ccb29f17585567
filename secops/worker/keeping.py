"""The jobs role's care for the event log: sealing, checkpoints, expiry, in a thread of its own; each takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops import audit
from secops.store.keeper import KeeperBusy

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.store.keeper import Gone
    from secops.wiring import Service
    from secops.worker.loop import Stop
    from secops.worker.metrics import StoreMetrics

EVERY_SECONDS: Final = 60.0
ACTOR: Final = "system"


class Keeping:
    """One round is: seal what is finished, sign, let leave what is past its retention."""

    def __init__(self, service: Service, stop: Stop, counted: StoreMetrics) -> None:
        self._service, self._stop, self._counted = service, stop, counted
        self._keeper = service.keeper()

    def run(self, guarded: Callable[[str, Callable[[], object]], None]) -> None:
        """Do rounds until asked to end; ``guarded`` runs a named chore and keeps its error for the overview."""
        while not self._stop:
            if self._service.shares_log:
                guarded("store-retention", self.keep_topic)
            elif self._service.log_dir.is_dir():
                guarded("store-seal", self.seal)
                guarded("store-checkpoint", self.checkpoint)
                guarded("store-expire", self.expire)
            self._stop.rest(EVERY_SECONDS)

    def seal(self) -> None:
        """Seal finished segments; a backup that is being taken goes first."""
        try:
            self._counted.sealed.inc(self._keeper.seal(lambda: bool(self._stop)))
        except KeeperBusy:
            return

    def checkpoint(self) -> None:
        """Sign what is new."""
        try:
            self._counted.checkpoints.inc(self._keeper.checkpoint())
        except KeeperBusy:
            return

    def keep_topic(self) -> None:
        """See that Kafka keeps events as long as the tenant that is kept longest asks; audit it where that changed something."""
        days = self._service.retention().longest
        if self._service.keep_topic(days):
            with self._service.database.begin() as tx:
                audit.record(
                    tx,
                    at=self._service.clock(),
                    actor=ACTOR,
                    action="store.retention",
                    target=f"topic:{self._service.settings.log.kafka.topic}",
                    detail={"days": days},
                )

    def expire(self) -> None:
        """Let segments leave, and audit each."""
        try:
            gone = self._keeper.expire(self._service.retention())
        except KeeperBusy:
            return
        self._counted.expired.inc(sum(one.end - one.first for one in gone))
        if gone:
            with self._service.database.begin() as tx:
                for one in gone:
                    audit.record(
                        tx,
                        at=self._service.clock(),
                        actor=ACTOR,
                        action="store.expire",
                        target=f"segment:{one.partition}/{one.first:020}",
                        detail=facts(one),
                    )


def facts(one: Gone) -> dict[str, Any]:
    """What the audit trail says of a segment that left."""
    return {"partition": one.partition, "first": one.first, "end": one.end, "sha256": one.sha256, "bytes": one.bytes}
