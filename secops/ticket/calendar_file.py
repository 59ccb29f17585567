"""Calendars as YAML files (rules/calendar/*.yaml), and the generator that seeds the Chinese one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from secops.ticket.calendar import Calendar


def load_calendar(paths: Sequence[Path]) -> Calendar:
    """Read a calendar; later files lay local closures and extra days over earlier ones.

    Raises:
        UserError: ``calendar.file``: the text names file, line and reason.
    """
    raise NotImplementedError


def generate(years: Sequence[int], version: str) -> str:
    """Write the YAML of the Chinese calendar for ``years`` from ``chinesecalendar``; an unknown year is provisional."""
    raise NotImplementedError
