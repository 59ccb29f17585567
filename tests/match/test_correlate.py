"""Correlation against a recount over the whole history, in any order of arrival, with restarts and group keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secops.match.correlate import Correlator
from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.match.rule import Correlation, CorrelationType, RuleSet
from secops.match.stateful import Occurrence
from secops.match.window import Entry
from secops.match.windows import window_of
from secops.records import Match
from tests.match.conftest import Documents, correlation, rule

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SPAN = 60.0
LATENESS = 20.0
NAMES = ("a", "b", "c")


def event(seconds: float, kind: str = "a", **more: Any) -> dict[str, Any]:
    """An event of a kind at a time (seconds from the start); ``seen`` is when it came in."""
    at = (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"@timestamp": at, "kind": kind, "organization.id": "city", **more}


def numbered(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "event.id": f"0-{number}"} for number, each in enumerate(events)]


def ruleset(path: Path, body: dict[str, Any], rules: int = 1, **more: Any) -> RuleSet:
    documents = [
        rule({"s": {"kind": name}, "condition": "s"}, at, name=name) for at, name in enumerate(NAMES[:rules], 1)
    ]
    whole = {"rules": list(NAMES[:rules]), "timespan": "60s", **body}
    (path / "rules.yml").write_text(yaml.safe_dump_all([*documents, correlation(whole, **more)]), encoding="utf-8")
    found = load_rules([path / "rules.yml"])
    assert found.refused == ()
    return found


def run(found: RuleSet, events: Sequence[dict[str, Any]], **options: Any) -> list[Match]:
    return Detector(found, lateness=timedelta(seconds=LATENESS), **options).run(numbered(events))


COUNT = {"type": "event_count", "condition": {"gte": 3}}


@pytest.mark.parametrize(
    ("last", "fires"), [(0.9, True), (59.999999, True), (60.0, False), (60.000001, False), (60.9, False)]
)
def test_the_window_is_exact_to_the_microsecond_and_half_open(tmp_path: Path, last: float, *, fires: bool) -> None:
    events = [event(0), event(0.5), event(last)]
    assert bool(run(ruleset(tmp_path, COUNT), events)) == fires


def test_an_attack_makes_one_match_and_what_goes_on_makes_one_a_timespan(tmp_path: Path) -> None:
    matches = run(ruleset(tmp_path, COUNT), [event(second) for second in range(130)])
    assert [(match.event_ids[-1], match.count) for match in matches] == [("0-2", 3), ("0-62", 60), ("0-122", 60)]
    seen = [identity for match in matches for identity in match.event_ids]
    assert len(seen) == len(set(seen))


def test_a_late_event_counts_within_the_lateness_only(tmp_path: Path) -> None:
    found = ruleset(tmp_path, COUNT)
    assert run(found, [event(0), event(15), event(-4)])
    detector = Detector(found, lateness=timedelta(seconds=LATENESS))
    assert detector.run(numbered([event(0), event(15), event(-6), event(-600)])) == []
    assert detector.statistics()["late"] == 2


def test_a_clock_that_runs_ahead_on_one_host_does_not_make_others_late(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {**COUNT, "group-by": ["host.name"]})
    ahead = [event(86_400, **{"host.name": "ahead"})]
    others = [event(second, **{"host.name": "right"}) for second in range(3)]
    assert [match.group for match in run(found, ahead + others)] == [(("host.name", "right"),)]


def test_groups_and_tenants_are_kept_apart(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {**COUNT, "group-by": ["user", "host"]})
    apart = [event(0, user="x", host="1"), event(1, user="x", host="2"), event(2, user="y", host="1")]
    assert run(found, apart) == []
    mixed = [event(0, user="x:1", host=""), event(1, user="x", host=":1"), event(2, user="x:", host="1")]
    assert run(found, mixed) == []
    tenants = [event(at, user="x", host="1") | {"organization.id": f"county-{at}"} for at in range(3)]
    assert run(found, tenants) == []
    assert run(found, [event(at, user="x", host="1") for at in range(3)])[0].group == (("user", "x"), ("host", "1"))


def test_a_missing_group_field_is_the_group_of_the_empty_text(tmp_path: Path) -> None:
    [match] = run(ruleset(tmp_path, {**COUNT, "group-by": ["user"]}), [event(at) for at in range(3)])
    assert match.group == (("user", ""),)


def test_aliases_bring_different_fields_together(tmp_path: Path) -> None:
    body = {"type": "temporal", "group-by": ["who"], "aliases": {"who": {"a": "user", "b": "account"}}}
    found = ruleset(tmp_path, body, 2)
    assert run(found, [event(0, "a", user="x"), event(1, "b", account="x")])[0].group == (("who", "x"),)
    assert run(found, [event(0, "a", user="x"), event(1, "b", account="y")]) == []


@pytest.mark.parametrize(
    ("kinds", "fires"), [("abc", True), ("acb", False), ("aabbc", True), ("bca", False), ("acbc", True), ("cab", False)]
)
def test_ordered_means_ordered(tmp_path: Path, kinds: str, *, fires: bool) -> None:
    found = ruleset(tmp_path, {"type": "temporal_ordered"}, 3)
    assert bool(run(found, [event(at, kind) for at, kind in enumerate(kinds)])) == fires


def test_an_ordered_chain_fits_the_timespan(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {"type": "temporal_ordered"}, 3)
    assert run(found, [event(0, "a"), event(30, "b"), event(60, "c")]) == []
    assert run(found, [event(0, "a"), event(30, "b"), event(59.9, "c")])
    assert run(found, [event(0, "a"), event(30, "b"), event(40, "a"), event(61, "c")]) == []


@pytest.mark.parametrize(
    ("kind", "condition", "values", "fires"),
    [
        ("value_count", {"gte": 3}, ["x", "y", "x"], False),
        ("value_count", {"gte": 3}, ["x", "y", "z"], True),
        ("value_count", {"gte": 1}, [None, None], False),
        ("value_sum", {"gt": 10}, [5, "5", 1], True),
        ("value_sum", {"gt": 10}, [5, "no number", 5], False),
        ("value_avg", {"gt": 3, "lt": 5}, [1, 7], True),
        ("value_median", {"eq": 5}, [1, 5, 100], True),
        ("value_percentile", {"percentile": 90, "gte": 90}, [*range(1, 101)], True),
        ("value_percentile", {"percentile": 90, "gte": 91}, [*range(1, 100)], False),
    ],
)
def test_values(tmp_path: Path, kind: str, condition: dict[str, Any], values: list[Any], *, fires: bool) -> None:
    found = ruleset(tmp_path, {"type": kind, "condition": {"field": "v", **condition}})
    assert bool(run(found, [event(at / 10, v=value) for at, value in enumerate(values)])) == fires


def test_correlations_of_correlations(load: Documents) -> None:
    base = rule({"s": {"kind": "a"}, "condition": "s"}, 1, name="base")
    burst = correlation({"type": "event_count", "rules": ["base"], "group-by": ["user", "host"], "timespan": "10s", "condition": {"gte": 2}}, 2, name="burst")  # fmt: skip
    spread = correlation({"type": "value_count", "rules": ["burst"], "group-by": ["user"], "timespan": "60s", "condition": {"field": "host", "gte": 2}}, 3)  # fmt: skip
    found = load(spread, burst, base)
    matches = run(found, [event(at, user="u", host=host) for at, host in enumerate("xxyy")])
    assert [(match.rule_id, match.group) for match in matches] == [(spread["id"], (("user", "u"),))]


def test_generate_lets_both_alert(tmp_path: Path) -> None:
    matches = run(ruleset(tmp_path, {**COUNT, "generate": True}), [event(at) for at in range(3)])
    assert [match.rule_id[-1] for match in matches] == ["1", "1", "1", "0"]


class Arrival(NamedTuple):
    time: float
    kind: str
    value: int
    user: str


def recount(body: dict[str, Any], rules: int, arrivals: Sequence[Arrival]) -> list[tuple[int, str]]:
    """(position, user) of each firing, by counting the whole history of a key anew for every arrival."""
    history: dict[str, list[tuple[float, int, Arrival]]] = {}
    quiet: dict[str, float] = {}
    fired = []
    for number, arrival in enumerate(arrivals):
        key = arrival.user
        seen = history.setdefault(key, [])
        if seen and arrival.time < max(time for time, _, _ in seen) - LATENESS:
            continue
        seen.append((arrival.time, number, arrival))
        ends = sorted({t for t, _, _ in seen if arrival.time <= t < arrival.time + SPAN and t >= quiet.get(key, -1e9)})
        for end in ends:
            content = [each for time, _, each in sorted(seen) if end - SPAN < time <= end]
            if verdict(body, rules, content):
                quiet[key] = end + SPAN
                fired.append((number, key))
                break
    return fired


def verdict(body: dict[str, Any], rules: int, content: list[Arrival]) -> bool:
    kind = body["type"]
    if isinstance(body.get("condition"), str):
        return EXPRESSIONS[body["condition"]]("".join(each.kind for each in content))
    condition = dict(body.get("condition", {}))
    values = [each.value for each in content]
    if kind == "temporal_ordered":
        position = 0
        for each in content:
            position += position < rules and each.kind == NAMES[position]
        return position == rules
    measure = {
        "event_count": lambda: len(content),
        "value_count": lambda: len(set(values)),
        "value_sum": lambda: sum(values),
        "value_avg": lambda: sum(values) / len(values),
        "value_median": lambda: median(values),
        "temporal": lambda: len({each.kind for each in content}),
    }[kind]()
    if kind == "temporal":
        return measure == rules
    return {"gte": measure >= condition.get("gte", 0), "lt": measure < condition.get("lt", 0)}[
        "lt" if "lt" in condition else "gte"
    ]


EXPRESSIONS: dict[str, Callable[[str], bool]] = {
    "a and not b": lambda seen: "a" in seen and "b" not in seen,
    "(a and b) or (c and not a)": lambda seen: ("a" in seen and "b" in seen) or ("c" in seen and "a" not in seen),
    "(a and b) or (c and a and not b)": lambda seen: bool(
        re.search("a.*b", seen) or (re.search("c.*a", seen) and "b" not in seen)
    ),
}
BODIES = st.sampled_from(
    [
        ({"type": "event_count", "condition": {"gte": 3}}, 1),
        ({"type": "event_count", "condition": {"gte": 2}}, 3),
        ({"type": "event_count", "condition": {"lt": 3}}, 1),
        ({"type": "value_count", "condition": {"field": "v", "gte": 3}}, 1),
        ({"type": "value_sum", "condition": {"field": "v", "gte": 5}}, 1),
        ({"type": "value_avg", "condition": {"field": "v", "gte": 2}}, 1),
        ({"type": "value_median", "condition": {"field": "v", "gte": 2}}, 1),
        ({"type": "temporal"}, 3),
        ({"type": "temporal", "condition": "a and not b"}, 2),
        ({"type": "temporal", "condition": "(a and b) or (c and not a)"}, 3),
        ({"type": "temporal_ordered", "condition": "(a and b) or (c and a and not b)"}, 3),
        ({"type": "temporal_ordered"}, 2),
        ({"type": "temporal_ordered"}, 3),
    ]
)
ARRIVALS = st.lists(
    st.builds(Arrival, st.sampled_from([0.0, 1.0, 19.0, 20.0, 21.0, 40.0, 59.999999, 60.0, 60.000001, 61.0, 79.0, 120.0, 121.0, 181.0]), st.sampled_from(NAMES), st.integers(-2, 4), st.sampled_from("xy")),
    max_size=24,
)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what=BODIES, arrivals=ARRIVALS, ordered=st.booleans(), cuts=st.lists(st.integers(0, 24), max_size=3))
@example(
    what=({"type": "event_count", "condition": {"gte": 3}}, 1),
    arrivals=[Arrival(0.0, "a", 0, "x")] * 9,
    ordered=True,
    cuts=[4],
)
def test_a_recount_over_the_whole_history_says_the_same(
    tmp_path: Path, what: tuple[dict[str, Any], int], arrivals: list[Arrival], *, ordered: bool, cuts: list[int]
) -> None:
    """Restarts at the cuts: the state is taken, as bytes, into a new detector."""
    body, rules = what
    found = ruleset(tmp_path, {**body, "group-by": ["user"]}, rules)
    used = [each for each in arrivals if each.kind in NAMES[:rules]]
    if ordered:
        used.sort(key=lambda each: each.time)
    events = numbered(
        [
            event(each.time, each.kind, v=each.value, user=each.user, **{"event.ingested": event(0)["@timestamp"]})
            for each in used
        ]
    )
    stored: dict[str, bytes] = {}
    fired = []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(events)], strict=True):
        detector = Detector(found, stored, lateness=timedelta(seconds=LATENESS))
        for each in events[first:last]:
            fired += [(int(each["event.id"][2:]), dict(match.group)["user"]) for match in detector.run([each])]
        for key, value in detector.take_changes().items():
            if value is None:
                stored.pop(key, None)
            else:
                stored[key] = value
        assert detector.take_changes() == {}
    assert fired == recount(body, rules, used)


ARRIVING = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 90), st.sampled_from("xy")), min_size=1, max_size=30
)  # (seconds after the event before, seconds it came late, user)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what=BODIES, arriving=ARRIVING, sizes=st.lists(st.integers(1, 10), min_size=1, max_size=30))
def test_batches_and_restarts_do_not_change_the_verdict(
    tmp_path: Path, what: tuple[dict[str, Any], int], arriving: list[tuple[int, int, str]], sizes: list[int]
) -> None:
    """Events that come in minutes after they happened, in batches of any size, also when keys expire meanwhile."""
    body, rules = what
    found = ruleset(tmp_path, {**body, "group-by": ["user"]}, rules)
    events, now = [], 0
    for at, (step, late, user) in enumerate(arriving):
        now += step
        happened = event(now - late, NAMES[at % rules], v=at % 5, user=user)
        events.append({**happened, "event.ingested": event(now)["@timestamp"], "event.id": f"0-{at}"})

    def matches(sizes: list[int], *, restart: bool) -> list[Match]:
        detector = Detector(found, lateness=timedelta(seconds=LATENESS))
        stored: dict[str, bytes] = {}
        made, rest = [], events
        for size in [*sizes, len(events)]:
            made += detector.run(rest[:size])
            rest = rest[size:]
            if restart:
                stored |= {key: value or b"" for key, value in detector.take_changes().items()}
                kept = {key: value for key, value in stored.items() if value}
                detector = Detector(found, kept, lateness=timedelta(seconds=LATENESS))
        return made

    whole = matches([], restart=False)
    assert matches(sizes, restart=False) == whole
    assert matches(sizes, restart=True) == whole
    assert matches([1] * len(events), restart=True) == whole


def test_keys_that_can_matter_no_more_are_forgotten(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, {**COUNT, "group-by": ["user"]}), lateness=timedelta(seconds=LATENESS))
    detector.run(numbered([event(0, user="x")]))
    [(key, value)] = detector.take_changes().items()
    assert value is not None
    assert len(key) < 200
    detector.run(numbered([event(79.9, "other")]))
    assert detector.take_changes() == {}
    detector.run(numbered([event(80, "other")]))
    assert detector.take_changes() == {key: None}


def test_state_of_a_rule_that_changed_is_deleted_and_of_a_rule_that_did_not_is_kept(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, {**COUNT, "group-by": ["user"]}))
    detector.run(numbered([event(0, user="x"), event(1, user="x")]))
    stored = {key: value for key, value in detector.take_changes().items() if value is not None}
    same = Detector(ruleset(tmp_path, {**COUNT, "group-by": ["user"]}), stored)
    assert same.take_changes() == {}
    assert len(same.run(numbered([event(2, user="x")]))) == 1
    other = Detector(ruleset(tmp_path, {"type": "value_count", "condition": {"field": "v", "gte": 2}}), stored)
    assert other.take_changes() == dict.fromkeys(stored)
    spoilt = Detector(ruleset(tmp_path, {**COUNT, "group-by": ["user"]}), dict.fromkeys(stored, b"\xff[") | {"x": b"1"})
    assert spoilt.take_changes() == dict.fromkeys([*stored, "x"])


def test_a_flood_on_one_key_is_bounded_and_counted(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, COUNT))
    events = numbered([event(at / 1000) for at in range(3000)])
    assert len(detector.run(events)) == 1
    assert detector.statistics()["dropped"] == 3000 - 1024
    [value] = detector.take_changes().values()
    assert value is not None
    assert len(value) < 100_000


@pytest.mark.parametrize("kind", ["value_sum", "value_avg"])
def test_a_late_event_in_a_full_window_is_cheap(kind: str) -> None:
    """Added up anew at every end of a window that it lies in, this would take minutes."""
    asked = 1e9 if kind == "value_sum" else 1500.0
    body = Correlation(
        type=CorrelationType(kind),
        rules=("a",),
        timespan=timedelta(hours=1),
        conditions=(("gte", asked),),
        fields=("v",),
    )
    window = window_of(body, [Entry(at * 50_000, float(at % 1000 - 1), f"0-{at}") for at in range(65_536)])
    started = time.process_time()
    for late in range(10):
        assert window.add(Entry(late * 60_000_000 + 1, 2000.0, f"1-{late}"), 10**12, 3_600_000_000) is None
    assert time.process_time() - started < 10


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_a_sum_that_slides_is_the_sum(numbers: list[float]) -> None:
    body = Correlation(
        type=CorrelationType.VALUE_SUM,
        rules=("a",),
        timespan=timedelta(seconds=7),
        conditions=(("gte", 0),),
        fields=("v",),
    )
    window = window_of(body)
    for at, number in enumerate(numbers):
        window.add(Entry(at * 1_000_000, number, f"0-{at}"), 0)
        inside = [Fraction(each) for each in numbers[max(0, at - 6) : at + 1]]
        assert window.satisfied() is (sum(inside) >= 0)


def test_too_many_keys_push_out_those_not_seen_for_longest(tmp_path: Path) -> None:
    [upper] = ruleset(tmp_path, {**COUNT, "group-by": ["user"]}).correlations
    assert isinstance(upper.body, Correlation)
    correlator = Correlator(upper, lateness=0, max_keys=3)
    [base] = upper.body.rules
    fed = [
        Occurrence(base, "city", number, number, f"0-{number}", {"user": user}) for number, user in enumerate("abcadd")
    ]
    assert [correlator.feed(each) for each in fed] == [None] * 6
    assert correlator.evicted == 1
    kept = [value for value in correlator.take_changes().values() if value is not None]
    assert sorted(orjson.loads(value)["key"][1] for value in kept) == ["a", "c", "d"]


def test_events_without_a_time_are_counted_and_use_the_time_of_ingestion(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, COUNT))
    undated = [{"kind": "a", "@timestamp": "yesterday", "event.ingested": event(at)["@timestamp"]} for at in range(3)]
    assert len(detector.run(undated)) == 1
    assert detector.statistics()["undated"] >= 3


def test_long_group_values_are_told_apart_and_shortened(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {**COUNT, "group-by": ["user"]})
    events = [event(at, user="x" * 100_000 + end) for at, end in enumerate("abaa")]
    [match] = run(found, events)
    assert len(dict(match.group)["user"]) < 300
    assert match.event_ids == ("0-0", "0-2", "0-3")


def test_value_count_over_several_fields_counts_their_combinations(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {"type": "value_count", "condition": {"field": ["v", "w"], "gte": 3}})
    pairs = [("1", "2"), ("2", "1"), ("1", "2"), ("12", "")]
    assert run(found, [event(at, v=v, w=w) for at, (v, w) in enumerate(pairs[:3])]) == []
    assert run(found, [event(at, v=v, w=w) for at, (v, w) in enumerate(pairs)])
    assert run(found, [event(at) for at in range(5)]) == []


def test_only_value_count_takes_several_fields(load: Documents) -> None:
    body = {"type": "value_sum", "rules": ["a"], "timespan": "60s", "condition": {"field": ["v", "w"], "gte": 3}}
    found = load(rule({"s": {"kind": "a"}, "condition": "s"}, 1, name="a"), correlation(body))
    assert "takes one field" in found.refused[0].en


@pytest.mark.parametrize(
    ("operator", "fires"),
    [("lt", [1, 2]), ("lte", [1, 2, 3]), ("gt", [4]), ("gte", [3, 4]), ("eq", [3]), ("neq", [1, 2, 4])],
)
def test_every_operator_of_a_condition(tmp_path: Path, operator: str, fires: list[int]) -> None:
    found = ruleset(tmp_path, {"type": "value_sum", "condition": {"field": "v", operator: 3}})
    assert [total for total in (1, 2, 3, 4) if run(found, [event(0, v=total)])] == fires


def test_a_range_is_two_conditions(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {"type": "value_sum", "condition": {"field": "v", "gt": 1, "lte": 3}})
    assert [total for total in (1, 2, 3, 4) if run(found, [event(0, v=total)])] == [2, 3]


@pytest.mark.parametrize("numbers", [["1e308"] * 3, ["nan", "1"], ["inf", "-inf"], ["1" * 5000], [True], [10**400]])
def test_numbers_beyond_reason_stop_nothing(tmp_path: Path, numbers: list[Any]) -> None:
    for kind in ("value_sum", "value_avg", "value_median"):
        found = ruleset(tmp_path, {"type": kind, "condition": {"field": "v", "gte": 0.5}})
        run(found, [event(at, v=number) for at, number in enumerate([*numbers, 1, *numbers])])


def test_a_flood_of_keys_from_one_tenant_pushes_out_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever may send events of one county could blind a correlation for the whole city."""
    [upper] = ruleset(tmp_path, {**COUNT, "group-by": ["user"], "condition": {"gte": 5}}).correlations
    assert isinstance(upper.body, Correlation)
    [base] = upper.body.rules

    def feed(correlator: Correlator, tenant: str, number: int, user: str) -> bool:
        return correlator.feed(Occurrence(base, tenant, number, number, f"0-{number}", {"user": user})) is not None

    many = Correlator(upper, lateness=0, max_keys=50)
    assert not any(feed(many, "city", number, "root") for number in range(4))
    for number in range(4, 1000):
        feed(many, "north", number, f"user{number}")
    assert many.evicted == 1000 - 4 - 49
    assert feed(many, "city", 1000, "root"), "the fifth"
    monkeypatch.setattr("secops.match.correlate.MAX_HELD", 100)
    full = Correlator(upper, lateness=0)
    assert not any(feed(full, "city", number, "root") for number in range(4))
    for number in range(4, 1000):
        feed(full, "north", number, f"user{number % 10}")
    assert full.evicted
    assert full.held <= 100
    assert feed(full, "city", 1000, "root"), "the fifth"
