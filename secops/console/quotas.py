"""Quotas: how much each organisation may send, and what it sent today; the city decides, each sees its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.principal import CITY, Permission
from secops import source_quotas
from secops.api.problems import NotFound
from secops.console.tenants import tenant_names
from secops.console.visit import Page, Routes
from secops.errors import UserError
from secops.source_quotas import Quota

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

DIGITS: Final = 15


def listing(visit: Visit) -> Response:
    """Every organisation that the visitor may see."""
    names = tenant_names(visit)
    said = visit.service.settings.ingest
    with visit.service.database.read() as tx:
        usual = Quota(said.events_per_second, said.bytes_per_day)
        rows = source_quotas.summary(tx, usual, visit.now.date(), list(names))
    may_set = visit.can(Permission.SOURCES_MANAGE, visit.tenant(CITY))
    return visit.page("source_quotas.html", rows=rows, names=names, may_set=may_set)


def change(visit: Visit) -> Response:
    """Set or take away an organisation's own quota: for who manages sources of the whole city, for nobody raises his own."""
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(CITY))
    tenant = visit.value("tenant", limit=100)
    if tenant not in tenant_names(visit):
        raise NotFound
    wanted = None
    if visit.value("usual") != "yes":
        wanted = Quota(_number(visit.value("events_per_second")), _number(visit.value("bytes_per_day")))
    with visit.service.database.begin() as tx:
        source_quotas.set_quota(tx, tenant, wanted, actor=visit.principal.username, now=visit.now)
    return visit.to("/sources/quotas", "quota")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise UserError(
            "quota.number", "配额须为整数，0 表示不限。", "A quota is a whole number; 0 stands for no bound."
        )
    return int(text)


ROUTES: Routes = (
    Page("GET", "/sources/quotas", listing, Permission.SOURCES_READ),
    Page("POST", "/sources/quotas", change, Permission.SOURCES_MANAGE),
)
