"""The detector's promises to whoever runs it: rules of tenants, hits found elsewhere, order, counts."""

from __future__ import annotations

from typing import Any

import pytest

from secops.match.detector import Detector
from secops.match.engine import Engine
from tests.match.conftest import Documents, correlation, rule

AT = "2026-11-24T08:00:00Z"


def event(tenant: str, number: int = 0, **more: Any) -> dict[str, Any]:
    return {"@timestamp": AT, "organization.id": tenant, "kind": "a", "event.id": f"0-{number}", **more}


def of(number: int, **more: Any) -> dict[str, Any]:
    return rule({"s": {"kind": "a"}, "condition": "s"}, number, **more)


def test_a_rule_of_tenants_runs_for_these_only(load: Documents) -> None:
    found = load(of(1), of(2, tenants=["county-a", "county-b"]), of(3, tenants="county-b"), of(4))
    assert found.refused == ()
    assert found.rules[1].info.tenants == ("county-a", "county-b")
    matches = Detector(found).run([event("city"), event("county-b"), event("county-a")])
    assert [(match.tenant, match.rule_id[-1]) for match in matches] == [
        *(("city", number) for number in "14"),
        *(("county-b", number) for number in "1234"),
        *(("county-a", number) for number in "124"),
    ]


@pytest.mark.parametrize("tenants", [[], "", {"a": 1}, [""], [1]])
def test_tenants_must_name_some(load: Documents, tenants: object) -> None:
    found = load(of(1, tenants=tenants, line="x"))
    assert found.rules == ()
    assert found.refused[0].line > 1


def test_a_correlation_of_a_tenant_counts_for_this_tenant_only(load: Documents) -> None:
    body = {"type": "event_count", "rules": ["base"], "timespan": "60s", "condition": {"gte": 2}}
    found = load(of(1, name="base"), correlation(body, tenants=["county-a"]))
    matches = Detector(found).run([event(tenant, at) for at, tenant in enumerate(["city", "county-a"] * 2)])
    fired = [match for match in matches if match.rule_id.endswith("900")]
    assert [(match.tenant, match.event_ids) for match in fired] == [("county-a", ("0-1", "0-3"))]


def test_rules_of_a_tenant_are_in_no_plan_that_others_use(load: Documents) -> None:
    found = load(of(1), *(of(number, tenants=["large"]) for number in range(2, 2000)))
    assert found.refused == ()
    detector = Detector(found)
    assert [match.rule_id[-1] for match in detector.run([event("city")])] == ["1"]
    assert detector.engine.made() == ()
    assert [len(plan._candidates) for plan in _plans(detector.engine.shared)] == [1]
    assert len(detector.run([event("large")])) == 1999
    assert detector.engine.made() == ("large",)
    assert [len(plan._candidates) for plan in _plans(detector.engine.shared)] == [1]


def _plans(engine: Engine) -> list[Any]:
    return list(engine._by_signature.values())


def test_hits_found_elsewhere_give_the_same_matches(load: Documents) -> None:
    body = {"type": "event_count", "rules": ["base"], "timespan": "60s", "condition": {"gte": 2}, "generate": True}
    found = load(of(1, name="base"), of(2, tenants=["county-a"]), correlation(body))
    events = [event(tenant, at) for at, tenant in enumerate(["city", "county-a", "county-a", "city"])]
    here, matcher = Detector(found), Detector(found)
    pairs = [(hit.rule.id, hit.index) for hit in matcher.engine.find(events)]
    there = Detector(found)
    assert there.run(events, there.engine.found(pairs, events)) == here.run(events)
    assert there.take_tally() == here.take_tally()
    assert there.run(events, there.engine.found([("gone", 0)], events)) == []
