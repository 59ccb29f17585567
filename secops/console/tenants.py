"""Tenants as pages offer them: those whose data the visitor may see, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from identity.principal import Permission

if TYPE_CHECKING:
    from secops.console.visit import Visit


def tenant_names(visit: Visit) -> dict[str, str]:
    """The tenants that the visitor may see, id -> name."""
    visible = visit.visible_tenants()
    return {
        one.id: visit.texts.pick(one.name_zh, one.name_en)
        for one in visit.service.identity.organizations()
        if visible is None or one.id in visible
    }


def may_mute(visit: Visit, tenant: str) -> bool:
    """Whether the visitor may mute alerts of ``tenant``; of every tenant ("") only who sees every tenant."""
    if not tenant:
        return visit.visible_tenants() is None and visit.can(Permission.ALERTS_TRIAGE)
    return visit.can(Permission.ALERTS_TRIAGE, visit.tenant(tenant))
