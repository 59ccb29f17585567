"""pySigma as a second oracle: its reading of a rule, evaluated the most obvious way, gives our hits.

Left out is what pySigma 2 reads otherwise than the specification: patterns of selections matched as prefixes, and typographic
dashes written in a rule.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from sigma import conditions, types
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from secops.match.atoms import evaluate
from secops.match.engine import Engine
from secops.match.load import load_rules
from secops.match.rule import Detection
from tests.match.conftest import rule
from tests.match.corpus import sigmahq, windows_events
from tests.match.naive import Event, lower, pattern, text_of, texts
from tests.match.test_engine import EVENTS, detections

Check = Callable[[Event], bool]


def tree(condition: Any) -> Check:
    """A condition of pySigma as a function of an event."""
    if isinstance(condition, conditions.ConditionFieldEqualsValueExpression):
        return leaf(condition.field, condition.value)
    if isinstance(condition, conditions.ConditionValueExpression):
        return leaf(None, condition.value)
    children = [tree(child) for child in condition.args]
    if isinstance(condition, conditions.ConditionNOT):
        return lambda event: not children[0](event)
    if isinstance(condition, conditions.ConditionAND):
        return lambda event: all(child(event) for child in children)
    assert isinstance(condition, conditions.ConditionOR)
    return lambda event: any(child(event) for child in children)


def leaf(field: str | None, value: Any) -> Check:
    """One field and one value of pySigma."""
    if isinstance(value, types.SigmaNull):
        return lambda event: event.get(field) is None
    if isinstance(value, types.SigmaExists):
        return lambda event: (field in event) == value.exists
    if isinstance(value, types.SigmaExpansion):
        each = [leaf(field, one) for one in value.values]
        return lambda event: any(one(event) for one in each)
    if isinstance(value, types.SigmaFieldReference):
        return lambda event: any(
            related(a, b, value) for a in texts(event, field or "") for b in texts(event, value.field)
        )
    check = of_text(value, bare=field is None)
    if field is None:
        return lambda event: any(check(text) for name in event for text in texts(event, name))
    return lambda event: any(check(text) for text in texts(event, field))


def related(ours: str, theirs: str, reference: types.SigmaFieldReference) -> bool:
    ours, theirs = lower(ours), lower(theirs)
    if reference.starts_with:
        return theirs in ours if reference.ends_with else ours.startswith(theirs)
    return ours.endswith(theirs) if reference.ends_with else ours == theirs


def of_text(value: Any, *, bare: bool) -> Callable[[str], bool]:
    if isinstance(value, types.SigmaRegularExpression):
        letters = {"IGNORECASE": re.IGNORECASE, "MULTILINE": re.MULTILINE, "DOTALL": re.DOTALL}
        source = str(value.regexp)
        flags = sum((letters[flag.name] for flag in value.flags), re.ASCII if source.isascii() else re.NOFLAG)
        search = re.compile(source, flags).search
        return lambda text: search(text) is not None
    if isinstance(value, types.SigmaCIDRExpression):
        return lambda text: inside(text, value.network)
    if isinstance(value, types.SigmaCompareExpression):
        name, number = value.op.name.lower(), float(value.number.number)
        return lambda text: compares(text, name, number)
    if isinstance(value, types.SigmaNumber) and isinstance(value.number, float):
        return lambda text: compares(text, "eq", value.number)
    return of_string(value, bare=bare)


def of_string(value: Any, *, bare: bool) -> Callable[[str], bool]:
    if isinstance(value, types.SigmaString):
        marks = {types.SpecialChars.WILDCARD_MULTI: "*", types.SpecialChars.WILDCARD_SINGLE: "?"}
        tokens = [
            ("lit", char) if isinstance(part, str) else ("wild", marks[part])
            for part in value.s
            for char in (part if isinstance(part, str) else [part])
        ]
    else:
        plain = value.number if isinstance(value, types.SigmaNumber) else value.boolean
        tokens = [("lit", char) for char in text_of(plain) or ""]
    if bare:
        tokens = [("wild", "*"), *tokens, ("wild", "*")]
    return pattern(tokens, cased=isinstance(value, types.SigmaCasedString))


def inside(text: str, network: Any) -> bool:
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        return False


def compares(text: str, name: str, number: float) -> bool:
    try:
        ours = float(text)
    except ValueError:
        return False
    return {
        "lt": ours < number,
        "lte": ours <= number,
        "gt": ours > number,
        "gte": ours >= number,
        "eq": ours == number,
    }[name]


def read(text: str) -> Check:
    """A rule as pySigma reads it."""
    parsed = [tree(condition.parsed) for condition in SigmaRule.from_yaml(text).detection.parsed_condition]
    return lambda event: any(check(event) for check in parsed)


def alike(detection: dict[str, Any]) -> bool:
    """Whether pySigma reads the detection as the specification does."""
    text = yaml.safe_dump(detection, allow_unicode=True)
    if re.search(r"'\|[a-z0-9|]*(startswith|endswith)", text):
        return False  # a keyword that says where it begins or ends is anchored; pySigma leaves that to its backends
    return not re.search(r"[–—―%]|\b(of f_|of _)|hour", text) and "null" not in text.partition("|all")[0]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(detection=detections().filter(alike), events=st.lists(EVENTS, min_size=1, max_size=6))
def test_made_up_rules(tmp_path: Path, detection: dict[str, Any], events: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump(rule(detection), allow_unicode=True, sort_keys=False)
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    found = load_rules([tmp_path / "rules.yml"])
    assert found.refused == ()
    try:
        check = read(text)
    except SigmaError:  # it is stricter: no number may be part of a text
        reject()
    assert [hit.index for hit in Engine(found.rules).match(events)] == [
        index for index, event in enumerate(events) if check(event)
    ]


@pytest.mark.timeout(900)
def test_sigmahq(tmp_path: Path) -> None:
    """Every rule over every 300th corpus event, whatever its log source."""
    folder = sigmahq(tmp_path)
    events = [orjson.loads(line) for line in windows_events()[::300]]
    found = load_rules(sorted(folder.glob("rules*")))
    different = []
    for each in found.rules:
        assert isinstance(each.body, Detection)
        check = read(Path(each.info.source).read_text(encoding="utf-8"))
        expression = each.body.expression
        if any(evaluate(expression, event) != check(event) for event in events):
            different.append(each.info.source)
    assert different == []
