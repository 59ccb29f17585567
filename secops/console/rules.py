"""Rules: what is running, what was refused and why, and each rule's own examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from identity.principal import Permission
from secops.api.problems import NotFound
from secops.console.visit import Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit


def listing(visit: Visit) -> Response:
    """Every rule by level, the gravest first, and every refusal."""
    ruleset = visit.service.rules
    wanted = visit.query("q", limit=100).lower()
    rules = [rule for rule in ruleset.rules if wanted in f"{rule.id} {rule.info.title} {rule.info.title_zh}".lower()]
    rules.sort(key=lambda rule: (-rule.info.level.rank, rule.info.title))
    return visit.page("rules.html", ruleset=ruleset, rules=rules, status=visit.service.status()["detect"])


def detail(visit: Visit) -> Response:
    """One rule with its examples."""
    wanted = visit.part("rule_id")
    rule = next((one for one in visit.service.rules.rules if one.id == wanted), None)
    if rule is None:
        raise NotFound
    return visit.page("rule.html", rule=rule)


ROUTES: Routes = (
    Page("GET", "/rules", listing, Permission.RULES_READ),
    Page("GET", "/rules/{rule_id}", detail, Permission.RULES_READ),
)
