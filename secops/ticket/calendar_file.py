"""Calendars as YAML files (rules/calendar/*.yaml), and the generator that seeds the Chinese one.

A file names the years it knows, each *official* (the State Council's notice is in it) or *provisional*, and the dates that
differ from "Monday to Friday are worked". Later files lay local closures and extra days over earlier ones.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import chinese_calendar

from secops.errors import UserError
from secops.ticket.calendar import Calendar, DayKind, Segment, Status
from secops.yamlfile import Node, read, yaml_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CODE: Final = "calendar.file"
_SATURDAY: Final = 5
# 全国年节及纪念日放假办法 as amended 2024: the statutory days whose date does not follow the moon.
_FIXED: Final = {
    (1, 1): "元旦",
    (5, 1): "劳动节",
    (5, 2): "劳动节",
    (10, 1): "国庆节",
    (10, 2): "国庆节",
    (10, 3): "国庆节",
}


def load_calendar(paths: Sequence[Path]) -> Calendar:
    """Read a calendar; later files lay local closures and extra days over earlier ones.

    The first file must give ``timezone`` and ``segments``; a later one may not.

    Raises:
        UserError: ``calendar.file``: the text names file, line and reason.
    """
    days: dict[date, DayKind] = {}
    official: set[int] = set()
    versions: list[str] = []
    hours: tuple[str, tuple[Segment, ...]] | None = None
    for _, file in yaml_files(paths, CODE):
        root = read(file, CODE)
        first = hours is None
        fields = root.fields(("version", "days", *(("timezone", "segments") if first else ())), ("years",))
        if hours is None:
            hours = _timezone(fields["timezone"]), _segments(fields["segments"])
        versions.append(fields["version"].text())
        official |= _official(fields["years"]) if "years" in fields else set()
        days |= _days(fields["days"])
    if hours is None:
        raise UserError(CODE, "没有找到日历文件", "there is no calendar file")
    zone, segments = hours
    return Calendar(days, segments, zone, "+".join(versions), frozenset(official))


def _timezone(node: Node) -> str:
    try:
        ZoneInfo(node.text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        node.fail(f"没有时区“{node.text()}”", f"there is no time zone {node.text()!r}")
    return node.text()


def _segments(node: Node) -> tuple[Segment, ...]:
    segments = tuple(_segment(item) for item in node.items())
    try:
        return Calendar({}, segments).segments
    except ValueError as error:
        node.fail(f"时段有误：{error}", str(error))


def _segment(node: Node) -> Segment:
    start, _, end = node.text().partition("-")
    try:
        return Segment(time.fromisoformat(start), time.fromisoformat(end))
    except ValueError as error:
        node.fail(f"时段应写作 08:30-12:00：{error}", f"a segment is written 08:30-12:00: {error}")


def _official(node: Node) -> set[int]:
    official = set()
    for key, value in node.fields(optional=None).items():
        if not (key.isascii() and key.isdigit() and len(key) == 4):  # noqa: PLR2004 - digits of a year
            value.fail(f"“{key}”不是年份", f"{key!r} is not a year")
        if value.fields(("status", "source"))["status"].choice(Status) is Status.OFFICIAL:
            official.add(int(key))
    return official


def _days(node: Node) -> dict[date, DayKind]:
    days: dict[date, DayKind] = {}
    for item in node.items():
        fields = item.fields(("date", "kind"), ("name", "source"))
        day = _date(fields["date"])
        if day in days:
            item.fail(f"{day} 重复", f"{day} is given twice")
        days[day] = fields["kind"].choice(DayKind)
    return days


def _date(node: Node) -> date:
    try:
        return date.fromisoformat(node.text())
    except ValueError as error:
        node.fail(f"日期应写作 2026-01-31：{error}", f"a date is written 2026-01-31: {error}")


def generate(years: Sequence[int], version: str) -> str:
    """Write the YAML of the Chinese calendar for ``years`` from ``chinesecalendar``.

    A year it does not know is written as provisional, with the statutory days of fixed date only.
    """
    source = f"chinesecalendar {installed_version('chinesecalendar')}"
    known = {year: _announced(year) for year in years}
    lines = [
        "# Working days of mainland China. Made by secops.ticket.calendar_file.generate; a test compares the two.",
        "# Dates not listed follow the day of the week. A provisional year has no State Council notice in it yet.",
        f'version: "{version}"',
        "timezone: Asia/Shanghai",
        'segments: ["08:30-12:00", "14:00-17:30"]',
        "years:",
    ]
    for year in years:
        status, said = (
            (Status.OFFICIAL, source) if known[year] else (Status.PROVISIONAL, "statutory days of fixed date")
        )
        lines.append(f'  {year}: {{status: {status.value}, source: "{said}"}}')
    lines.append("days:")
    for year in years:
        entries = _announced_days(year) if known[year] else _fixed_days(year)
        lines += [f"  - {{date: {day}, kind: {kind.value}, name: {name}}}" for day, kind, name in entries]
    return "\n".join(lines) + "\n"


def _announced(year: int) -> bool:
    return any(day.year == year for day in chinese_calendar.holidays)


def _announced_days(year: int) -> Iterator[tuple[date, DayKind, str]]:
    day = date(year, 1, 1)
    while day.year == year:
        _, name = chinese_calendar.get_holiday_detail(day)
        if day in chinese_calendar.holidays:
            yield day, DayKind.HOLIDAY, _chinese(name)
        elif day in chinese_calendar.workdays:
            yield day, DayKind.MAKEUP, _chinese(chinese_calendar.workdays[day]) + "调休"
        day += timedelta(days=1)


def _chinese(name: str | None) -> str:
    return str(chinese_calendar.Holiday(name).chinese) if name else "放假"


def _fixed_days(year: int) -> Iterator[tuple[date, DayKind, str]]:
    return ((date(year, month, day), DayKind.HOLIDAY, name) for (month, day), name in _FIXED.items())
