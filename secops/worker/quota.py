"""Holds every tenant to its quota: who sent too much waits, and nobody else does.

An account can be overdrawn: what was accepted is charged whole, and the next submission waits until the debt is paid off. So a
large batch passes, the average holds, and nothing that was taken is thrown away. A tenant that used up its bytes of the day goes on
at a tenth of its rate until midnight UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.source_quotas import Quota, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

BURST_SECONDS: Final = 2.0  # of the rate that may come at once
SLOW_SHARE: Final = 0.1  # of its rate that is left to a tenant over its bytes of the day
SLOW_RATE: Final = 100.0  # the same in events a second for one without a rate


@dataclass(slots=True)
class Account:
    """What a tenant owes, in events, when the clock showed ``at``."""

    owed: float = 0.0
    at: float = 0.0

    def owed_at(self, now: float, rate: float) -> float:
        """The debt now, paid off at ``rate`` events a second."""
        return max(0.0, self.owed - (now - self.at) * rate)


class QuotaBook:
    """Every tenant's account; used from one thread, the event loop's."""

    def __init__(self, default: Quota, now: Callable[[], float]) -> None:
        self.default = default
        self.own: Mapping[str, Quota] = {}
        self._now = now
        self._accounts: dict[str, Account] = {}
        self._day: date | None = None
        self._bytes: dict[str, int] = {}  # of the day
        self._usage: dict[str, Usage] = {}

    def begin_day(self, day: date, used: Mapping[str, int]) -> None:
        """Start counting the bytes of ``day`` from what is stored of it already."""
        if day != self._day:
            self._day, self._bytes = day, dict(used)

    @property
    def day(self) -> date | None:
        """The day whose bytes are counted."""
        return self._day

    def rate(self, tenant: str) -> float:
        """Events a second that the tenant may send now; infinite when nothing bounds it."""
        quota = self.own.get(tenant, self.default)
        rate = float(quota.events_per_second) or math.inf
        if quota.bytes_per_day and self._bytes.get(tenant, 0) >= quota.bytes_per_day:
            return SLOW_RATE if rate == math.inf else max(1.0, rate * SLOW_SHARE)
        return rate

    def wait(self, tenant: str) -> float:
        """Seconds until the tenant may send again; 0 when it may now."""
        rate, account = self.rate(tenant), self._accounts.get(tenant)
        if rate == math.inf or account is None:
            return 0.0
        return max(0.0, account.owed_at(self._now(), rate) / rate - BURST_SECONDS)

    def ask(self, tenant: str) -> float:
        """As ``wait``, and count that it was slowed when it has to."""
        seconds = self.wait(tenant)
        if seconds > 0:
            self._used(tenant).slowed += 1
        return seconds

    def take(self, tenant: str, events: int, size: int) -> None:
        """Charge what was accepted: ``events``, and ``size`` bytes."""
        rate, now = self.rate(tenant), self._now()
        account = self._accounts.setdefault(tenant, Account())
        account.owed = events + (0.0 if rate == math.inf else account.owed_at(now, rate))
        account.at = now
        self._bytes[tenant] = self._bytes.get(tenant, 0) + size
        used = self._used(tenant)
        used.events += events
        used.bytes += size

    def drop(self, tenant: str, events: int) -> None:
        """Count datagrams that were not taken because of the quota."""
        self._used(tenant).dropped += events

    def take_usage(self) -> dict[str, Usage]:
        """What was sent since the last call."""
        taken, self._usage = self._usage, {}
        return taken

    def _used(self, tenant: str) -> Usage:
        return self._usage.setdefault(tenant, Usage())
