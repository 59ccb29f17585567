"""Moments as visitors type them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from secops.console.charts import SHANGHAI

YEARS: Final = range(1970, 9000)  # room for every zone and every span on both sides


def moment(text: str) -> datetime | None:
    """A browser's ``datetime-local`` value, meant in Shanghai; None when it is none, or far from our time."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if value.year not in YEARS:
        return None
    return value if value.tzinfo else value.replace(tzinfo=SHANGHAI)
