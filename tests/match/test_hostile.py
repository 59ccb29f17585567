"""Input made to stop the engine: time per event stays bounded, others are unharmed, the message is clear."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from secops.match.detector import Detector
from secops.match.engine import MAX_SIGNATURES, Engine
from secops.match.scan import Databases
from tests.match.conftest import Documents, rule

CATASTROPHIC = ["(a+)+$", "(a|aa)+$", "(.*a){12}b", r"^(\w+\s?)*$", "(x+x+)+y"]
LONG = 1_000_000
WINDOWS = {"product": "windows", "service": "security"}


def seconds(engine: Engine, event: dict[str, Any]) -> float:
    engine.match([{"f": "warm"}])
    started = time.process_time()
    engine.match([event])
    return time.process_time() - started


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("text", ["a" * LONG + "!", "x" * LONG, "ab " * (LONG // 3), "\\" * LONG, "中" * (LONG // 3)])
def test_a_megabyte_in_one_field_with_regexes_made_to_explode(load: Documents, text: str, *, vector: bool) -> None:
    documents = [rule({"s": {"f|re": regex}, "condition": "s"}, number) for number, regex in enumerate(CATASTROPHIC)]
    documents += [
        rule({"s": {"f": "*a*b*c*d*e*f*"}, "condition": "s"}, 20),
        rule({"s": {"f": "*a?a?a?a?b"}, "condition": "s"}, 21),
        rule({"s": ["needle", "*x*y*z*"], "condition": "s"}, 22),
        *(rule({"s": {"f|contains": f"word{number}"}, "condition": "s"}, number) for number in range(30, 60)),
    ]
    found = load(*documents)
    assert found.refused == ()
    assert seconds(Engine(found.rules, databases=Databases(vector=vector)), {"f": text}) < 3


@pytest.mark.parametrize(
    "value", [[["a"] * 1000] * 1000, {"g": {"h": "a"}}, ["a"] * 100_000, 10**400, float("inf"), -0.0]
)
def test_odd_values_match_or_do_not_but_stop_nothing(load: Documents, value: Any) -> None:
    found = load(
        rule({"s": {"f|contains": "a"}, "condition": "s"}, 1),
        rule({"s": {"f|gt": 5}, "condition": "s"}, 2),
        rule({"s": {"g": "fine"}, "condition": "s"}, 3),
        rule({"s": {"f|re": "a"}, "n": {"f|startswith": "b"}, "condition": "s and not n"}, 4),
        rule({"s": ["word"], "condition": "s"}, 5),
    )
    hits = Engine(found.rules).match([{"f": value}, {"g": "fine"}])
    assert [hit.index for hit in hits if hit.rule_id.endswith("03")] == [1]


@pytest.mark.parametrize(
    "event",
    [
        {"event.dataset": ["windows.security"], "EventID": 1},
        {"event.dataset": None, "Channel": {"a": 1}},
        {"Channel": ["Security"], "EventID": [4625]},
        {"Channel": "Security", "EventID": {"#text": 4625}},
        {"Channel": "Security", "EventID": True},
        {"event.dataset": "windows.security", "original": "no mapping"},
        {"event.dataset": "windows.security", "original": {"Channel": 5, "EventID": None}},
        {"event.dataset": "nginx.access", "original": None},
        {},
    ],
)
def test_odd_events_are_routed_somewhere(load: Documents, event: dict[str, Any]) -> None:
    found = load(
        rule({"s": {"EventID": 4625}, "condition": "s"}, 1, logsource=WINDOWS),
        rule({"s": {"marker": "yes"}, "condition": "s"}, 2, logsource={}),
    )
    detector = Detector(found)
    detector.run([event])
    assert "2" in [hit.rule.id[-1] for hit in detector.engine.find([{**event, "marker": "yes"}])]


def test_event_ids_nobody_names_share_a_plan(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"EventID": 4625}, "condition": "s"}, logsource=WINDOWS)).rules)
    engine.match([{"Channel": "Security", "EventID": 100_000 + number} for number in range(2 * MAX_SIGNATURES)])
    assert len(engine._by_signature) == 1
    assert len(engine._by_key) <= MAX_SIGNATURES
    assert engine.match([{"Channel": "security", "EventID": "4625"}])


def test_channels_made_up_by_a_sender_do_not_fill_the_memory(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"f": "x"}, "condition": "s"}, logsource={"product": "windows"})).rules)
    engine.match([{"Channel": f"Made up {number}", "EventID": 1} for number in range(2 * MAX_SIGNATURES)])
    assert len(engine._by_signature) <= MAX_SIGNATURES
    assert len(engine._by_key) <= MAX_SIGNATURES


def test_values_that_never_come_again_do_not_fill_the_memory(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"f|contains": "needle"}, "condition": "s"})).rules)
    for start in range(0, 60_000, 5000):
        engine.match([{"f": f"{number}" * 50} for number in range(start, start + 5000)])
    [plan] = engine._by_signature.values()
    [(_, cache, _)] = plan._fields
    assert sys.getsizeof(cache) < 3_000_000
    assert sum(map(len, cache)) <= 2_000_000


def test_a_selection_with_many_values_is_looked_up_not_searched(load: Documents) -> None:
    values = [f"evil-{number}.example" for number in range(20_000)]
    found = load(
        rule({"s": {"f": values}, "condition": "s"}, 1), rule({"s": {"g|endswith": values}, "condition": "s"}, 2)
    )
    assert found.refused == ()
    engine = Engine(found.rules)
    engine.match([{"f": "x", "g": "x"}])
    started = time.process_time()
    hits = engine.match([{"f": f"evil-{number}.example", "g": f"host{number}"} for number in range(5000)])
    assert len(hits) == 5000
    assert hits[7].fields == {"f": "evil-7.example"}
    assert time.process_time() - started < 5


def test_too_many_values_are_refused(load: Documents) -> None:
    found = load(rule({"s": {"f": [str(number) for number in range(20_001)]}, "condition": "s"}))
    assert "more than 20000 values" in found.refused[0].en
