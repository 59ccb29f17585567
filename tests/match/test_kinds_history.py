"""Every kind of watch against a naive computation over the whole history: any order, batches, restarts, keys, tenants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.match.rule import RuleSet
from tests.match.conftest import watch

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86_400
LATENESS = 20 * MINUTE


class Arrival(NamedTuple):
    time: int  # seconds from the start
    seen: int
    host: str
    tenant: str
    value: Any


class Said(NamedTuple):
    number: int  # of the event that brought it about
    tenant: str
    host: str


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def event(number: int, each: Arrival) -> dict[str, Any]:
    return {
        "@timestamp": at(each.time).isoformat(),
        "event.ingested": at(each.seen).isoformat(),
        "event.id": f"0-{number}",
        "organization.id": each.tenant,
        "host.name": each.host,
        "v": each.value,
        "kind": "a",
    }


def rules(path: Path, body: dict[str, Any], **more: Any) -> RuleSet:
    (path / "rules.yml").write_text(yaml.safe_dump(watch({"group-by": ["host.name"], **body}, **more)))
    found = load_rules([path / "rules.yml"])
    assert found.refused == ()
    return found


def restart(found: RuleSet, detector: Detector, stored: dict[str, bytes]) -> Detector:
    """A new detector from what the old one would have stored."""
    for key, value in detector.take_changes().items():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
    made = Detector(found, stored, lateness=timedelta(seconds=LATENESS))
    assert made.take_changes() == {}
    return made


def run(found: RuleSet, arrivals: Sequence[Arrival], cuts: Sequence[int]) -> list[Said]:
    """What is said, with restarts at the cuts; a batch lies between two cuts."""
    detector, stored, said = Detector(found, lateness=timedelta(seconds=LATENESS)), dict[str, bytes](), []
    events = [event(number, each) for number, each in enumerate(arrivals)]
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(events)], strict=True):
        matches = detector.run(events[first:last])
        said += [Said(int(each.event_ids[-1][2:]), each.tenant, dict(each.group)["host.name"]) for each in matches]
        detector = restart(found, detector, stored)
    return said


def in_time(arrivals: Sequence[Arrival]) -> list[tuple[int, Arrival, list[tuple[int, Arrival]]]]:
    """Each arrival that is not late, with what came before it of the same key."""
    history: dict[tuple[str, str], list[tuple[int, Arrival]]] = {}
    found = []
    for number, each in enumerate(arrivals):
        before = history.setdefault((each.tenant, each.host), [])
        if before and each.time < max(one.time for _, one in before) - LATENESS:
            continue
        found.append((number, each, list(before)))
        before.append((number, each))
    return found


def arriving(steps: st.SearchStrategy[int], values: st.SearchStrategy[Any], most: int = 30) -> Any:
    """Arrivals whose event times lie up to the lateness (and sometimes beyond) behind their ingestion."""
    late = st.sampled_from([0, 0, 0, 1, 5 * MINUTE, LATENESS - 1, LATENESS, LATENESS + 1, 2 * HOUR])
    one = st.tuples(steps, late, st.sampled_from("xy"), st.sampled_from(["city", "county"]), values)

    def arranged(drawn: list[tuple[int, int, str, str, Any]]) -> list[Arrival]:
        seen, made = 0, []
        for step, behind, host, tenant, value in drawn:
            seen += step
            made.append(Arrival(seen - behind, seen, host, tenant, value))
        return made

    return st.lists(one, max_size=most).map(arranged)


CUTS = st.lists(st.integers(0, 30), max_size=3)
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fitting(cuts: list[int], arrivals: list[Arrival]) -> list[int]:
    return [min(cut, len(arrivals)) for cut in cuts]


AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "last": lambda values: values[-1],
    "avg": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "sum": sum,
}


@BOUNDED
@given(
    arrivals=arriving(st.sampled_from([0, 1, MINUTE, 4 * MINUTE, 10 * MINUTE, HOUR]), st.sampled_from([0, 5, "9", 10, 20, None, "no"])),
    aggregate=st.sampled_from(sorted(AGGREGATES)),
    holds=st.sampled_from([None, "5m", "10m"]),
    recover=st.sampled_from([None, 4]),
    cuts=CUTS,
)  # fmt: skip
def test_threshold(
    tmp_path: Path, arrivals: list[Arrival], aggregate: str, holds: str | None, recover: int | None, cuts: list[int]
) -> None:
    body: dict[str, Any] = {"type": "threshold", "field": "v", "aggregate": aggregate, "condition": {"gt": 8}}
    body |= {"window": "10m"} if aggregate != "last" else {}
    body |= {"for": holds} if holds else {}
    body |= {"recover": recover} if recover is not None else {}
    used = [(number, each) for number, each in enumerate(arrivals) if each.value not in {None, "no"}]
    expected = []
    alarms: dict[tuple[str, str], bool] = {}
    for at_, each, before in in_time([each for _, each in used]):
        history = sorted([*((one.time, n, float(one.value)) for n, one in before), (each.time, at_, float(each.value))])
        firing = _level(history, aggregate, int((holds or "0m")[:-1]) * MINUTE, 8 if recover is None else recover)
        if firing and not alarms.get((each.tenant, each.host), False):
            expected.append(Said(used[at_][0], each.tenant, each.host))
        alarms[each.tenant, each.host] = firing
    found = rules(tmp_path, body)
    said = run(found, arrivals, fitting(cuts, arrivals))
    assert [(one.tenant, one.host) for one in said] == [(one.tenant, one.host) for one in expected]


def _level(history: list[tuple[int, int, float]], aggregate: str, holds: int, recover: float) -> bool:
    """Whether the samples, in order of time, leave the key beyond the bound."""
    since, firing = None, False
    for place, (time, _, value) in enumerate(history):
        window = [v for t, _, v in history[: place + 1] if t > time - 10 * MINUTE]
        measure = AGGREGATES[aggregate](window) if aggregate != "last" else value
        if firing:
            firing = measure > recover
            since = None
        elif measure > 8:
            since = time if since is None else since
            firing = time - since >= holds
        else:
            since = None
    return firing


@BOUNDED
@given(arrivals=arriving(st.sampled_from([0, MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY]), st.sampled_from(["p", "q", "r", ["p", "q"], None])), cuts=CUTS)  # fmt: skip
def test_first_seen(tmp_path: Path, arrivals: list[Arrival], cuts: list[int]) -> None:
    found = rules(tmp_path, {"type": "first_seen", "fields": ["v"], "learn": "1d", "memory": "4d"})
    step, kept = 6 * HOUR, 16
    steps = [(int(START.timestamp()) + each.seen) // step for each in arrivals]
    expected = []
    begun: dict[tuple[str, str], tuple[int, int]] = {}
    for number, each in enumerate(arrivals):
        if each.value is None:
            continue
        key = each.tenant, each.host
        start, last = begun.get(key, (each.seen, -(10**9)))
        if steps[number] - last > kept:
            start = each.seen
        begun[key] = start, steps[number]
        known = any(
            (one.tenant, one.host, one.value) == (*key, each.value) and steps[number] - steps[place] <= kept
            for place, one in enumerate(arrivals[:number])
        )
        if not known and each.seen - start >= DAY:
            expected.append(Said(number, *key))
    assert run(found, arrivals, fitting(cuts, arrivals)) == expected


@BOUNDED
@given(arrivals=arriving(st.sampled_from([0, 1, MINUTE, 5 * HOUR, DAY]), st.sampled_from("ppppppqr"), 40), cuts=CUTS)
def test_rare(tmp_path: Path, arrivals: list[Arrival], cuts: list[int]) -> None:
    found = rules(tmp_path, {"type": "rare", "fields": ["v"], "days": 3, "share": 0.3, "least": 5})
    expected, said = [], set()
    for number, each, before in in_time(arrivals):
        day = _day(each.time)
        inside = [one.value for _, one in [*before, (number, each)] if day - 3 < _day(one.time) <= day]
        rare = len(inside) >= 5 and inside.count(each.value) < 0.3 * len(inside)
        what = each.tenant, each.host, each.value, day
        if rare and what not in said:
            said.add(what)
            expected.append(Said(number, each.tenant, each.host))
    assert run(found, arrivals, fitting(cuts, arrivals)) == expected


def _day(time: int) -> int:
    return (int(START.timestamp()) + time) // DAY


@BOUNDED
@given(arrivals=arriving(st.sampled_from([0, 0, 0, 1, MINUTE, DAY - MINUTE, DAY, DAY, 2 * DAY]), st.none(), 45), cuts=CUTS)  # fmt: skip
def test_spike(tmp_path: Path, arrivals: list[Arrival], cuts: list[int]) -> None:
    found = rules(tmp_path, {"type": "spike", "days": 4, "history": 2, "least": 2, "deviations": 1})
    expected, said = [], set()
    for number, each, before in in_time(arrivals):
        hour = _hour(each.time)
        hours = [_hour(one.time) for _, one in before]
        first = _first(hours, hour)
        earlier = [hours.count(hour - 24 * day) for day in range(1, 5) if hour - 24 * day >= first]
        count = hours.count(hour) + 1
        what = each.tenant, each.host, hour
        if count >= 2 and len(earlier) >= 2 and what not in said and _unusual(count, earlier):
            said.add(what)
            expected.append(Said(number, each.tenant, each.host))
    assert run(found, arrivals, fitting(cuts, arrivals)) == expected


def _hour(time: int) -> int:
    return (int(START.timestamp()) + time) // HOUR


def _first(hours: list[int], hour: int) -> int:
    """The first hour since the key was last unseen for more than four days."""
    first, newest = hour, None
    for each in [*hours, hour]:
        if newest is None or each - newest > 96:
            first, newest = each, each
        else:
            first, newest = min(first, each), max(newest, each)
    return first


def _unusual(count: int, earlier: list[int]) -> bool:
    usual = median(earlier)
    stray = 1.4826 * median([abs(each - usual) for each in earlier])
    return count > usual + max(stray, usual**0.5, 1)


class Step(NamedTuple):
    """Time that passes, then either an event of a host, or a look at the clock."""

    seconds: int
    host: str  # "" for the clock


STEPS = st.lists(
    st.builds(Step, st.sampled_from([0, 1, MINUTE, 9 * MINUTE, 10 * MINUTE, 10 * MINUTE + 1, HOUR]), st.sampled_from(["x", "y", "", ""])),
    max_size=30,
)  # fmt: skip


class Silences:
    """Who is silent, told plainly."""

    def __init__(self) -> None:
        self.heard: dict[str, int] = {}
        self.silent: set[str] = set()
        self.over: list[str] = []  # silences that ended before the clock was looked at

    def hear(self, host: str, now: int) -> None:
        last = self.heard.get(host, now)
        if now - last > 600 and host not in self.silent and host not in self.over:
            self.over.append(host)
        self.silent.discard(host)
        self.heard[host] = now

    def look(self, now: int) -> list[str]:
        fresh = [host for host, last in self.heard.items() if now - last > 600 and host not in self.silent]
        self.silent.update(fresh)
        found, self.over = [*self.over, *fresh], []
        return sorted(found)


@BOUNDED
@given(steps=STEPS, expect=st.sampled_from([[], ["y", "z"]]), restarts=st.sets(st.integers(0, 30)))
def test_absence(tmp_path: Path, steps: list[Step], expect: list[str], restarts: set[int]) -> None:
    """After a restart the clock is looked at, as the worker does; restarts here take no time."""
    body = {"type": "absence", "for": "10m"} | ({"expect": expect} if expect else {})
    found = rules(tmp_path, body, tenants=["city"])
    detector, stored, plain, now = Detector(found), dict[str, bytes](), Silences(), 0
    for number, step in enumerate(steps):
        now += step.seconds
        for name in expect if not number else []:
            plain.hear(name, now)
        if step.host:
            plain.hear(step.host, now)
            assert detector.run([event(number, Arrival(now, now, step.host, "city", None))]) == []
        if number in restarts or not step.host:
            matches = [*detector.tick(at(now)), *detector.tick(at(now))]
            assert sorted(dict(match.group)["host.name"] for match in matches) == plain.look(now)
        if number in restarts:
            detector = restart(found, detector, stored)
            assert [*detector.tick(at(now)), *detector.tick(at(now))] == []
