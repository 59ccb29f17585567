"""Alerts: the list, one with the events behind it and its history, acknowledge and close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops import rule_desk
from secops.alert import queries
from secops.alert.attack import tactics_of, techniques_of
from secops.alert.find import Order, search, storm_parts
from secops.console.alert_list import PAGE, asked_of
from secops.console.events import events_by_id
from secops.console.rule_list import known
from secops.console.runbooks import runbook
from secops.console.tenants import tenant_names
from secops.console.visit import Page, Routes, member
from secops.errors import UserError
from secops.records import EventId
from secops.ticket import desk

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.records import Alert, Event

EVENTS_SHOWN: Final = 20
PARTS_SHOWN: Final = 200


def listing(visit: Visit) -> Response:
    """The alerts that fit, and the form that says which."""
    asked, tactics = asked_of(visit), visit.service.tactics
    wanted = asked.filter(visit.visible_tenants(), tactics)
    with visit.service.database.read() as tx:
        before = asked.before or None
        found = search(tx, wanted, order=asked.order, limit=PAGE + 1, before=before, skip=asked.skip)
    shown, more = found[:PAGE], ""
    if len(found) > PAGE:
        newest = asked.order is Order.NEWEST
        more = asked.link(before=shown[-1].id) if newest else asked.link(skip=asked.skip + PAGE)
    return visit.page(
        "alerts.html",
        alerts=shown,
        asked=asked,
        more=more,
        tactics=tactics,
        names=tenant_names(visit),
        imported=_imports(visit, shown),
        rule=known(visit, asked.rule) if asked.rule else None,
    )


def detail(visit: Visit) -> Response:
    """One alert."""
    alert = _alert(visit, Permission.ALERTS_READ)
    sought = visit.query("part", limit=200)
    with visit.service.database.read() as tx:
        history = queries.history(tx, alert.id)
        ticket = desk.for_alert(tx, alert.id)
        parts = storm_parts(tx, alert.id, text=sought, limit=PARTS_SHOWN) if alert.storm else []
    return visit.page(
        "alert.html",
        alert=alert,
        history=history,
        ticket=ticket,
        rule=known(visit, alert.rule_id),
        events=_events(visit, alert) if visit.can(Permission.EVENTS_READ) else [],
        triage=visit.can(Permission.ALERTS_TRIAGE, visit.tenant(alert.tenant)),
        parts=parts[:PARTS_SHOWN],
        sought=sought,
        tactics=tactics_of(alert.tags, visit.service.tactics),
        techniques=techniques_of(alert.tags),
        imported=_imports(visit, [alert]).get(alert.rule_id, ""),
        runbook=runbook(visit.service.content_dir / "runbooks", alert.runbook),
    )


def _imports(visit: Visit, alerts: list[Alert]) -> dict[str, str]:
    """The imports that brought the rules of alerts, by rule id; rules that nobody imported are absent."""
    asked = {alert.rule_id for alert in alerts}
    rules = (rule for rule in visit.service.rules.rules if rule.id in asked)
    return {rule.id: name for rule in rules if (name := rule_desk.imported_by(visit.service, rule))}


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
