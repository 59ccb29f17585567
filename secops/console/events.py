"""Search over events: Lucene syntax, time range, histogram, facets, one event, quarantine, export."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from identity.principal import Permission
from secops import audit, searches
from secops.api.problems import NotFound
from secops.console import labels
from secops.console.asked import FACETS, STANDARD, query_of, read_asked
from secops.console.charts import SHANGHAI
from secops.console.event_lines import csv_lines, json_lines
from secops.console.visit import Page, Routes
from secops.records import DATASET, EVENT_ID, HOST, MESSAGE, ORIGINAL, RAW, TENANT, TIMESTAMP, EventId
from secops.store.index import QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.records import Event
    from secops.store.index import Index, Query

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
EXPORTED: Final = 10_000
BUCKETS: Final = 60
PICTURE_SECONDS: Final = 0.3  # a search that took longer is not repeated for the chart and each facet


def listing(visit: Visit) -> Response:
    """The search page; a query that cannot be understood is answered with the page and the reason."""
    asked = read_asked(visit)
    with visit.service.database.read() as tx:
        kept = searches.visible(tx, owner=visit.principal.account_id, tenant=visit.principal.organization_id)
    shown: dict[str, Any] = {"asked": asked, "ranges": labels.RANGES, "kept": kept, "standard": STANDARD}
    query, whole = query_of(visit, asked), bool(visit.query("whole"))
    try:
        found = search_with_picture(visit.service.index, query, whole=whole, facets=asked.facets)
    except QuerySyntaxError as error:
        return visit.page("events.html", 400, found=None, error=error, **shown)
    return visit.page("events.html", found=found, error=None, **shown)


def detail(visit: Visit) -> Response:
    """One event, every field of it."""
    event = find_event(visit, visit.part("event_id"))
    if event is None:
        raise NotFound
    fields = {name: value for name, value in event.items() if name not in {ORIGINAL, RAW, EVENT_ID}}
    first = [(name, fields.pop(name)) for name in SHOWN_FIRST if name in fields]
    original = sorted((event.get(ORIGINAL) or {}).items())
    found = first + sorted(fields.items())
    return visit.page("event.html", event=event, fields=found, original=original, asked=read_asked(visit))


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
    """The hits as JSON lines or CSV, newest first, at most ``EXPORTED``; taking data out is audited."""
    asked = read_asked(visit)
    query = replace(query_of(visit, asked), limit=500, before=None)
    first = visit.service.index.search(query)  # a wrong query is refused before anything is sent
    form = "csv" if visit.query("form") == "csv" else "jsonl"
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action="events.export",
            tenant=visit.principal.organization_id,
            source_ip=visit.source_ip,
            detail={"query": asked.text[:500], "hits": min(first.total, EXPORTED), "form": form},
        )
    name = f"events-{visit.now.astimezone(SHANGHAI):%Y%m%d-%H%M%S}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    hits = _hits(visit.service.index, query)
    if form == "csv":
        return StreamingResponse(csv_lines(hits, asked.columns), media_type="text/csv", headers=headers)
    return StreamingResponse(json_lines(hits), media_type="application/x-ndjson", headers=headers)


def _hits(index: Index, query: Query) -> Iterator[Sequence[Event]]:
    sent = 0
    while sent < EXPORTED:
        page = index.search(query)
        hits = page.hits[: EXPORTED - sent]
        sent += len(hits)
        yield hits
        if page.next is None or not hits:
            return
        query = replace(query, before=page.next)


def search_with_picture(
    index: Index,
    query: Query,
    *,
    whole: bool,
    facets: Sequence[str] = FACETS,
    monotonic: Callable[[], float] = time.monotonic,
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
        found["facets"] = [(field, values) for field in facets if (values := index.facets(query, field, 5))]
    return found


ROUTES: Routes = (
    Page("GET", "/events", listing, Permission.EVENTS_READ),
    Page("GET", "/events/export", export, Permission.EVENTS_READ),
    Page("GET", "/events/{event_id}", detail, Permission.EVENTS_READ),
)
