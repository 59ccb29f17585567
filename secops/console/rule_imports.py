"""Folders of rules that were imported: what they brought, and which of their rules were refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from identity.principal import Permission
from secops import rule_desk
from secops.api.problems import Forbidden
from secops.console.rules import manages
from secops.console.visit import Page, Routes
from secops.errors import UserError
from secops.rule_desk import may_see
from secops.rulebook import exceptions, imports, switches
from secops.rulebook.folder import import_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.rulebook.imports import Import


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An import as it stands now."""

    last: Import
    rules: int
    refused: int


def listing(visit: Visit) -> Response:
    """Each imported folder with the rules it has running now, what looks like ours, and exceptions whose rule is gone."""
    return _page(visit, None)


def _page(visit: Visit, wrong: UserError | None) -> Response:
    ruleset, folder = visit.service.rules, visit.service.imported_dir
    running = Counter(name for rule in ruleset.rules if (name := import_of(rule.info.source, folder)))
    refused = Counter(name for one in ruleset.refused if (name := import_of(one.file, folder)))
    tenants = visit.visible_tenants()
    with visit.service.database.read() as tx:
        current = [one for one in imports.current(tx) if may_see(one.tenant, tenants)]
        standing = exceptions.active(tx, visit.now)
        off = {rule_id for tenant, rule_id in switches.off(tx) if not tenant}
    known = {rule.id for rule in ruleset.rules}
    orphans = [one for one in exceptions.orphans(standing, known) if tenants is None or one.tenant in tenants]
    rows = [Row(last=one, rules=running[one.name], refused=refused[one.name]) for one in current]
    return visit.page(
        "rule_imports.html",
        200 if wrong is None else 400,
        rows=rows,
        orphans=orphans,
        alike=rule_desk.look_alikes(visit.service, rule_desk.visible(visit.service, tenants)),
        off=off,
        may_switch=manages(visit, ""),
        wrong=wrong,
    )


def switch_off(visit: Visit) -> Response:
    """Switch off for all what looks like ours; the city's own matter."""
    if not manages(visit, ""):
        raise Forbidden
    found = rule_desk.look_alikes(visit.service, visit.service.rules.rules)
    try:
        rule_desk.switch_off_alikes(
            visit.service,
            found,
            reason=visit.value("reason", limit=1000),
            actor=visit.principal.username,
            source_ip=visit.source_ip,
        )
    except UserError as wrong:
        return _page(visit, wrong)
    return visit.to("/rules/imports", "rule")


ROUTES: Routes = (
    Page("GET", "/rules/imports", listing, Permission.RULES_READ),
    Page("POST", "/rules/imports/alike", switch_off, Permission.RULES_MANAGE),
)
