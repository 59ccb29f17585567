"""Reads a rule's ``detection`` section into one expression."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from secops.match.atoms import atoms_of
from secops.match.conditions import all_of, any_of, parse_condition
from secops.match.items import Item, Modifier
from secops.match.modifiers import MANY, MODIFIERS, finish
from secops.match.regex import Allowance
from secops.match.rule import Atom, IsNull, Not, Pattern
from secops.match.source import Block, Items, RuleError
from secops.match.text import join_parts, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.match.rule import Expression

_FIRST = "expand"  # applied before all others, to the text as written
_RAW = frozenset({_FIRST, "re"})  # these take the text as written, before wildcards are looked for
_NULL_MODIFIERS = frozenset({"all", "neq"})
_AFFIXES = frozenset({"contains", "startswith", "endswith"})

MAX_TESTS = 100_000  # of one rule, after all modifiers


@dataclass(slots=True)
class _Scope:
    """What the selections of one rule are read with."""

    placeholders: Mapping[str, tuple[str, ...]]
    regexes: Allowance = field(default_factory=Allowance)
    left: int = MAX_TESTS

    def spend(self, tests: int, line: int) -> None:
        self.left -= tests
        if self.left < 0:
            raise RuleError(
                line,
                f"规则的取值共超过 {MAX_TESTS} 个，请改用指标列表",
                f"more than {MAX_TESTS} values in one rule: write an indicator list instead",
            )


def read_detection(
    detection: object,
    line: int,
    placeholders: Mapping[str, tuple[str, ...]],
    regexes: Allowance | None = None,
) -> Expression:
    """The expression of a ``detection`` mapping; ``regexes`` is charged with its regular expressions.

    Raises:
        RuleError: some part of it is not understood.
    """
    if not isinstance(detection, Block):
        raise RuleError(line, "缺少 detection 部分", "the detection section is missing or not a mapping")
    if "timeframe" in detection:
        raise RuleError(
            detection.at("timeframe"),
            "timeframe 已废弃，请改写为关联规则",
            "timeframe is not part of Sigma any more: write a correlation rule",
        )
    scope = _Scope(placeholders, regexes or Allowance())
    selections = {
        name: _selection(body, detection.at(name), scope) for name, body in detection.items() if name != "condition"
    }
    expression = read_condition(detection, selections)
    named = sum(1 for _ in itertools.islice(atoms_of(expression), MAX_TESTS + 1))
    _Scope({}).spend(named, detection.at("condition"))  # a condition may name a selection many times
    return expression


def read_selection(body: object, line: int) -> Expression:
    """The expression of one selection (a mapping, or a list of which one entry must hold), without placeholders.

    Raises:
        RuleError: some part of it is not understood.
    """
    return _selection(body, line, _Scope({}))


def read_condition(block: Block, selections: Mapping[str, Expression]) -> Expression:
    """The expression of ``condition``: one text, or a list of texts of which one must hold."""
    condition, line = block.get("condition"), block.at("condition")
    texts = condition if isinstance(condition, list) else [condition]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RuleError(line, "缺少 condition", "condition is missing or not text")
    return any_of(parse_condition(str(text), selections, line) for text in texts)


def _selection(body: object, line: int, scope: _Scope) -> Expression:
    if isinstance(body, Block):
        if not body:
            raise RuleError(line, "选择项为空", "a selection is empty")
        return all_of(_item(key, value, body.at(key), scope) for key, value in body.items())
    if isinstance(body, Items):
        if not body:
            raise RuleError(line, "选择项为空", "a selection is empty")
        return any_of(_selection(each, at, scope) for each, at in zip(body, body.lines, strict=True))
    return _keyword(body, line)


def _keyword(value: object, line: int) -> Expression:
    item = Item(line, (), {}).having((parse_value(value),))
    return _atom(item, None, item.values[0], bare=True)


def parse_value(value: object) -> object:
    """A scalar as written: text becomes a pattern, everything else stays."""
    return Pattern(parse_pattern(value)) if isinstance(value, str) else value


def _item(key: str, value: object, line: int, scope: _Scope) -> Expression:
    name, *names = key.split("|")
    values = tuple(value) if isinstance(value, Items) else (value,)
    if not values or any(isinstance(each, (Block, Items)) for each in values):
        raise RuleError(line, f"{key!r} 的取值必须是值或值的列表", f"{key!r}: a value or a list of values is expected")
    chain = [_modifier(name, line) for name in sorted(names, key=lambda name: name != _FIRST)]
    item = Item(line, (), scope.placeholders, name or None, tuple(names), scope.regexes)
    item = item.having(values if _RAW.intersection(names) else map(parse_value, values))
    groups = [item.having((value,)) for value in item.values] if "all" in names else [item]
    found = all_of(_changed(each, chain, scope) for each in groups)
    return Not(found) if "neq" in names else found


def _changed(item: Item, chain: Sequence[Modifier], scope: _Scope) -> Expression:
    """What an item means after its modifiers: any of its values, of which modifiers may have made more."""
    for modifier in chain:
        if None in item.values and modifier.name not in _NULL_MODIFIERS:
            raise item.error(f"null 不能使用修饰符 {modifier.name}", f"null cannot take the modifier {modifier.name}")
        item = modifier.apply(item)
    scope.spend(len(item.values), item.line)
    bare = not _AFFIXES.intersection(item.names)
    return any_of(dict.fromkeys(_atom(item, item.field, each, bare=bare) for each in item.values))


def _modifier(name: str, line: int) -> Modifier:
    kind = MODIFIERS.get(name)
    if kind is None:
        known = ", ".join(sorted(MODIFIERS))
        raise RuleError(line, f"未知的修饰符 {name!r}", f"unknown modifier {name!r}; known are: {known}")
    return kind()


def _atom(item: Item, field: str | None, value: object, *, bare: bool) -> Expression:
    if value is None:
        if field is None:
            raise item.error("关键字不能是 null", "a keyword cannot be null")
        return Atom(field, IsNull())
    test = finish(item, value)
    if field is None and isinstance(test, Pattern) and bare:
        test = replace(test, parts=join_parts(MANY, test.parts, MANY))
    return Atom(field, test)
