"""When a maintenance window is open: once, or on days of the week or month, in Asia/Shanghai time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
DAY: Final = timedelta(days=1)


class Repeat(StrEnum):
    """How often."""

    ONCE = "once"
    WEEKLY = "weekly"  # on days 1 (Monday) to 7
    MONTHLY = "monthly"  # on days 1 to 31; a month without that day has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """From ``starts_at`` (inclusive) to ``ends_at`` (exclusive), within that on ``days`` from ``opens`` to ``closes``.

    A window that closes at or before it opens ends on the following day.
    """

    starts_at: datetime
    ends_at: datetime
    repeat: Repeat = Repeat.ONCE
    days: tuple[int, ...] = ()
    opens: time = time(0)
    closes: time = time(0)


def opening(schedule: Schedule, now: datetime) -> tuple[datetime, datetime] | None:
    """Give begin and end of the opening that ``now`` lies in; None outside. Begin is inside, end is not."""
    if not schedule.starts_at <= now < schedule.ends_at:
        return None
    if schedule.repeat is Repeat.ONCE:
        return schedule.starts_at, schedule.ends_at
    today = now.astimezone(SHANGHAI).date()
    for day in (today, today - DAY):
        begin, end = _on(schedule, day)
        if _due(schedule, day) and begin <= now < end:
            return max(begin, schedule.starts_at), min(end, schedule.ends_at)
    return None


def _due(schedule: Schedule, day: date) -> bool:
    number = day.isoweekday() if schedule.repeat is Repeat.WEEKLY else day.day
    return number in schedule.days


def _on(schedule: Schedule, day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, schedule.opens, SHANGHAI)
    end_day = day if schedule.closes > schedule.opens else day + DAY
    return begin, datetime.combine(end_day, schedule.closes, SHANGHAI)
