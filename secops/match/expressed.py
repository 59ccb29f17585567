"""Reads the expressions that temporal correlations may have as their condition: ``(a and b) or (a and not c)``.

What is kept of one is its alternatives: rules that must have hit within the timespan, in the order in which they are
written (which matters to ``temporal_ordered`` only), and rules that must not have. An expression is looked at when a
rule hits, so what is excluded must have been seen by then: a hit that comes afterwards takes nothing back.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

from secops.match.conditions import parse_condition
from secops.match.rule import And, Atom, Exists, Not
from secops.match.source import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.match.rule import Alternative, Expression

MAX_ALTERNATIVES: Final = 64
_WORD: Final = re.compile(r"[\w.-]+")
_RESERVED: Final = frozenset({"and", "or", "not", "of", "them", "all", "any", "1"})


def read_expression(text: str, rules: Sequence[str], line: int) -> tuple[tuple[str, ...], tuple[Alternative, ...]]:
    """The rules that an expression is about, and its alternatives; without ``rules`` those that it names.

    Raises:
        RuleError: it cannot be read, names a rule that is not among ``rules``, leaves one of them out, or would hold
            where no rule has hit.
    """
    words = [word for word in _WORD.findall(text[:10_000]) if word.lower() not in _RESERVED]
    names = tuple(dict.fromkeys(rules or words))
    expression = parse_condition(text, {name: Atom(name, Exists(True)) for name in names}, line)
    alternatives = tuple(dict.fromkeys(_alternatives(expression, line, positive=True)))
    used = {name for hit, missing in alternatives for name in (*hit, *missing)}
    if idle := [name for name in names if name not in used]:
        raise RuleError(line, f"条件没有用到 {idle[0]}", f"correlation condition: {idle[0]} is listed but not used")
    if not alternatives or not all(hit for hit, _ in alternatives):
        raise RuleError(
            line,
            "条件须要求至少一条规则命中，仅有 not 无法判断",
            "correlation condition: it must ask for a hit of some rule; not alone is never looked at",
        )
    return names, alternatives


def _alternatives(expression: Expression, line: int, *, positive: bool) -> list[Alternative]:
    if isinstance(expression, Atom):
        name = str(expression.field)
        return [((name,), ())] if positive else [((), (name,))]
    if isinstance(expression, Not):
        return _alternatives(expression.child, line, positive=not positive)
    parts = [_alternatives(child, line, positive=positive) for child in expression.children]
    if isinstance(expression, And) != positive:
        found = [each for part in parts for each in part]
    else:
        found = [((), ())]
        for part in parts:
            found = [each for one, other in product(found, part) if (each := _both(one, other)) is not None]
            _bounded(found, line)
    _bounded(found, line)
    return found


def _both(one: Alternative, other: Alternative) -> Alternative | None:
    """What both ask for; None when they contradict one another."""
    hit = tuple(dict.fromkeys((*one[0], *other[0])))
    missing = tuple(dict.fromkeys((*one[1], *other[1])))
    return None if set(hit).intersection(missing) else (hit, missing)


def _bounded(found: Sequence[Alternative], line: int) -> None:
    if len(found) > MAX_ALTERNATIVES:
        raise RuleError(
            line,
            f"条件展开后超过 {MAX_ALTERNATIVES} 种情形",
            f"correlation condition: more than {MAX_ALTERNATIVES} alternatives when written out",
        )
