"""``/api/v1/rules``, ``/api/v1/rule-exceptions`` and ``/api/v1/rule-imports``: what runs, what it costs, what was decided."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from identity.principal import Permission
from secops import rule_desk
from secops.api.access import Caller, require
from secops.api.problems import NotFound
from secops.records import Level
from secops.rule_desk import may_see
from secops.rulebook import exceptions as excepting
from secops.rulebook import imports, switches

if TYPE_CHECKING:
    from secops.match.rule import Rule
    from secops.rule_desk import Listed
    from secops.rulebook.exceptions import Excepted

Reader = Annotated[Caller, require(Permission.RULES_READ)]
MOST_REFUSED = 1000


def rules(
    caller: Reader,
    level: Level | None = None,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=200, description="id of the last rule of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List running rules by id, with figures; costs are estimates from samples."""
    wanted = q.lower()
    with caller.service.database.read() as tx:
        found = rule_desk.listing(caller.service, tx, caller.now, tenants=caller.visible_tenants())
    fitting = sorted(
        (one for one in found if one.rule.id > after and _fits(one.rule, level, wanted)), key=lambda one: one.rule.id
    )
    page = fitting[:limit]
    refused = caller.service.rules.refused if caller.visible_tenants() is None else ()  # it names anybody's files
    return {
        "rules": [_listed(one) for one in page],
        "next": page[-1].rule.id if len(fitting) > limit else None,
        "refused": [asdict(one) for one in refused[:MOST_REFUSED]],
        "refused_count": len(refused),
    }


def rule(rule_id: str, caller: Reader) -> dict[str, Any]:
    """Give one rule with its switches and exceptions."""
    tenants = caller.visible_tenants()
    with caller.service.database.read() as tx:
        found = rule_desk.listing(caller.service, tx, caller.now, tenants=tenants)
        one = next((each for each in found if each.rule.id == rule_id), None)
        if one is None:
            raise NotFound
        switched = [each for each in switches.of(tx, rule_id) if may_see(each.tenant, tenants)]
        excepted = [each for each in excepting.of(tx, rule_id) if may_see(each.tenant, tenants)]
    return {
        **_listed(one),
        "description": one.rule.info.description,
        "switches": [asdict(each) for each in switched],
        "exceptions": [_exception(caller, each) for each in excepted],
    }


def exceptions(caller: Reader) -> dict[str, Any]:
    """List the exceptions in force; ``rule_known`` is false for those whose rule is gone."""
    tenants = caller.visible_tenants()
    known = {each.id for each in caller.service.rules.rules}
    with caller.service.database.read() as tx:
        found = [each for each in excepting.active(tx, caller.now) if may_see(each.tenant, tenants)]
    return {"exceptions": [{**_exception(caller, each), "rule_known": each.rule_id in known} for each in found]}


def rule_imports(caller: Reader) -> dict[str, Any]:
    """List the folders that were imported: the last time of each name."""
    tenants = caller.visible_tenants()
    with caller.service.database.read() as tx:
        return {"imports": [asdict(one) for one in imports.current(tx) if may_see(one.tenant, tenants)]}


def _fits(found: Rule, level: Level | None, wanted: str) -> bool:
    info = found.info
    return (level is None or info.level is level) and wanted in f"{info.id} {info.title} {info.title_zh}".lower()


def _listed(one: Listed) -> dict[str, Any]:
    info, stat = one.rule.info, one.stat
    return {
        "id": info.id,
        "title": info.title,
        "title_zh": info.title_zh,
        "level": info.level,
        "kind": one.rule.kind,
        "tags": info.tags,
        "clauses": info.clauses,
        "runbook": info.runbook,
        "tenants": info.tenants,
        "off_for": one.off_for,
        "exceptions_in_force": one.exceptions,
        "imported": one.imported,
        "hits": stat.hits,
        "last_hit": stat.last_hit,
        "hits_by_tenant": stat.by_tenant,
        "evaluated_estimate": stat.evaluated,
        "cpu_us_estimate": stat.cpu_us,
    }


def _exception(caller: Caller, one: Excepted) -> dict[str, Any]:
    return {**asdict(one), "active": one.active(caller.now)}


def router() -> APIRouter:
    """The routes of these nouns."""
    made = APIRouter(tags=["rules"])
    made.add_api_route("/rules", rules, methods=["GET"])
    made.add_api_route("/rules/{rule_id}", rule, methods=["GET"])
    made.add_api_route("/rule-exceptions", exceptions, methods=["GET"])
    made.add_api_route("/rule-imports", rule_imports, methods=["GET"])
    return made
