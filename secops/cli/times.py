"""Times and spans as options: ISO 8601, Beijing time where no zone is given; spans such as 90m, 2h, 3d."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from secops.cli.context import SHANGHAI
from secops.errors import UserError

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str) -> datetime:
    """Read a moment.

    Raises:
        UserError: ``time.form``.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(
            "time.form",
            f"时间 {text[:40]!r} 应写作 2026-11-24T22:00。",
            f"time {text[:40]!r} should be written 2026-11-24T22:00",
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=SHANGHAI)


def read_span(text: str) -> timedelta:
    """Read a span.

    Raises:
        UserError: ``time.form``.
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if found is None:
        raise UserError(
            "time.form",
            f"时长 {text[:20]!r} 应写作 90m、2h 或 3d。",
            f"span {text[:20]!r} should be written 90m, 2h or 3d",
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def read_when(text: str, now: datetime, *, ahead: bool = False) -> datetime:
    """Read a moment, or a span that ends now, or ``ahead`` begins now; ``ahead``, a bare day is its end, as on the pages.

    Raises:
        UserError: ``time.form``.
    """
    try:
        span = read_span(text)
    except UserError:
        moment = read_moment(text)
        return moment + timedelta(days=1) if ahead and _DAY.fullmatch(text.strip()) else moment
    return now + span if ahead else now - span
