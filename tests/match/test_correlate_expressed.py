"""Temporal correlations whose condition is an expression over rules."""

from __future__ import annotations

import re
from typing import Any

import pytest

from secops.match.rule import RuleSet
from tests.match.conftest import Documents, correlation, rule
from tests.match.test_correlate import NAMES, event, run


@pytest.mark.parametrize(
    ("condition", "kinds", "fires"),
    [
        ("a and b", "ab", True),
        ("a and b", "ba", True),
        ("a and b", "aa", False),
        ("a or (b and c)", "a", True),
        ("a or (b and c)", "b", False),
        ("a or (b and c)", "cb", True),
        ("a and not b", "a", True),
        ("a and not b", "ba", False),
        ("(a or b) and not c", "cab", False),
        ("not (not a or b) and not c", "a", True),
        ("2 of them", "", None),
    ],
)
def test_a_temporal_condition_may_be_an_expression(
    load: Documents, condition: str, kinds: str, *, fires: bool | None
) -> None:
    found = expressed(load, "temporal", condition)
    if fires is None:
        assert "only 1, any and all" in found.refused[0].en
        return
    assert bool(run(found, [event(at, kind) for at, kind in enumerate(kinds)])) == fires


def expressed(load: Documents, kind: str, condition: str, **more: Any) -> RuleSet:
    documents = [rule({"s": {"kind": name}, "condition": "s"}, at, name=name) for at, name in enumerate(NAMES, 1)]
    return load(*documents, correlation({"type": kind, "timespan": "60s", "condition": condition, **more}))


@pytest.mark.parametrize(
    ("kinds", "fires"), [("abc", True), ("acb", True), ("ac", True), ("bac", True), ("ca", False), ("cba", False)]
)
def test_an_ordered_condition_asks_for_the_order_in_which_it_names_the_rules(
    load: Documents, kinds: str, *, fires: bool
) -> None:
    found = expressed(load, "temporal_ordered", "(a and b and c) or (a and c and not b) or (b and a and c)")
    assert bool(run(found, [event(at, kind) for at, kind in enumerate(kinds)])) == fires


def test_an_expression_counts_what_is_within_the_timespan(load: Documents) -> None:
    found = expressed(load, "temporal", "a and not b")
    assert run(found, [event(0, "b"), event(59.9, "a")]) == []
    assert run(found, [event(0, "b"), event(60, "a")])


@pytest.mark.parametrize(
    ("kind", "condition", "rules", "said"),
    [
        ("temporal", "not a", None, "hit of some rule"),
        ("temporal", "a or not b", None, "hit of some rule"),
        ("temporal", "a and d", ["a", "b"], "d"),
        ("temporal", "a", ["a", "b"], "b is listed but not used"),
        ("temporal", "a and", None, "selection is expected"),
        ("temporal", "a and not a", None, "a is listed but not used"),
        ("event_count", "a and b", None, "only temporal types"),
        ("temporal", " and ".join(f"(a{n} or b{n})" for n in range(9)), None, "more than 64"),
        ("temporal", "a and d", None, "refers to rules that are not there"),
    ],
)
def test_expressions_that_cannot_be_meant_are_refused(
    load: Documents, kind: str, condition: str, rules: list[str] | None, said: str
) -> None:
    found = expressed(load, kind, condition, **({"rules": rules} if rules else {}))
    assert said in found.refused[0].en
    assert re.search(r"[\u4e00-\u9fff]", found.refused[0].zh)
