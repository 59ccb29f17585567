"""How long events are kept: the decisions, as pure functions.

Rules:

1. A tenant's events are kept for its days, never fewer than the law's six months (网络安全法 第二十一条第三项).
2. The days count from when an event was written here: the one time that no sender can choose.
3. A segment holds many tenants' events. It leaves when every tenant's days have passed for its last event in it.
4. Segments leave from the oldest on, without a gap: a partition is always one run of offsets.
5. After a gap of more than a week without a checkpoint the clock is not believed for a day: nothing leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LEGAL_DAYS: Final = 184  # the longest six months of the calendar: March to August, or July to December
MAX_DAYS: Final = 36_500
GAP: Final = timedelta(days=7)
HOLD: Final = timedelta(days=1)


class TooShort(UserError):  # noqa: N818 - named as the callers say it
    """A retention below the legal minimum, or no number of days at all."""

    def __init__(self, days: int) -> None:
        super().__init__(
            "retention.days",
            f"日志留存 {days} 天不符合要求：须为 {LEGAL_DAYS} 至 {MAX_DAYS} 天（《网络安全法》第二十一条：不少于六个月）",
            f"{days} days of retention are refused: {LEGAL_DAYS} to {MAX_DAYS} days are allowed "
            "(Cybersecurity Law, article 21: no less than six months)",
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for every tenant, and for those that have their own."""

    days: int = LEGAL_DAYS
    by_tenant: Mapping[str, int] = field(default_factory=dict)

    def of(self, tenant: str) -> timedelta:
        """How long this tenant's events are kept; the law's minimum whatever was stored."""
        return timedelta(days=max(self.by_tenant.get(tenant, self.days), LEGAL_DAYS))

    @property
    def longest(self) -> int:
        """The days of the tenant that is kept longest: what a log must keep that cannot tell tenants apart."""
        return max(self.days, *self.by_tenant.values(), LEGAL_DAYS)


def check_days(days: int) -> int:
    """Give the days back.

    Raises:
        TooShort: they are outside what is allowed.
    """
    if not LEGAL_DAYS <= days <= MAX_DAYS:
        raise TooShort(days)
    return days


def leaves_at(tenants: Mapping[str, Sequence[Any]], sealed_at: str, retention: Retention) -> datetime:
    """When a segment may leave; ``tenants`` and ``sealed_at`` as its seal has them (rules 1 to 3)."""
    ends = [datetime.fromisoformat(until) + retention.of(tenant) for tenant, (_, _, _, until) in tenants.items()]
    return max(ends, default=datetime.fromisoformat(sealed_at) + retention.of(""))


def leaving(
    seals: Iterable[tuple[Mapping[str, Sequence[Any]], str]], retention: Retention, now: datetime
) -> list[datetime]:
    """The moments since which the oldest segments may leave, as far as they may (rule 4)."""
    found = []
    for tenants, sealed_at in seals:
        due = leaves_at(tenants, sealed_at, retention)
        if due > now:
            break
        found.append(due)
    return found


def held_until(checkpoints: Sequence[datetime], now: datetime) -> datetime | None:
    """Until when nothing may leave because the clock made a leap (rule 5); None: it is believed.

    ``checkpoints`` are the times of all checkpoints, in order. Without any, nothing is old enough to have a gap.
    """
    if checkpoints and abs(now - checkpoints[-1]) > GAP:
        return now + HOLD
    for before, after in zip(reversed(checkpoints[:-1]), reversed(checkpoints[1:]), strict=True):
        if now - after > HOLD:
            return None
        if abs(after - before) > GAP:
            return after + HOLD
    return None
