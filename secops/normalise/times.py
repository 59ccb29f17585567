from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
"""China has one time zone; senders that name none mean it."""

EARLIEST: Final = "2000-01-01T00:00:00.000000Z"
AHEAD: Final = timedelta(hours=24)  # how far a sender's clock may run ahead of ours before we stop believing it

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_SECOND = 19  # characters of YYYY-MM-DDTHH:MM:SS
_OFFSET = 6  # characters of +08:00
_SCALES = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (1e20, 1_000_000_000))  # below: seconds, ms, us, ns


def canonical(moment: datetime) -> str:
    """Give the one form in which the service writes times: ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def iso(text: str, zone: tzinfo) -> str | None:
    """Read an ISO 8601 or RFC 3339 date and time to the second or finer; ``zone`` counts where the text names none."""
    rest = text[_SECOND:]
    if not rest:
        fraction, offset = "", ""
    elif rest[-1] == "Z":
        second = _second_utc(text[:_SECOND])
        return _with_fraction(second, rest[:-1]) if second else None
    elif rest[-1] == "z":
        fraction, offset = rest[:-1], "Z"
    elif rest[-_OFFSET:-5] in {"+", "-"} and rest[-3:-2] == ":":
        fraction, offset = rest[:-_OFFSET], rest[-_OFFSET:]
    elif rest[-5:-4] in {"+", "-"}:
        fraction, offset = rest[:-5], f"{rest[-5:-2]}:{rest[-2:]}"
    else:
        fraction, offset = rest, ""
    second = _second(text[:_SECOND], offset, zone)
    return _with_fraction(second, fraction) if second else None


def _with_fraction(second: str, fraction: str) -> str | None:
    """Put the digits behind a second; ``None`` if they are none."""
    if not fraction:
        return second + ".000000Z"
    digits = fraction[1:]
    if digits[-1:] == " ":
        digits = digits.rstrip(" ")
    if fraction[0] not in ".," or not (digits.isascii() and digits.isdigit()):
        return None
    return f"{second}.{digits}Z" if len(digits) == 6 else f"{second}.{digits[:6]:0<6}Z"  # noqa: PLR2004 - microseconds


@lru_cache(maxsize=16_384)
def _second_utc(text: str) -> str:
    """The same for a time in UTC; a cache of its own, as one text is found faster than three things."""
    return _second(text, "Z", UTC)


@lru_cache(maxsize=16_384)
def _second(text: str, offset: str, zone: tzinfo) -> str:
    """Give ``YYYY-MM-DDTHH:MM:SS`` in UTC, or nothing if ``text`` is no such time. Senders repeat themselves: cached."""
    if len(text) != _SECOND:
        return ""
    try:
        moment = datetime.fromisoformat(text if offset != "Z" else text + "+00:00")
        if offset not in {"", "Z"}:
            moment = datetime.fromisoformat(text + offset)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).isoformat()[:_SECOND]
    except (ValueError, OverflowError):  # OverflowError: the year 1 or 9999 moved over its edge
        return ""


def epoch(value: float) -> str | None:
    """Read seconds since 1970, or milli-, micro- or nanoseconds, told apart by their size."""
    for below, scale in _SCALES:
        if 0 < value < below:
            whole, part = divmod(value, scale) if scale > 1 else (int(value), value % 1 * 1_000_000)
            micros = int(part * 1_000_000 // scale) if scale > 1 else int(part)
            return canonical(datetime.fromtimestamp(int(whole), UTC) + timedelta(microseconds=micros))
    return None


@lru_cache(maxsize=16_384)
def bsd(stamp: str, received_day: str, zone: tzinfo) -> str | None:
    """Read ``Mmm dd hh:mm:ss`` (RFC 3164 section 4.1.2), which has no year: the last such time before ``received_day`` ends.

    A message of 31 December that comes on 1 January belongs to the old year, one from a clock that runs ahead on
    31 December (by up to ``AHEAD``) to the new one. ``received_day`` is ``YYYY-MM-DD``.
    """
    received = datetime.fromisoformat(received_day + "T00:00:00+00:00")
    latest = received + timedelta(days=1) + AHEAD
    for year in (1, 0, -1, -2, -3, -4):  # 29 February may be four years away
        moment = _bsd_in(stamp, received.year + year, zone)
        if moment is not None and moment < latest:
            return canonical(moment)
    return None


def _bsd_in(stamp: str, year: int, zone: tzinfo) -> datetime | None:
    month, day, clock = MONTHS.get(stamp[:3]), stamp[4:6].strip(), stamp[7:].split(":")
    if month is None or not stamp.isascii() or len(clock) != 3:  # noqa: PLR2004 - hours, minutes, seconds
        return None
    try:
        local = datetime(year, month, int(day), int(clock[0]), int(clock[1]), int(clock[2]), tzinfo=zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
