"""Ties correlation rules to the rules they name; those that name nothing, or themselves in a circle, are refused."""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final

from secops.match.rule import OWNER, Correlation, Refusal, Rule
from secops.match.source import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secops.match.filters import Filter


MAX_OWN_ID: Final = 200  # characters; what is stored of a rule bears its id


def own_id(read: Rule | Filter, tenant: str) -> Rule | Filter:
    """A rule or filter of a tenant's folder under the id that is this tenant's own: ``ID@TENANT``.

    Raises:
        RuleError: that would be too long.
    """
    identity = f"{read.id}{OWNER}{tenant}"
    if len(identity) > MAX_OWN_ID:
        raise RuleError(read.line, f"编号 {identity} 过长", f"id {identity} is longer than {MAX_OWN_ID} characters")
    if isinstance(read, Rule):
        return replace(read, info=replace(read.info, id=identity))
    return replace(read, id=identity)


def resolve(rules: Iterable[Rule]) -> tuple[list[Rule], list[Refusal]]:
    """Rules with names replaced by ids, correlations after everything they refer to; and the refused.

    A correlation of some tenants refers to rules of all and to rules of these tenants, by whatever word; to it others'
    rules are not there. A rule that only feeds correlations (none of which says ``generate: true``) gets ``info.alert``
    False; a correlation of some tenants silences nothing that others rely on.
    """
    read = list(rules)
    refused: list[Refusal] = []
    kept = {rule.id: rule for rule in read if not isinstance(rule.body, Correlation)}
    words = _words(read)
    waiting = {rule.id: _with_ids(rule, words) for rule in read if isinstance(rule.body, Correlation)}
    for identity in _order(waiting):
        rule = waiting[identity]
        if missing := [name for name in _referred(rule) if name not in kept]:
            refused.append(_refusal(rule, missing))
        else:
            kept[identity] = rule
    return _mark_fed(kept), refused


def _words(read: list[Rule]) -> dict[str, list[Rule]]:
    """The rules that a word may mean, the first of them first: an id before what others call themselves.

    Nor does a rule of some tenants pass for one of all, and the first to bear a name keeps it.
    """
    words: dict[str, list[Rule]] = {rule.id: [rule] for rule in read}
    for rule in sorted(read, key=lambda each: bool(each.tenants)):
        if rule.written_id != rule.id:
            words.setdefault(rule.written_id, []).append(rule)
        if rule.name:
            words.setdefault(rule.name, []).append(rule)
    return words


def _meant(word: str, rule: Rule, words: dict[str, list[Rule]]) -> str:
    """The id of the rule that a word of a correlation means; the word as it is, which is no rule's id, for none."""
    for found in words.get(word, ()):
        if not found.tenants or (word == found.id and not rule.tenants) or set(rule.tenants) & set(found.tenants):
            return found.id
    return f"{word} "


def _referred(rule: Rule) -> tuple[str, ...]:
    return rule.body.rules if isinstance(rule.body, Correlation) else ()


def _with_ids(rule: Rule, words: dict[str, list[Rule]]) -> Rule:
    assert isinstance(rule.body, Correlation)

    def meant(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(_meant(name, rule, words) for name in names)

    aliases = {alias: dict(zip(meant(of), of.values(), strict=True)) for alias, of in rule.body.aliases.items()}
    ids = tuple(dict.fromkeys(meant(rule.body.rules)))
    alternatives = tuple((meant(hit), meant(missing)) for hit, missing in rule.body.alternatives)
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
    listed = ", ".join(name.rstrip() for name in missing)
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
