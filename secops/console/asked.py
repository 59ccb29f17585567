"""A search as it stands in the address of the events page, and the addresses that lead on from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from secops.console import labels
from secops.console.charts import SHANGHAI
from secops.console.labels import N_
from secops.console.moments import moment
from secops.records import DATASET, HOST, INGESTED, MESSAGE, ORIGINAL, TIMESTAMP
from secops.store.index import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from secops.console.visit import Visit
from secops.records import Event

FACETS: Final = (DATASET, HOST, "source.ip", "user.name", "event.outcome")
STANDARD: Final[Mapping[str, str]] = {HOST: N_("Host"), DATASET: N_("Kind"), MESSAGE: N_("Message")}
COLUMNS: Final = tuple(STANDARD)
MOST_FIELDS: Final = 8
PAGE: Final = 50
LONGEST_ADDED: Final = 300  # characters of a value that a link may add to the query
CELL: Final = 300
_FIELD: Final = re.compile(r"[@A-Za-z_][A-Za-z0-9_.@-]{0,99}")
_UNSEARCHED: Final = frozenset({TIMESTAMP, INGESTED})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the visitor asked for."""

    text: str
    range: str
    start: datetime | None
    end: datetime | None
    before: str
    columns: tuple[str, ...] = COLUMNS
    facets: tuple[str, ...] = FACETS

    def link(self, **changes: str) -> str:
        """The query string of this search, changed."""
        fields = {
            "q": self.text,
            "range": self.range,
            "from": _local(self.start) if self.range == "custom" else "",
            "to": _local(self.end) if self.range == "custom" else "",
            "columns": " ".join(self.columns) if self.columns != COLUMNS else "",
            "facets": " ".join(self.facets) if self.facets != FACETS else "",
            **changes,
        }
        return urlencode({name: value for name, value in fields.items() if value})

    def narrowed(self, field: str, value: str) -> str:
        """The query string of this search limited to a value of a field."""
        return self._joined(_term(field, value))

    def without(self, field: str, value: str) -> str:
        """The query string of this search without events that have the value."""
        return self._joined(f"NOT {_term(field, value)}")

    def can_add(self, field: str, value: object) -> bool:
        """Whether a field's value can stand in a query: a name that the syntax takes, a scalar that is not endless."""
        scalar = isinstance(value, (str, int)) and 0 < len(str(value)) <= LONGEST_ADDED
        return scalar and field not in _UNSEARCHED and _FIELD.fullmatch(field) is not None

    def spans(self, chart: Sequence[tuple[datetime, int]]) -> list[str]:
        """An address for each bar of the histogram: this search in the bar's time."""
        starts = [at for at, _ in chart]
        if len(starts) < 2:  # noqa: PLR2004 - the width of a bar is the distance of two
            return []
        width = max(starts[1] - starts[0], timedelta(seconds=1))
        ends = [*starts[1:], starts[-1] + width + timedelta(seconds=1)]  # the last bar holds the end of the time too
        return [
            f"/events?{self._between(at, max(end, at + timedelta(seconds=1)))}"
            for at, end in zip(starts, ends, strict=True)
        ]

    def value_of(self, event: Event, name: str) -> str:
        """What a column shows of an event."""
        value: Any = event.get(name)
        if value is None and name.startswith(f"{ORIGINAL}."):
            value = (event.get(ORIGINAL) or {}).get(name.partition(".")[2])
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value)
        return "" if value is None else str(value)[:CELL]

    def _joined(self, term: str) -> str:
        return self.link(q=f"({self.text}) AND {term}" if self.text else term)

    def _between(self, start: datetime, end: datetime) -> str:
        return self.link(**{"range": "custom", "from": _local(start), "to": _local(end, up=True)})


def read_asked(visit: Visit) -> Asked:
    """Read the address."""
    chosen = visit.query("range", "24h")
    start, end = moment(visit.query("from")), moment(visit.query("to"))
    text, before = visit.query("q"), visit.query("before")
    columns, facets = field_names(visit.query("columns"), COLUMNS), field_names(visit.query("facets"), FACETS)
    if chosen == "custom" and (start or end):
        return Asked(text, "custom", start, end, before, columns, facets)
    chosen = chosen if chosen in labels.RANGES else "24h"
    minutes = labels.RANGES[chosen][1]
    since = visit.now - timedelta(minutes=minutes) if minutes else None
    return Asked(text, chosen, since, None, before, columns, facets)


def query_of(visit: Visit, asked: Asked) -> Query:
    """The query over what the visitor may see."""
    return Query(
        text=asked.text,
        tenants=visit.visible_tenants(),
        start=asked.start,
        end=asked.end,
        limit=PAGE,
        before=asked.before or None,
    )


def field_names(text: str, standard: tuple[str, ...]) -> tuple[str, ...]:
    """The names of fields in a text, each once; the standard ones when there is none."""
    named = dict.fromkeys(word for word in re.split(r"[\s,，]+", text) if _FIELD.fullmatch(word))
    return tuple(named)[:MOST_FIELDS] or standard


def _term(field: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'


def _local(value: datetime | None, *, up: bool = False) -> str:
    """A moment to the second, as a browser's field has it; ``up``: the next whole second."""
    if value is None:
        return ""
    if up and value.microsecond:
        value += timedelta(seconds=1)
    return value.astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M:%S")
