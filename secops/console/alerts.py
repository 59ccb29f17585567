"""Alerts: the list, one with the events behind it and its history, acknowledge and close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops.alert import queries
from secops.alert.find import Filter, search
from secops.console.events import events_by_id
from secops.console.visit import MAX_DIGITS, Page, Routes, member
from secops.errors import UserError
from secops.records import AlertStatus, EventId, Level
from secops.ticket import desk

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.records import Alert, Event

PAGE: Final = 50
EVENTS_SHOWN: Final = 20


def listing(visit: Visit) -> Response:
    """Alerts, newest first."""
    status = member(AlertStatus, visit.query("status", "open"))
    level = member(Level, visit.query("level"))
    before = visit.query("before")
    with visit.service.database.read() as tx:
        found = search(
            tx,
            Filter(tenants=visit.visible_tenants(), status=status, level=level),
            limit=PAGE + 1,
            before=int(before) if before.isascii() and before.isdigit() and len(before) <= MAX_DIGITS else None,
        )
    more = found[PAGE - 1].id if len(found) > PAGE else None
    return visit.page("alerts.html", alerts=found[:PAGE], status=status, level=level, more=more, first=not before)


def detail(visit: Visit) -> Response:
    """One alert."""
    alert = _alert(visit, Permission.ALERTS_READ)
    with visit.service.database.read() as tx:
        history = queries.history(tx, alert.id)
        ticket = desk.for_alert(tx, alert.id)
    rule = visit.service.rules.infos().get(alert.rule_id)
    events = _events(visit, alert) if visit.can(Permission.EVENTS_READ) else []
    triage = visit.can(Permission.ALERTS_TRIAGE, visit.tenant(alert.tenant))
    return visit.page(
        "alert.html", alert=alert, history=history, ticket=ticket, rule=rule, events=events, triage=triage
    )


def acknowledge(visit: Visit) -> Response:
    """Say that somebody looks after it."""
    alert = _alert(visit, Permission.ALERTS_TRIAGE)
    with visit.service.database.begin() as tx:
        queries.acknowledge(
            tx,
            alert.id,
            actor=visit.principal.username,
            reason=visit.value("reason"),
            now=visit.now,
            tenants=visit.visible_tenants(),
            source_ip=visit.source_ip,
        )
    return visit.to(f"/alerts/{alert.id}", "acknowledged")


def close(visit: Visit) -> Response:
    """Close it with a reason."""
    alert = _alert(visit, Permission.ALERTS_TRIAGE)
    disposition = member(queries.Disposition, visit.value("disposition"))
    if disposition is None:
        raise UserError("alert.disposition", "请选择处置结论。", "Choose what the alert turned out to be.")
    with visit.service.database.begin() as tx:
        queries.close(
            tx,
            alert.id,
            actor=visit.principal.username,
            reason=visit.value("reason"),
            disposition=disposition,
            now=visit.now,
            tenants=visit.visible_tenants(),
            source_ip=visit.source_ip,
        )
    return visit.to(f"/alerts/{alert.id}", "closed")


def _alert(visit: Visit, permission: Permission) -> Alert:
    with visit.service.database.read() as tx:
        alert = queries.get(tx, visit.number("alert_id"), tenants=visit.visible_tenants())
    visit.need(permission, visit.tenant(alert.tenant))
    return alert


def _events(visit: Visit, alert: Alert) -> list[Event]:
    ids = [EventId.parse(text) for text in alert.event_ids[:EVENTS_SHOWN]]
    return events_by_id(visit, ids)


ROUTES: Routes = (
    Page("GET", "/alerts", listing, Permission.ALERTS_READ),
    Page("GET", "/alerts/{alert_id}", detail, Permission.ALERTS_READ),
    Page("POST", "/alerts/{alert_id}/acknowledge", acknowledge, Permission.ALERTS_TRIAGE),
    Page("POST", "/alerts/{alert_id}/close", close, Permission.ALERTS_TRIAGE),
)
