"""How sources are doing, as metrics: sums and the worst of each organisation and kind of collector."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops import source_health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from secops.source_health import SourceRow
    from secops.wiring import Service
    from secops.worker.metrics import SourceMetrics

LOOK_SECONDS: Final = 15.0

Key = tuple[str, str]  # tenant, collector


@dataclass(slots=True)
class Health:
    """The sources of one organisation and kind."""

    known: int = 0
    silent: int = 0
    rate: float = 0.0
    lag: float = 0.0
    ahead: float = 0.0
    unread: int = 0


def summed(rows: Iterable[SourceRow], now: datetime) -> dict[Key, Health]:
    """Sum up; lag and clock are those of sources that send, for a silent one's last word is old."""
    found: dict[Key, Health] = {}
    for row in rows:
        one = found.setdefault((row.tenant, row.collector), Health())
        one.known += 1
        one.unread += row.quarantined + row.unparsed
        one.rate += row.rate_at(now)
        if row.silent_at(now):
            one.silent += 1
        else:
            one.lag = max(one.lag, row.lag_ms / 1000)
            one.ahead = max(one.ahead, row.ahead_ms / 1000)
    return found


@dataclass(slots=True)
class SourceGauges:
    """Looks now and then."""

    service: Service
    gauges: SourceMetrics
    now: Callable[[], float] = time.monotonic
    _looked: float | None = None
    _told: set[Key] = field(default_factory=set)

    def look(self) -> None:
        """Look when it is time."""
        now = self.now()
        if self._looked is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        with self.service.database.read() as tx:
            found = summed(source_health.every(tx), self.service.clock())
        for key in self._told - found.keys():  # of several processes' files nothing can be taken out
            found[key] = Health()
        self._told |= found.keys()
        for key, one in found.items():
            self.gauges.known.labels(*key).set(one.known)
            self.gauges.silent.labels(*key).set(one.silent)
            self.gauges.rate.labels(*key).set(one.rate)
            self.gauges.lag.labels(*key).set(one.lag)
            self.gauges.ahead.labels(*key).set(one.ahead)
            self.gauges.unread.labels(*key).set(one.unread)
