"""Sigma filters: exceptions kept apart from the rules, so that an update of the rules leaves them alone.

A filter names rules (or ``any``) and a log source; each such rule then also needs the filter's condition to hold. A
filter of some tenants is about the rules of these alone: what runs for others too is not theirs to narrow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secops.match.conditions import all_of
from secops.match.correlations import read_texts
from secops.match.rule import Correlation, LogSource, Refusal, Rule
from secops.match.selections import read_detection
from secops.match.source import Block, RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from secops.match.regex import Allowance
    from secops.match.rule import Expression

ANY: Final = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter document."""

    id: str
    file: str
    line: int
    rules: tuple[str, ...]  # ids or names; empty: any
    logsource: LogSource
    expression: Expression
    tenants: tuple[str, ...] = ()  # whose rules; (): everybody's

    def means(self, rule: Rule) -> bool:
        """Whether the filter is about this rule."""
        named = {rule.id, rule.written_id, rule.name}
        if isinstance(rule.body, Correlation) or (self.rules and not named.intersection(self.rules)):
            return False
        if not rule.within(self.tenants):
            return False
        ours, theirs = self.logsource, rule.body.detection.logsource
        pairs = ((ours.product, theirs.product), (ours.category, theirs.category), (ours.service, theirs.service))
        return all(not wanted or wanted == found for wanted, found in pairs)


def read_filter(
    section: object,
    logsource: LogSource,
    place: tuple[str, str, int],
    placeholders: Mapping[str, tuple[str, ...]],
    regexes: Allowance,
) -> Filter:
    """A filter from its ``filter`` section; ``place`` is (id, file, line).

    Raises:
        RuleError: some part of it is not understood.
    """
    identity, file, line = place
    if not isinstance(section, Block) or "rules" not in section:
        raise RuleError(
            line, "filter 应为映射，且写明 rules", "filter must be a mapping that says which rules (or any)"
        )
    rules = read_texts(section["rules"], section.at("rules"))
    detection = Block(section.line)
    detection.lines = section.lines
    detection.update({key: value for key, value in section.items() if key != "rules"})
    return Filter(
        id=identity,
        file=file,
        line=line,
        rules=() if rules == (ANY,) else rules,
        logsource=logsource,
        expression=read_detection(detection, line, placeholders, regexes),
    )


def apply_filters(rules: Iterable[Rule], filters: Sequence[Filter]) -> tuple[list[Rule], list[Refusal]]:
    """Rules with the conditions of the filters that are about them; filters that are about no rule are refused."""
    used: set[str] = set()
    filtered: list[Rule] = []
    for rule in rules:
        mine = [each for each in filters if each.means(rule)]
        used.update(each.id for each in mine)
        filtered.append(_narrowed(rule, [each.expression for each in mine]))
    return filtered, [_idle(each) for each in filters if each.id not in used]


def _narrowed(rule: Rule, conditions: Sequence[Expression]) -> Rule:
    """The rule, with further conditions on its events."""
    body = rule.body
    if not conditions or isinstance(body, Correlation):
        return rule
    own = () if body.expression is None else (body.expression,)
    return replace(rule, body=replace(body, expression=all_of([*own, *conditions])))


def _idle(each: Filter) -> Refusal:
    return Refusal(
        each.file,
        each.line,
        each.id,
        "过滤器没有对应的规则：检查 rules 和 logsource",
        "the filter is about no rule: look at its rules and its log source",
    )
