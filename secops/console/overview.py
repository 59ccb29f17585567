"""The first page: is everything running, what is open, what is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from identity.principal import Permission
from secops.alert import find
from secops.alert import queries as alerts
from secops.console.ticket_list import visible_tickets
from secops.console.visit import Page, Routes
from secops.records import AlertStatus, Level, TicketState
from secops.store.index import IndexUnavailable, Query

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

OPEN_STATES: Final = (TicketState.NEW, TicketState.ASSIGNED, TicketState.IN_PROGRESS, TicketState.PENDING)
SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events of the visitor's tenants: the last hour by the minute, the last day by source, and what was quarantined."""

    minutes: list[tuple[datetime, int]]
    hosts: list[tuple[str, int]]
    datasets: list[tuple[str, int]]
    day: int
    errors: int


def show(visit: Visit) -> Response:
    """The overview; each card is there for those who may read what it sums up."""
    return visit.page(
        "overview.html",
        status=visit.service.status() if _operates(visit) else None,
        traffic=_traffic(visit) if visit.can(Permission.EVENTS_READ) else None,
        levels=_levels(visit) if visit.can(Permission.ALERTS_READ) else None,
        latest=_latest(visit) if visit.can(Permission.ALERTS_READ) else None,
        due=_due(visit) if visit.can(Permission.TICKETS_READ) else None,
    )


def _operates(visit: Visit) -> bool:
    """Who is told of processes and disks: those who look after sources, and those who read events and alerts."""
    return any(visit.can(one) for one in (Permission.SOURCES_READ, Permission.EVENTS_READ, Permission.AUDIT_READ))


def _traffic(visit: Visit) -> Traffic | None:
    """What came in; None while the search engine does not answer: the rest of the page is needed then most of all."""
    try:
        return _counted(visit)
    except IndexUnavailable:
        return None


def _counted(visit: Visit) -> Traffic:
    index, tenants, now = visit.service.index, visit.visible_tenants(), visit.now
    hour = Query(tenants=tenants, start=now - timedelta(hours=1), end=now)
    day = Query(tenants=tenants, start=now - timedelta(days=1), end=now, limit=1)
    wrong = Query(text="event.kind:pipeline_error", tenants=tenants, start=day.start, end=now, limit=1)
    return Traffic(
        minutes=index.histogram(hour, 60),
        hosts=index.facets(day, "host.name", 5),
        datasets=index.facets(day, "event.dataset", 5),
        day=index.search(day).total,
        errors=index.search(wrong).total,
    )


def _levels(visit: Visit) -> list[tuple[Level, int]]:
    with visit.service.database.read() as tx:
        counted = alerts.counts(tx, tenants=visit.visible_tenants())
    return [(level, counted.get((AlertStatus.OPEN, level), 0)) for level in reversed(Level)]


def _latest(visit: Visit) -> list[Any]:
    asked = find.Filter(tenants=visit.visible_tenants(), status=AlertStatus.OPEN, muted=False)
    with visit.service.database.read() as tx:
        return list(find.search(tx, asked, limit=SHOWN))


def _due(visit: Visit) -> list[Any]:
    """Unfinished tickets, the one due first on top."""
    rows = [row for state in OPEN_STATES for row in visible_tickets(visit, state=state, limit=100)]
    far = visit.now + timedelta(days=36500)
    return sorted(rows, key=lambda row: row.clock.next_due.due_at if row.clock.next_due else far)[:SHOWN]


ROUTES: Routes = (Page("GET", "/", show, Permission.OVERVIEW_READ),)
