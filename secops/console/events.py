"""Search over events: Lucene syntax, time range, histogram, facets, one event, quarantine, export."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson
from starlette.responses import StreamingResponse

from identity.principal import Permission
from secops import audit
from secops.api.problems import NotFound
from secops.console import labels
from secops.console.charts import SHANGHAI
from secops.console.moments import moment
from secops.console.visit import Page, Routes
from secops.records import DATASET, EVENT_ID, HOST, MESSAGE, ORIGINAL, RAW, TENANT, TIMESTAMP, EventId
from secops.store.index import Query, QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.records import Event
    from secops.store.index import Index

FACETS: Final = (DATASET, HOST, "source.ip", "user.name", "event.outcome")
SHOWN_FIRST: Final = (
    TIMESTAMP,
    HOST,
    DATASET,
    MESSAGE,
    "source.ip",
    "user.name",
    "event.action",
    "event.outcome",
    TENANT,
)
QUARANTINE: Final = "event.kind:pipeline_error"
PAGE: Final = 50
EXPORTED: Final = 10_000
BUCKETS: Final = 60
PICTURE_SECONDS: Final = 0.3  # a search that took longer is not repeated for the chart and each facet


@dataclass(frozen=True, slots=True)
class Asked:
    """What the visitor asked for, as it stands in the address."""

    text: str
    range: str
    start: datetime | None
    end: datetime | None
    before: str

    def link(self, **changes: str) -> str:
        """The query string of this search, changed."""
        fields = {
            "q": self.text,
            "range": self.range,
            "from": _local(self.start) if self.range == "custom" else "",
            "to": _local(self.end) if self.range == "custom" else "",
            **changes,
        }
        return urlencode({name: value for name, value in fields.items() if value})

    def narrowed(self, field: str, value: str) -> str:
        """The query string of this search limited to a facet's value."""
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        term = f'{field}:"{escaped}"'
        return self.link(q=f"({self.text}) AND {term}" if self.text else term)


def listing(visit: Visit) -> Response:
    """The search page; a query that cannot be understood is answered with the page and the reason."""
    asked = _asked(visit)
    try:
        found = search_with_picture(visit.service.index, _query(visit, asked), whole=bool(visit.query("whole")))
    except QuerySyntaxError as error:
        return visit.page("events.html", 400, asked=asked, found=None, error=error, ranges=labels.RANGES)
    return visit.page("events.html", asked=asked, found=found, error=None, ranges=labels.RANGES)


def detail(visit: Visit) -> Response:
    """One event, every field of it."""
    event = find_event(visit, visit.part("event_id"))
    if event is None:
        raise NotFound
    fields = {name: value for name, value in event.items() if name not in {ORIGINAL, RAW, EVENT_ID}}
    first = [(name, fields.pop(name)) for name in SHOWN_FIRST if name in fields]
    original = sorted((event.get(ORIGINAL) or {}).items())
    return visit.page("event.html", event=event, fields=first + sorted(fields.items()), original=original)


def find_event(visit: Visit, text: str) -> Event | None:
    """The event with this id, if it is the visitor's to see."""
    try:
        event_id = EventId.parse(text[:40])
    except ValueError:
        return None
    found = events_by_id(visit, [event_id])
    return found[0] if found else None


def events_by_id(visit: Visit, ids: list[EventId]) -> list[Event]:
    """The events with these ids that are the visitor's to see."""
    visible = visit.visible_tenants()
    partitions = visit.service.log.partitions
    known = [one for one in ids if one.partition < partitions and one.offset < 2**62]
    return [event for event in visit.service.log.get(known) if visible is None or event.get(TENANT) in visible]


def export(visit: Visit) -> Response:
    """The hits as JSON lines, newest first, at most ``EXPORTED``; taking data out is audited."""
    asked = _asked(visit)
    query = replace(_query(visit, asked), limit=500, before=None)
    first = visit.service.index.search(query)  # a wrong query is refused before anything is sent
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action="events.export",
            tenant=visit.principal.organization_id,
            source_ip=visit.source_ip,
            detail={"query": asked.text[:500], "hits": min(first.total, EXPORTED)},
        )
    name = f"events-{visit.now.astimezone(SHANGHAI):%Y%m%d-%H%M%S}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(visit.service.index, query), media_type="application/x-ndjson", headers=headers)


def _lines(index: Index, query: Query) -> Iterator[bytes]:
    sent = 0
    while sent < EXPORTED:
        page = index.search(query)
        hits = page.hits[: EXPORTED - sent]
        sent += len(hits)
        yield b"".join(orjson.dumps(hit) + b"\n" for hit in hits)
        if page.next is None or not hits:
            return
        query = replace(query, before=page.next)


def search_with_picture(
    index: Index, query: Query, *, whole: bool, monotonic: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """A page of hits, and with the first page the picture around them.

    A query that the index cannot decide alone is confirmed event by event, and would be for each part of the picture: then
    the hits come without it, unless the visitor asks for the ``whole``.
    """
    begun = monotonic()
    page = index.search(query)
    found: dict[str, Any] = {"page": page, "chart": [], "facets": [], "left_out": False}
    if query.before is not None or not page.hits:
        return found
    costly = not page.total_exact or monotonic() - begun > PICTURE_SECONDS
    found["left_out"] = costly and not whole
    if not found["left_out"]:
        found["chart"] = index.histogram(query, BUCKETS)
        found["facets"] = [(field, values) for field in FACETS if (values := index.facets(query, field, 5))]
    return found


def _asked(visit: Visit) -> Asked:
    chosen = visit.query("range", "24h")
    start, end = moment(visit.query("from")), moment(visit.query("to"))
    if chosen == "custom" and (start or end):
        return Asked(visit.query("q"), "custom", start, end, visit.query("before"))
    chosen = chosen if chosen in labels.RANGES else "24h"
    minutes = labels.RANGES[chosen][1]
    since = visit.now - timedelta(minutes=minutes) if minutes else None
    return Asked(visit.query("q"), chosen, since, None, visit.query("before"))


def _query(visit: Visit, asked: Asked) -> Query:
    return Query(
        text=asked.text,
        tenants=visit.visible_tenants(),
        start=asked.start,
        end=asked.end,
        limit=PAGE,
        before=asked.before or None,
    )


def _local(value: datetime | None) -> str:
    return value.astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M") if value else ""


ROUTES: Routes = (
    Page("GET", "/events", listing, Permission.EVENTS_READ),
    Page("GET", "/events/export", export, Permission.EVENTS_READ),
    Page("GET", "/events/{event_id}", detail, Permission.EVENTS_READ),
)
