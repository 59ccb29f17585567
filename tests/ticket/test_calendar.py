from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secops.ticket.calendar import Calendar, DayKind, Segment, Status

SHANGHAI = ZoneInfo("Asia/Shanghai")
MINUTE = timedelta(minutes=1)
DAYS = {
    date(2026, 1, 1): DayKind.HOLIDAY,
    date(2026, 1, 2): DayKind.HOLIDAY,
    date(2026, 1, 3): DayKind.HOLIDAY,
    date(2026, 1, 4): DayKind.MAKEUP,  # a Sunday that is worked
}
CN = Calendar(DAYS, version="t", official=frozenset({2025, 2026}))


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def naive(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """Count working minutes one by one, by looking at the wall clock."""
    zone, total, minute = ZoneInfo(calendar.timezone), timedelta(0), start.astimezone(UTC)
    while minute < end:
        wall = minute.astimezone(zone)
        if calendar.kind(wall.date()).worked and any(s.start <= wall.time() < s.end for s in calendar.segments):
            total += MINUTE
        minute += MINUTE
    return total


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-01-05T08:30", "2026-01-05T17:30", 7),  # the lunch break is no working time (osTicket #6847)
        ("2026-01-05T12:00", "2026-01-05T14:00", 0),
        ("2026-01-05T11:00", "2026-01-05T14:30", 1.5),
        ("2026-01-05T17:30", "2026-01-06T08:30", 0),
        ("2025-12-31T17:00", "2026-01-04T09:00", 1),  # three days off, then a Sunday that is worked
        ("2026-01-09T17:00", "2026-01-12T09:00", 1),  # a plain weekend
        ("2026-01-01T00:00", "2026-01-04T00:00", 0),
    ],
)
def test_working_time_between(start: str, end: str, hours: float) -> None:
    assert CN.between(at(start), at(end)) == timedelta(hours=hours)
    assert CN.between(at(end), at(start)) == -timedelta(hours=hours)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-01-05T11:00", 1, "2026-01-05T12:00"),  # the end of a segment, not the start of the next
        ("2026-01-05T11:00", 2, "2026-01-05T15:00"),
        ("2026-01-05T12:30", 1, "2026-01-05T15:00"),
        ("2026-01-09T17:00", 1, "2026-01-12T09:00"),
        ("2025-12-31T17:00", 1, "2026-01-04T09:00"),
        ("2026-01-05T20:00", 7, "2026-01-06T17:30"),
        ("2026-01-05T20:00", 0, "2026-01-05T20:00"),
    ],
)
def test_adding_working_time(start: str, hours: float, due: str) -> None:
    assert CN.add(at(start), timedelta(hours=hours)) == at(due)


def test_the_edges_of_a_segment_start_inside_end_outside() -> None:
    assert CN.working(at("2026-01-05T08:30"))
    assert not CN.working(at("2026-01-05T12:00"))
    assert CN.working(at("2026-01-05T11:59:59.999999"))
    assert not CN.working(at("2026-01-03T10:00"))
    assert CN.working(at("2026-01-04T10:00"))


SEGMENTS = st.lists(st.integers(0, 95), min_size=2, max_size=6, unique=True).map(
    lambda marks: tuple(Segment(_quarter(a), _quarter(b)) for a, b in _pairs(sorted(marks)))
)


def _pairs(marks: list[int]) -> list[tuple[int, int]]:
    return [(marks[i], marks[i + 1]) for i in range(0, len(marks) - 1, 2)]


def _quarter(number: int) -> time:
    return time(number // 4, 15 * (number % 4))


CALENDARS = st.builds(
    Calendar,
    st.dictionaries(st.dates(date(2026, 1, 1), date(2026, 1, 20)), st.sampled_from(list(DayKind)), max_size=8),
    SEGMENTS,
    st.sampled_from(["Asia/Shanghai", "Asia/Urumqi", "UTC", "Asia/Kolkata"]),
)
INSTANTS = st.integers(0, 14 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE)
AMOUNTS = st.integers(0, 5 * 24 * 60).map(lambda minutes: minutes * MINUTE)


@settings(max_examples=60, deadline=None)
@given(CALENDARS, INSTANTS, st.integers(0, 3 * 24 * 60))
def test_between_agrees_with_counting_minutes(calendar: Calendar, start: datetime, minutes: int) -> None:
    assert calendar.between(start, start + minutes * MINUTE) == naive(calendar, start, start + minutes * MINUTE)


@settings(deadline=None)
@given(CALENDARS, INSTANTS, AMOUNTS)
def test_add_is_the_inverse_of_between_and_gives_the_earliest_instant(
    calendar: Calendar, start: datetime, amount: timedelta
) -> None:
    due = calendar.add(start, amount)
    assert calendar.between(start, due) == amount
    if amount:
        assert calendar.between(start, due - timedelta(microseconds=1)) < amount


@settings(deadline=None)
@given(CALENDARS, INSTANTS, INSTANTS, INSTANTS)
def test_between_is_additive_and_monotone(calendar: Calendar, one: datetime, two: datetime, three: datetime) -> None:
    first, second, third = sorted((one, two, three))
    whole = calendar.between(first, third)
    assert calendar.between(first, second) + calendar.between(second, third) == whole
    assert timedelta(0) <= calendar.between(first, second) <= whole <= third - first


@settings(deadline=None)
@given(CALENDARS, INSTANTS, AMOUNTS, INSTANTS, AMOUNTS)
def test_add_is_monotone(calendar: Calendar, one: datetime, less: timedelta, two: datetime, more: timedelta) -> None:
    start, later = sorted((one, two))
    small, large = sorted((less, more))
    assert calendar.add(start, small) <= calendar.add(start, large)
    assert calendar.add(start, small) <= calendar.add(later, small)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 7.5), ("2026-11-01", 9.5), ("2026-03-09", 8.5)])
def test_a_change_of_the_clocks_inside_a_segment_makes_it_an_hour_shorter_or_longer(day: str, hours: float) -> None:
    worked = {date(2026, 3, 8): DayKind.WORKDAY, date(2026, 11, 1): DayKind.WORKDAY}
    calendar = Calendar(worked, (Segment(time(0, 30), time(9)),), "America/New_York")
    start = at(f"{day}T00:00", ZoneInfo("America/New_York"))
    assert calendar.between(start, start + timedelta(hours=20)) == timedelta(hours=hours)
    assert naive(calendar, start, start.astimezone(UTC) + timedelta(hours=20)) == timedelta(hours=hours)
    assert calendar.between(start, calendar.add(start, timedelta(hours=6))) == timedelta(hours=6)


def test_a_year_without_a_notice_is_provisional_and_flagged() -> None:
    assert CN.status(2026) is Status.OFFICIAL
    assert CN.status(2027) is Status.PROVISIONAL
    assert CN.kind(date(2027, 1, 4)) is DayKind.WORKDAY
    assert CN.kind(date(2027, 1, 3)) is DayKind.WEEKEND
    assert CN.provisional_years(at("2026-12-31T09:00"), at("2027-01-04T09:00")) == (2027,)
    assert CN.provisional_years(at("2026-12-30T09:00"), at("2026-12-31T23:59")) == ()


def test_the_year_is_that_of_the_calendars_own_zone() -> None:
    assert CN.provisional_years(datetime(2026, 12, 31, 15, 59, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC)) == (
        2027,
    )


def test_a_calendar_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="must end after it starts"):
        Segment(time(12), time(12))
    with pytest.raises(ValueError, match="overlap"):
        Calendar({}, (Segment(time(8), time(12)), Segment(time(11), time(17))))
    with pytest.raises(ValueError, match="at least one segment"):
        Calendar({}, ())
    with pytest.raises(ValueError, match="only be added forwards"):
        CN.add(at("2026-01-05T09:00"), -MINUTE)


def test_a_calendar_without_any_working_day_is_an_error_and_not_an_endless_loop() -> None:
    never = {date(2026, 1, 1) + timedelta(days=i): DayKind.HOLIDAY for i in range(21 * 366)}
    with pytest.raises(ValueError, match="too little working time"):
        Calendar(never).add(at("2026-01-05T09:00"), MINUTE)


def test_a_working_day_is_the_sum_of_its_segments() -> None:
    assert CN.day_length == timedelta(hours=7)
