"""Ties correlation rules to the rules they name; those that name nothing, or themselves in a circle, are refused."""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from secops.match.rule import Correlation, Refusal, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable


def resolve(rules: Iterable[Rule]) -> tuple[list[Rule], list[Refusal]]:
    """Rules with names replaced by ids, correlations after everything they refer to; and the refused.

    A rule that only feeds correlations (none of which says ``generate: true``) gets ``info.alert`` False; a correlation
    of some tenants silences nothing that others rely on.
    """
    read = list(rules)
    refused: list[Refusal] = []
    kept = {rule.id: rule for rule in read if not isinstance(rule.body, Correlation)}
    names = {rule.id: rule.id for rule in read}  # an id means its rule, whatever others call themselves
    for rule in sorted(read, key=lambda each: bool(each.tenants)):  # nor does one of some tenants pass for one of all
        if rule.name:
            names.setdefault(rule.name, rule.id)  # the first to bear a name keeps it: a later one takes nobody's place
    waiting = {rule.id: _with_ids(rule, names) for rule in read if isinstance(rule.body, Correlation)}
    for identity in _order(waiting):
        rule = waiting[identity]
        if missing := [name for name in _referred(rule) if name not in kept]:
            refused.append(_refusal(rule, missing))
        else:
            kept[identity] = rule
    return _mark_fed(kept), refused


def _referred(rule: Rule) -> tuple[str, ...]:
    return rule.body.rules if isinstance(rule.body, Correlation) else ()


def _with_ids(rule: Rule, names: dict[str, str]) -> Rule:
    assert isinstance(rule.body, Correlation)
    aliases = {
        alias: {names.get(name, name): field for name, field in of.items()} for alias, of in rule.body.aliases.items()
    }
    ids = tuple(dict.fromkeys(names.get(name, name) for name in rule.body.rules))
    alternatives = tuple(
        (tuple(names.get(name, name) for name in hit), tuple(names.get(name, name) for name in missing))
        for hit, missing in rule.body.alternatives
    )
    return replace(rule, body=replace(rule.body, rules=ids, aliases=aliases, alternatives=alternatives))


def _order(waiting: dict[str, Rule]) -> list[str]:
    """Correlations so that each comes after those it refers to; members of a circle come as they are."""
    graph = {identity: [name for name in _referred(rule) if name in waiting] for identity, rule in waiting.items()}
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            for identity in error.args[1]:
                graph[identity] = []


def _refusal(rule: Rule, missing: list[str]) -> Refusal:
    listed = ", ".join(missing)
    return Refusal(
        rule.info.source,
        rule.line,
        rule.id,
        f"引用的规则不存在、被拒绝或互相循环：{listed}",
        f"refers to rules that are not there, were refused, or form a circle: {listed}",
    )


def _mark_fed(kept: dict[str, Rule]) -> list[Rule]:
    fed: dict[str, bool] = {}
    for rule in kept.values():
        if isinstance(rule.body, Correlation):
            for name in rule.body.rules:
                if _speaks_for(rule, kept[name]):
                    fed[name] = fed.get(name, False) or rule.body.generate
    return [
        replace(rule, info=replace(rule.info, alert=False)) if not fed.get(identity, True) else rule
        for identity, rule in kept.items()
    ]


def _speaks_for(correlation: Rule, rule: Rule) -> bool:
    """Whether a correlation may silence a rule that it looks at: not for tenants that it does not run for itself."""
    return rule.within(correlation.tenants)
