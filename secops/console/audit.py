"""The audit trail, for those who audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from identity.principal import Permission
from secops import audit
from secops.audit import AuditRow
from secops.console.visit import MAX_DIGITS, Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

PAGE: Final = 100


def listing(visit: Visit) -> Response:
    """Acts, newest first; ``check=1`` walks the whole chain of hashes."""
    actor, action, before = visit.query("actor", limit=200), visit.query("action", limit=100), visit.query("before")
    query = sa.select(AuditRow).order_by(AuditRow.id.desc()).limit(PAGE + 1)
    if actor:
        query = query.where(AuditRow.actor == actor)
    if action:
        query = query.where(AuditRow.action.startswith(action, autoescape=True))
    if before.isascii() and before.isdigit() and len(before) <= MAX_DIGITS:
        query = query.where(AuditRow.id < int(before))
    if (visible := visit.visible_tenants()) is not None:
        query = query.where(AuditRow.tenant.in_(sorted(visible)))
    with visit.service.database.read() as tx:
        rows = tx.scalars(query).all()
        broken = audit.broken_links(tx) if visit.query("check") else None
    if broken:
        with visit.service.database.begin() as tx:
            audit.report_broken(tx, broken, at=visit.now, actor=visit.principal.username)
    return visit.page(
        "audit.html",
        rows=rows[:PAGE],
        more=rows[PAGE - 1].id if len(rows) > PAGE else None,
        first=not before,
        actor=actor,
        action=action,
        broken=broken,
    )


ROUTES: Routes = (Page("GET", "/audit", listing, Permission.AUDIT_READ),)
