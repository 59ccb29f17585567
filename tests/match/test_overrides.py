"""Switches and exceptions: what they take out is counted, is no match, and correlations do not see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secops.match.detector import Detector
from secops.match.overrides import MAX_LENGTH, Overrides, RuleException, Tallies, Tally, read_exception
from secops.match.rule import RuleSet
from secops.match.source import RuleError
from tests.match.conftest import Documents, correlation, rule

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
FAILED, BURST = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000900"


def microseconds(second: float) -> int:
    return round((START + timedelta(seconds=second)).timestamp() * 1_000_000)


def event(second: int, tenant: str = "city", **more: Any) -> dict[str, Any]:
    at = (START + timedelta(seconds=second)).isoformat()
    return {"@timestamp": at, "organization.id": tenant, "kind": "a", "event.id": f"0-{second}", **more}


@pytest.fixture
def rules(load: Documents) -> RuleSet:
    found = load(
        rule({"s": {"kind": "a"}, "condition": "s"}, 1, name="failed"),
        correlation({"type": "event_count", "rules": ["failed"], "group-by": ["user"], "timespan": "60s", "condition": {"gte": 2}, "generate": True}),
    )  # fmt: skip
    assert found.refused == ()
    return found


def exception(text: str, tenant: str = "", expires: int | None = None) -> RuleException:
    return RuleException(1, tenant, read_exception(text), expires)


def test_a_rule_switched_off_for_one_tenant_runs_for_the_others_and_is_counted(rules: RuleSet) -> None:
    detector = Detector(rules, overrides=Overrides(frozenset({("county-a", FAILED)})))
    matches = detector.run([event(at, tenant, user="x") for at, tenant in enumerate(["county-a", "city"] * 2)])
    assert [(match.tenant, match.rule_id) for match in matches] == [("city", FAILED), ("city", FAILED), ("city", BURST)]
    assert detector.take_tally() == {
        (FAILED, "county-a"): Tally(0, microseconds(2), 0, 2),
        (FAILED, "city"): Tally(2, microseconds(3), 0, 0),
        (BURST, "city"): Tally(1, microseconds(3), 0, 0),
    }
    assert detector.take_tally() == {}


def test_a_correlation_switched_off_keeps_counting_but_says_nothing(rules: RuleSet) -> None:
    detector = Detector(rules, overrides=Overrides(frozenset({("", BURST)})))
    assert [match.rule_id for match in detector.run([event(0), event(1)])] == [FAILED, FAILED]
    assert detector.take_tally()[BURST, "city"] == Tally(0, microseconds(1), 0, 1)


def test_correlations_do_not_see_excepted_hits(rules: RuleSet) -> None:
    detector = Detector(rules, overrides=Overrides(exceptions={FAILED: (exception("user: backup"),)}))
    assert detector.run([event(0, user="backup"), event(1, user="Backup"), event(2, user="backup")]) == []
    assert detector.take_tally() == {(FAILED, "city"): Tally(0, microseconds(2), 3, 0)}
    assert len(detector.run([event(3, user="x"), event(4, user="x")])) == 3


def test_an_exception_of_a_correlation_is_asked_about_the_last_event_and_the_group(rules: RuleSet) -> None:
    excepted = Overrides(exceptions={BURST: (exception("{user: x, host|startswith: gw}"),)})
    detector = Detector(rules, overrides=excepted)
    assert [m.rule_id for m in detector.run([event(0, user="x"), event(1, user="x", host="gw-1")])] == [FAILED] * 2
    assert [m.rule_id for m in detector.run([event(2, user="y"), event(3, user="y", host="gw-1")])][-1] == BURST


def test_exceptions_are_of_a_tenant_and_end(rules: RuleSet) -> None:
    mine = exception("kind: a", "county-a", microseconds(10))
    detector = Detector(rules, overrides=Overrides(exceptions={FAILED: (mine,)}))
    assert [match.tenant for match in detector.run([event(9, "county-a"), event(9, "city")])] == ["city"]
    assert [match.tenant for match in detector.run([event(10, "county-a")])] == ["county-a"]


def test_overrides_can_be_replaced_while_running(rules: RuleSet) -> None:
    detector = Detector(rules)
    assert len(detector.run([event(0, user="x")])) == 1
    detector.overrides = Overrides(frozenset({("city", FAILED)}))
    assert detector.run([event(1, user="x")]) == []
    detector.overrides = Overrides()
    assert [match.rule_id for match in detector.run([event(2, user="x")])] == [FAILED, BURST]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("user.name: backup", True),
        ("user.name: [admin, BACKUP]", True),
        ("- user.name: nobody\n- source.ip|cidr: 192.0.2.0/24\n", True),
        ("user.name: backup\nsource.ip|cidr: 198.51.100.0/24", False),
        ("user.name|re: '^b.*p$'", True),
    ],
)
def test_an_exception_is_a_sigma_selection(text: str, *, holds: bool) -> None:
    view = {"user.name": "backup", "source.ip": "192.0.2.9"}
    assert exception(text).holds("city", 0, view) == holds


@pytest.mark.parametrize(
    "text",
    ["", "backup", "[backup]", "user|nonsense: x", "a: 1\n---\nb: 2", "a: [", "{}", "[]", "x: '\ud800'", "u: " + "x" * MAX_LENGTH],
)  # fmt: skip
def test_what_is_no_exception_is_refused_in_both_languages(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        read_exception(text)
    assert any("\u4e00" <= char <= "\u9fff" for char in refused.value.zh)
    assert refused.value.en.isascii()


def test_tallies_are_bounded_and_lose_no_hit() -> None:
    tallies = Tallies(limit=2)
    for number in range(100):
        tallies.count("r", f"tenant-{number}", number)
    taken = tallies.take()
    assert len(taken) == 3
    assert sum(tally.hits for tally in taken.values()) == 100
    assert taken["r", ""] == Tally(98, 99, 0, 0)
