"""Rules: what is running, how often and at what cost, what was refused and why; one rule with everything known of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from identity.principal import Permission
from secops import rule_desk
from secops.alert.attack import tactics_of, techniques_of
from secops.api.problems import NotFound
from secops.console import rule_list, rule_versions
from secops.console.tickets import organisation_names
from secops.console.visit import Page, Routes, member
from secops.match.rule import Correlation, Detection
from secops.match.source import document_at
from secops.records import Level
from secops.rulebook import drafts, exceptions, stats, switches

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.errors import UserError
    from secops.match.rule import Rule
    from secops.rulebook.exceptions import Excepted
    from secops.rulebook.stats import RuleStat
    from secops.rulebook.switches import Switch

PAGE: Final = 100
SHOWN_REFUSED: Final = 200
MOST_SOURCE: Final = 100_000  # bytes of a rule's text on its page
CITY: Final = "city"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What people decided about a rule and what came of it, as far as the visitor may see it."""

    stat: RuleStat
    switches: list[Switch]
    exceptions: list[Excepted]
    versions: list[drafts.Version]
    running: int | None


def listing(visit: Visit) -> Response:
    """The rules that fit, a page of them, and every refusal."""
    ruleset = visit.service.rules
    asked = _asked(visit)
    everything = rule_list.rows(visit)
    found = rule_list.arrange(everything, asked)
    first = _number(visit.query("from", limit=9))
    return visit.page(
        "rules.html",
        ruleset=ruleset,
        asked=asked,
        count=len(everything),
        found=len(found),
        rows=found[first : first + PAGE],
        previous=_link(asked, max(first - PAGE, 0)) if first else None,
        following=_link(asked, first + PAGE) if len(found) > first + PAGE else None,
        kinds=sorted({row.rule.kind for row in everything}),
        imports=sorted({row.imported for row in everything if row.imported}),
        levels=list(reversed(Level)),
        names=organisation_names(visit),
        status=visit.service.status()["detect"],
        withdrawn=rule_versions.withdrawn(visit) if visit.can(Permission.RULES_MANAGE) and not first else (),
        refused=ruleset.refused[:SHOWN_REFUSED] if visit.visible_tenants() is None else (),
    )


def detail(visit: Visit) -> Response:
    """One rule."""
    return page_of(visit, find(visit))


def page_of(
    visit: Visit, rule: Rule, *, wrong: UserError | None = None, typed: dict[str, str] | None = None
) -> Response:
    """A rule's page; after a form that was refused, with the reason and what was typed."""
    rules = {one.id: one for one in rule_desk.visible(visit.service, visit.visible_tenants())}
    body = rule.body
    return visit.page(
        "rule.html",
        200 if wrong is None else 400,
        rule=rule,
        known=(known := _known(visit, rule)),
        written=rule_versions.written(visit, known.versions),
        looks_at=[rules[one] for one in body.rules if one in rules] if isinstance(body, Correlation) else [],
        feeds=[one for one in rules.values() if isinstance(one.body, Correlation) and rule.id in one.body.rules],
        source=_source(rule),
        tactics=tactics_of(rule.info.tags, visit.service.tactics),
        techniques=techniques_of(rule.info.tags),
        imported=rule_desk.imported_by(visit.service, rule),
        alike=[
            one
            for one in rule_desk.look_alikes(visit.service, list(rules.values()))
            if rule.id in {one.rule.id, one.like.id}
        ],
        text=source_text(rule),
        names=organisation_names(visit),
        tenants=manageable(visit),
        everywhere=manages(visit, ""),
        wrong=wrong,
        typed=typed or {},
    )


def find(visit: Visit) -> Rule:
    """The rule of the address, if the visitor may know of it.

    Raises:
        NotFound: there is none, or it is another tenant's own.
    """
    rule = rule_list.known(visit, visit.part("rule_id"))
    if rule is None:
        raise NotFound
    return rule


def manages(visit: Visit, tenant: str) -> bool:
    """Whether the visitor may decide about rules for ``tenant``; "" is every tenant, the city's own matter."""
    return visit.can(Permission.RULES_MANAGE, visit.tenant(tenant or CITY))


def manageable(visit: Visit) -> list[Any]:
    """The organisations for which the visitor may decide."""
    return [one for one in visit.service.identity.organizations() if manages(visit, one.id)]


def source_text(rule: Rule) -> str:
    """The rule's own document out of its file; "" when the file is gone or very large."""
    try:
        text = Path(rule.info.source).read_bytes()[: MOST_SOURCE + 1].decode("utf-8", "replace")
    except OSError:
        return ""
    if len(text) > MOST_SOURCE:
        return ""
    return document_at(text, rule.line)


def _source(rule: Rule) -> str:
    """The log source as rules write it; "" for a correlation, which has none of its own."""
    body = rule.body
    if isinstance(body, Correlation):
        return ""
    named = body.logsource if isinstance(body, Detection) else body.source
    parts = {"product": named.product, "category": named.category, "service": named.service}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value)


def _known(visit: Visit, rule: Rule) -> Known:
    tenants, folder = visit.visible_tenants(), visit.service.console_rules_dir
    with visit.service.database.read() as tx:
        return Known(
            stat=stats.visible(stats.all(tx).get(rule.id) or stats.RuleStat(), tenants),
            switches=[one for one in switches.of(tx, rule.id) if rule_desk.may_see(one.tenant, tenants)],
            exceptions=[one for one in exceptions.of(tx, rule.id) if rule_desk.may_see(one.tenant, tenants)],
            versions=drafts.versions(tx, rule.id),
            running=drafts.running_version(tx, folder, rule.id),
        )


def _asked(visit: Visit) -> rule_list.Asked:
    level, kind = member(Level, visit.query("level")), visit.query("kind", limit=40)
    state, sort = visit.query("state"), visit.query("sort")
    return rule_list.Asked(
        text=visit.query("q", limit=100),
        level=level.value if level else "",
        kind=kind,
        state=state if state in rule_list.STATES else "",
        origin=visit.query("origin", limit=80),
        sort=sort if sort in rule_list.SORTS else "level",
    )


def _link(asked: rule_list.Asked, first: int) -> str:
    fields = {
        "q": asked.text,
        "level": asked.level,
        "kind": asked.kind,
        "state": asked.state,
        "origin": asked.origin,
        "sort": asked.sort,
    }
    return "/rules?" + urlencode({name: value for name, value in {**fields, "from": first or ""}.items() if value})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


ROUTES: Routes = (
    Page("GET", "/rules", listing, Permission.RULES_READ),
    Page("GET", "/rules/{rule_id}", detail, Permission.RULES_READ),
)
