"""What more rules cost: 64 times as many, and a condition in each of them that nearly every event satisfies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.bench.examples import example_events, mixed
from secops.bench.figures import Figure, stopwatch
from secops.match.engine import Engine
from secops.match.load import load_rules
from secops.match.rule import And, Atom, Detection, Not, Or, Pattern, Regex, Rule, Wild
from secops.rule_source import content_dir

if TYPE_CHECKING:
    from pathlib import Path

    from secops.match.rule import Expression
    from secops.records import Event

TIMES: Final = 64
EVENTS: Final = 20_000
BATCH: Final = 500
COMMON: Final = ("Channel", "organization.id", "event.kind")  # fields that index keys chosen blindly would fall for


def measure(events: Path | None = None, rules: Path | None = None) -> list[Figure]:
    """Time per event beside that with the rules as they are."""
    own = content_dir() / "rules"
    found = load_rules([rules] if rules is not None else [own / "detection"])
    plain = found.detections
    made = _given(events) if events is not None else list(mixed(example_events(found), EVENTS))
    many = [rule for number in range(TIMES) for rule in (_varied(each, number) for each in plain)]
    common = [_with_common(rule, made) for rule in plain]
    figures: list[Figure] = []
    for cached in (True, False):
        word = "cached" if cached else "uncached"
        base = _seconds(plain, made, cached=cached)
        figures += [
            Figure(name=f"one event, {word}", value=base * 1e6, unit="us", note=f"{len(plain)} rules"),
            _ratio(f"{TIMES} times the rules, {word}", _seconds(many, made, cached=cached) / base, 4.0, len(many)),
            _ratio(
                f"a common condition in each, {word}", _seconds(common, made, cached=cached) / base, 1.5, len(common)
            ),
        ]
    return figures


def _ratio(name: str, value: float, bar: float, rules: int) -> Figure:
    return Figure(name=name, value=value, unit="x the time", bar=bar, higher_is_better=False, note=f"{rules:,} rules")


def _given(events: Path) -> list[Event]:
    lines = events.read_bytes().splitlines()[:EVENTS]
    return [orjson.loads(line) for line in lines]


def _seconds(rules: list[Rule] | tuple[Rule, ...], events: list[Event], *, cached: bool) -> float:
    """CPU seconds an event, the least of three rounds after one in which plans are made; witnesses are chosen on the way."""
    engine = Engine(rules, cached=cached)
    rounds = [_round(engine, events) for _ in range(4)]
    return min(rounds[1:]) / len(events)


def _round(engine: Engine, events: list[Event]) -> float:
    batches = [[dict(event) for event in events[start : start + BATCH]] for start in range(0, len(events), BATCH)]
    with stopwatch() as watch:
        for batch in batches:
            engine.find(batch)
    return watch.cpu


def _varied(rule: Rule, number: int) -> Rule:
    """A rule like another, with texts of its own."""
    if number == 0:
        return rule
    assert isinstance(rule.body, Detection)
    body = replace(rule.body, expression=_changed(rule.body.expression, f"~{number}"))
    return replace(rule, info=replace(rule.info, id=f"{rule.id}-{number}"), body=body)


def _changed(expression: Expression, mark: str) -> Expression:
    if isinstance(expression, Not):
        return Not(_changed(expression.child, mark))
    if isinstance(expression, (And, Or)):
        return type(expression)(tuple(_changed(child, mark) for child in expression.children))
    test: Any = expression.test
    if isinstance(test, Pattern) and expression.field not in {"EventID", *COMMON}:
        longest = max((part for part in test.parts if not isinstance(part, Wild)), key=len, default="")
        if longest:
            parts = tuple(part[:-1] + mark + part[-1] if part is longest else part for part in test.parts)
            return Atom(expression.field, replace(test, parts=parts))
    if isinstance(test, Regex):
        return Atom(expression.field, replace(test, pattern=f"(?:{test.pattern}){mark}"))
    return expression


def _with_common(rule: Rule, events: list[Event]) -> Rule:
    """The rule with a condition that the first event satisfies, and with it nearly all."""
    assert isinstance(rule.body, Detection)
    field = next(name for name in COMMON if name in events[0])
    condition = Atom(field, Pattern((str(events[0][field]),)))
    return replace(rule, body=replace(rule.body, expression=And((condition, rule.body.expression))))
