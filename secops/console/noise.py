"""Noise per rule, and which tactics of ATT&CK the running rules cover."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops import rule_desk
from secops.alert import attack, noise
from secops.console.charts import SHANGHAI
from secops.console.visit import Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

DAYS: Final = {"1": 1, "7": 7, "30": 30, "90": 90}
CHARTED: Final = 15  # rules
COVERED_DAYS: Final = 30
SHOWN: Final = 50  # rules; the rest on request


def report(visit: Visit) -> Response:
    """The noise report of the last days."""
    chosen = visit.query("days", "30", limit=5)
    days = DAYS.get(chosen, 30)
    today = visit.now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=days - 1)
    tenants = visit.visible_tenants()
    with visit.service.database.read() as tx:
        rows = noise.report(tx, tenants=tenants, start=start, end=visit.now)
        by_day = noise.by_day(tx, tenants=tenants, start=start, end=visit.now)
    pick = visit.texts.pick
    return visit.page(
        "noise.html",
        rows=rows if visit.query("whole") else rows[:SHOWN],
        more=0 if visit.query("whole") else max(len(rows) - SHOWN, 0),
        charted=[(pick(row.title_zh, row.title), row.alerts) for row in rows[:CHARTED]],
        by_day=by_day,
        days=days,
        choices=DAYS,
        known=visit.service.rules.infos(),
        suggested=[(row, one) for row in rows for one in row.suggestions],
    )


def matrix(visit: Visit) -> Response:
    """Tactics, the rules that look for them, and what they raised in 30 days."""
    since = visit.now - timedelta(days=COVERED_DAYS)
    tenants = visit.visible_tenants()
    rules = [rule.info for rule in rule_desk.visible(visit.service, tenants)]
    with visit.service.database.read() as tx:
        raised = attack.raised_by_tags(tx, tenants=tenants, since=since)
    tactics = visit.service.tactics
    return visit.page(
        "attack.html",
        covered=attack.coverage(rules, raised, tactics),
        untagged=sum(not attack.tactics_of(rule.tags, tactics) for rule in rules),
        days=COVERED_DAYS,
    )


ROUTES: Routes = (
    Page("GET", "/alerts/noise", report, Permission.ALERTS_READ),
    Page("GET", "/alerts/attack", matrix, Permission.ALERTS_READ),
)
