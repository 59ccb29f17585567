"""Folders of rules that were imported: what they brought, and which of their rules were refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from identity.principal import Permission
from secops.console.visit import Page, Routes
from secops.rule_desk import may_see
from secops.rulebook import exceptions, imports

if TYPE_CHECKING:
    from pathlib import Path

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
    """Each imported folder with the rules it has running now, and exceptions whose rule is gone."""
    ruleset, folder = visit.service.rules, visit.service.imported_dir
    running = Counter(name for rule in ruleset.rules if (name := _import_of(rule.info.source, folder)))
    refused = Counter(name for one in ruleset.refused if (name := _import_of(one.file, folder)))
    tenants = visit.visible_tenants()
    with visit.service.database.read() as tx:
        current = [one for one in imports.current(tx) if may_see(one.tenant, tenants)]
        standing = exceptions.active(tx, visit.now)
    known = {rule.id for rule in ruleset.rules}
    orphans = [one for one in exceptions.orphans(standing, known) if tenants is None or one.tenant in tenants]
    rows = [Row(last=one, rules=running[one.name], refused=refused[one.name]) for one in current]
    return visit.page("rule_imports.html", rows=rows, orphans=orphans)


def _import_of(source: str, folder: Path) -> str:
    """The name of the import that a file belongs to; "" for none."""
    start = f"{folder}/"
    return source[len(start) :].partition("/")[0] if source.startswith(start) else ""


ROUTES: Routes = (Page("GET", "/rules/imports", listing, Permission.RULES_READ),)
