"""Stores what sources and tenants sent, and raises an alert for a tenant over its quota, at most one an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops import source_health, source_quotas
from secops.alert.quota import raise_for_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from secops.db import Database
    from secops.source_quotas import Usage
    from secops.worker.source_tally import SourceTally

TOLD_EVERY: Final = timedelta(hours=1)
USAGE_SECONDS: Final = 5.0


class SourceBook:
    """What is counted and not stored yet; sums that could not be stored are kept for the next time."""

    def __init__(
        self, database: Database, tally: SourceTally, clock: Callable[[], datetime], now: Callable[[], float]
    ) -> None:
        self._database, self._tally, self._clock, self._now = database, tally, clock, now
        self._usage: dict[str, Usage] = {}
        self._stored_at = now()
        self._told: dict[str, datetime] = {}

    def note(self, usage: Mapping[str, Usage]) -> None:
        """Store sources when the tally says so, usage every few seconds, and tell of tenants over their quota at once.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database cannot be written.
        """
        for tenant, one in usage.items():
            self._merge(tenant, one)
        taken = self._tally.take(self._now())
        if taken is not None:
            with self._database.begin() as tx:
                source_health.record(tx, *taken)
        if self._usage and self._now() - self._stored_at >= USAGE_SECONDS:
            self._store()

    def _store(self) -> None:
        now = self._clock()
        over = [tenant for tenant, one in self._usage.items() if one.slowed or one.dropped]
        due = [tenant for tenant in over if tenant not in self._told or now - self._told[tenant] >= TOLD_EVERY]
        with self._database.begin() as tx:
            source_quotas.add_usage(tx, self._usage, now.date())
            for tenant in due:
                one = self._usage[tenant]
                raise_for_quota(tx, tenant, slowed=one.slowed, dropped=one.dropped, now=now)
        self._told.update(dict.fromkeys(due, now))
        self._usage, self._stored_at = {}, self._now()

    def _merge(self, tenant: str, one: Usage) -> None:
        kept = self._usage.setdefault(tenant, source_quotas.Usage())
        kept.events += one.events
        kept.bytes += one.bytes
        kept.slowed += one.slowed
        kept.dropped += one.dropped
