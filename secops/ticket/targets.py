"""What was promised for each priority, as plain data that a ticket keeps a copy of from its opening.

A response table is part of a contract and differs from one to the next, so it is data (rules/services/*.yaml). A ticket
stores the table that was in force when it was opened: a later change of the catalogue never moves a running deadline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.ticket.calendar import Calendar

PRIORITIES: Final = (1, 2, 3, 4)
PRIORITY_ZH: Final = {1: "一级", 2: "二级", 3: "三级", 4: "四级"}


class Hours(StrEnum):
    """Which time a target counts."""

    ALWAYS = "always"  # 7x24
    BUSINESS = "business"  # working days and hours of the calendar
    WALL = "wall"  # statutory: every hour, from discovery, never paused


@dataclass(frozen=True, slots=True)
class Amount:
    """A duration as a contract writes it: clock time, or working days of the calendar."""

    time: timedelta = timedelta(0)
    working_days: int = 0

    def length(self, calendar: Calendar) -> timedelta:
        """Give the duration in working time of ``calendar``."""
        return self.time + self.working_days * calendar.day_length

    def __str__(self) -> str:
        if self.working_days:
            return f"{self.working_days} working day{'s' * (self.working_days > 1)}"
        minutes = int(self.time.total_seconds()) // 60
        return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


_AMOUNTS: Final = ("answer", "on_site", "restore", "update")
_AMOUNT: Final = re.compile(r"(\d{1,5}) ?(min|h|working days?)", re.ASCII)


def amount(text: str) -> Amount:
    """Read ``15 min``, ``4 h`` or ``3 working days``.

    Raises:
        ValueError: the text is none of these, or is zero.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{text!r} is not a duration; write it like '15 min', '4 h' or '3 working days'")
    number = int(found[1])
    match found[2]:
        case "min":
            return Amount(timedelta(minutes=number))
        case "h":
            return Amount(timedelta(hours=number))
        case _:
            return Amount(working_days=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The promises for one priority; None where nothing was promised."""

    hours: Hours
    answer: Amount
    on_site: Amount | None = None
    restore: Amount
    update: Amount | None = None  # an update at least this often until it is restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A statutory report: due on wall time from discovery, whatever the contract says."""

    id: str
    zh: str
    en: str
    within: timedelta
    source: str  # law and article


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTable:
    """Promises by priority, the longest pause that may be granted at once, and duties."""

    responses: Mapping[int, Response]
    longest_pause: timedelta
    duties: tuple[Duty, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Give plain data for the ticket's opening event."""
        return {
            "priorities": {str(priority): _response_data(response) for priority, response in self.responses.items()},
            "longest_pause_seconds": int(self.longest_pause.total_seconds()),
            "duties": [
                {
                    "id": d.id,
                    "zh": d.zh,
                    "en": d.en,
                    "within_seconds": int(d.within.total_seconds()),
                    "source": d.source,
                }
                for d in self.duties
            ],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ResponseTable:
        """Read what ``to_data`` gave."""
        return cls(
            responses={int(priority): _response(fields) for priority, fields in data["priorities"].items()},
            longest_pause=timedelta(seconds=data["longest_pause_seconds"]),
            duties=tuple(
                Duty(
                    id=d["id"],
                    zh=d["zh"],
                    en=d["en"],
                    within=timedelta(seconds=d["within_seconds"]),
                    source=d["source"],
                )
                for d in data["duties"]
            ),
        )


def _response_data(response: Response) -> dict[str, Any]:
    amounts = {name: getattr(response, name) for name in _AMOUNTS}
    return {"hours": response.hours.value} | {name: str(value) for name, value in amounts.items() if value}


def _response(fields: Mapping[str, Any]) -> Response:
    amounts = {name: amount(fields[name]) for name in _AMOUNTS if name in fields}
    return Response(hours=Hours(fields["hours"]), **amounts)
