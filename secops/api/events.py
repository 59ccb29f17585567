"""``/api/v1/events``: search."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from identity.principal import Permission
from secops.api.access import Caller, require
from secops.api.problems import NotFound
from secops.records import TENANT, EventId
from secops.store import index

FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def events(
    caller: Annotated[Caller, require(Permission.EVENTS_READ)],
    q: Annotated[str, Query(max_length=2000, description="Lucene query; empty for everything")] = "",
    start: Annotated[datetime | None, Query(description="inclusive, RFC 3339")] = None,
    end: Annotated[datetime | None, Query(description="exclusive, RFC 3339")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
) -> dict[str, Any]:
    """Search events, newest first."""
    query = index.Query(
        text=q, tenants=caller.visible_tenants(), start=_aware(start), end=_aware(end), limit=limit, before=before
    )
    page = caller.service.index.search(query)
    return {
        "hits": page.hits,
        "total": page.total,
        "total_exact": page.total_exact,
        "next": page.next,
        "took_ms": round(page.took_ms, 3),
    }


def event(event_id: str, caller: Annotated[Caller, require(Permission.EVENTS_READ)]) -> dict[str, Any]:
    """One event by its id."""
    visible = caller.visible_tenants()
    try:
        place = EventId.parse(event_id[:40])
    except ValueError:
        raise NotFound from None
    if place.partition >= caller.service.log.partitions or place.offset >= 2**62:
        raise NotFound
    found = [one for one in caller.service.log.get([place]) if visible is None or one.get(TENANT) in visible]
    if not found:
        raise NotFound
    return found[0]


def _aware(value: datetime | None) -> datetime | None:
    """A time without an offset is meant in UTC; one before or after all events is the first or the last of ours."""
    if value is None:
        return None
    return min(max(value if value.tzinfo else value.replace(tzinfo=UTC), FIRST), LAST)


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["events"])
    made.add_api_route("/events", events, methods=["GET"])
    made.add_api_route("/events/{event_id}", event, methods=["GET"])
    return made
