"""Working time: which instants a business clock counts.

An instant is working time when its local date is a working day and its local time lies in one of the day's segments
(start included, end excluded). Everything is reckoned between absolute instants, so a change to summer time inside a
segment makes that segment an hour shorter or longer, as it is for the people who work it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ZERO: Final = timedelta(0)
_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
HORIZON: Final = timedelta(days=20 * 366)  # a deadline further off than this is a mistake in the data


class DayKind(StrEnum):
    """What a date is; only ``workday`` and ``makeup`` are worked."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"  # 法定节假日及调休放假
    MAKEUP = "makeup"  # 调休上班: a weekend day that is worked

    @property
    def worked(self) -> bool:
        """Whether people work that day."""
        return self in (DayKind.WORKDAY, DayKind.MAKEUP)


class Status(StrEnum):
    """Whether a year's days were announced, or only guessed from the days of the week."""

    OFFICIAL = "official"
    PROVISIONAL = "provisional"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of working time within one local day."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"segment {self.start:%H:%M}-{self.end:%H:%M} must end after it starts, on the same day")


BUSINESS_HOURS: Final = (Segment(time(8, 30), time(12)), Segment(time(14), time(17, 30)))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working days and hours of one place.

    ``days`` holds the dates that differ from "Monday to Friday are worked"; ``official`` the years for which the State
    Council's notice is in it. Every other year is reckoned from the days of the week and is *provisional*.
    """

    days: Mapping[date, DayKind]
    segments: tuple[Segment, ...] = BUSINESS_HOURS
    timezone: str = "Asia/Shanghai"
    version: str = ""
    official: frozenset[int] = frozenset()
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _windows: dict[date, tuple[tuple[datetime, datetime], ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        if not self.segments:
            raise ValueError("a calendar needs at least one segment")
        for earlier, later in pairwise(self.segments):
            if later.start < earlier.end:
                raise ValueError(f"segments overlap or are out of order at {later.start:%H:%M}")
        object.__setattr__(self, "_zone", ZoneInfo(self.timezone))

    @property
    def day_length(self) -> timedelta:
        """What "one working day" means as a duration: the sum of the segments."""
        anchor = date(2000, 1, 1)
        return sum((datetime.combine(anchor, s.end) - datetime.combine(anchor, s.start) for s in self.segments), ZERO)

    def local(self, instant: datetime) -> datetime:
        """Give an instant in the calendar's time zone."""
        return instant.astimezone(self._zone)

    def kind(self, day: date) -> DayKind:
        """Say what a date is."""
        known = self.days.get(day)
        if known is not None:
            return known
        return DayKind.WEEKEND if day.weekday() >= _SATURDAY else DayKind.WORKDAY

    def status(self, year: int) -> Status:
        """Say whether the year's days were announced."""
        return Status.OFFICIAL if year in self.official else Status.PROVISIONAL

    def provisional_years(self, start: datetime, end: datetime) -> tuple[int, ...]:
        """Give the years between two instants (both included) that are not announced."""
        years = range(self.local(start).year, self.local(end).year + 1)
        return tuple(year for year in years if year not in self.official)

    def working(self, instant: datetime) -> bool:
        """Say whether an instant is working time."""
        return any(start <= instant < end for start, end in self._of(self.local(instant).date()))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Give the working time between two aware instants; negative when ``end`` is before ``start``."""
        if end < start:
            return -self.between(end, start)
        total = ZERO
        for opens, closes in self._from(start):
            if opens >= end:
                break
            total += min(closes, end) - max(opens, start)
        return total

    def add(self, start: datetime, amount: timedelta) -> datetime:
        """Give the earliest instant, in UTC, by which ``amount`` of working time has passed since ``start``.

        Raises:
            ValueError: ``amount`` is negative, or is not reached within twenty years.
        """
        if amount < ZERO:
            raise ValueError("working time can only be added forwards")
        if amount == ZERO:
            return start.astimezone(UTC)
        for opens, closes in self._from(start):
            begins = max(opens, start)
            if closes - begins >= amount:
                return (begins + amount).astimezone(UTC)
            amount -= closes - begins
        raise ValueError(f"calendar {self.version!r} has too little working time within twenty years")

    def _from(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Give the stretches of working time that end after ``start``, in order, for twenty years."""
        day, last = self.local(start).date(), (self.local(start) + HORIZON).date()
        while day <= last:
            for window in self._of(day):
                if window[1] > start:
                    yield window
            day += _DAY

    def _of(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """Give a date's stretches as UTC instants; remembered, because tickets of one week ask for the same days."""
        known = self._windows.get(day)
        if known is None:
            known = self._reckon(day) if self.kind(day).worked else ()
            self._windows[day] = known
        return known

    def _reckon(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        edges = ((self._instant(day, s.start), self._instant(day, s.end)) for s in self.segments)
        return tuple((start, end) for start, end in edges if start < end)

    def _instant(self, day: date, at: time) -> datetime:
        """Give a local time as UTC; one that a clock change leaves out moves on by the length of the change."""
        return datetime.combine(day, at, self._zone).astimezone(UTC)
