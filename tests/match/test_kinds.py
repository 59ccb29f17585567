"""What all kinds of watch promise beside their verdicts: strict settings, state, switches, hostile events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from secops.match.detector import Detector
from secops.match.kind import kinds
from secops.match.overrides import Overrides, RuleException, Tally, read_exception
from secops.match.stored import decode, encode
from tests.match.conftest import Documents, correlation, rule, watch
from tests.match.watching import BODIES, ID, START, at, event, hosts, of


def test_the_folder_holds_the_kinds_that_are_promised() -> None:
    assert sorted(kinds()) == sorted(BODIES)


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_rule_of_each_kind_survives_being_stored(tmp_path: Path, kind: str) -> None:
    found = of(tmp_path, kind)
    assert found.refused == ()
    assert decode(encode(found), found.roots) == found


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        *((kind, {"nonsense": 1}, "unknown watch setting 'nonsense'") for kind in sorted(BODIES)),
        ("absence", {"type": "presence"}, "unknown watch type"),
        ("absence", {"type": ["absence"]}, "unknown watch type"),
        ("absence", {"for": "soon"}, "time span"),
        ("absence", {"for": "0s"}, "time span"),
        ("absence", {"group-by": None}, "group-by: is needed"),
        ("absence", {"expect": ["a"]}, "must name its tenants"),
        ("absence", {"forget": "1m"}, "longer than for"),
        ("first_seen", {"memory": "30m"}, "shorter than learn"),
        ("first_seen", {"learn": None}, "time span"),
        ("first_seen", {"fields": []}, "fields: is needed"),
        ("first_seen", {"fields": [1]}, "text or a list"),
        ("ioc", {"indicator": "email"}, "indicator: one of ip, domain, hash, url"),
        ("ioc", {"lists": "gone.txt"}, "cannot use gone.txt"),
        ("ioc", {"lists": "../list.txt"}, "outside"),
        ("ioc", {"lists": "/etc/hosts.txt"}, "outside"),
        ("ioc", {"lists": "rules.yml"}, "must end in .txt or .csv"),
        ("ioc", {"indicator": "hash"}, "line 1 is no hash"),
        ("rare", {"share": 0}, "share: a number from"),
        ("rare", {"least": 5}, "times share must be more than 1"),
        ("rare", {"days": 1.5}, "whole number"),
        ("rare", {"days": True}, "days: a number"),
        ("spike", {"bucket": "7m"}, "whole number of them"),
        ("spike", {"bucket": "1m"}, "at least 5m"),
        ("spike", {"history": 20}, "more than days"),
        ("threshold", {"condition": {"gt": 1, "lt": 2}}, "write {gt: 90}"),
        ("threshold", {"condition": {"gt": float("nan")}}, "write {gt: 90}"),
        ("threshold", {"aggregate": "avg"}, "window: needed"),
        ("threshold", {"window": "5m"}, "window: needed"),
        ("threshold", {"aggregate": "percentile", "window": "5m"}, "percentile: needed"),
        ("threshold", {"aggregate": ["avg"]}, "aggregate: one of"),
        ("threshold", {"for": {"a": 1}}, "time span"),
    ],
)
def test_settings_are_strict(tmp_path: Path, kind: str, body: dict[str, Any], said: str) -> None:
    found = of(tmp_path, kind, body=body)
    assert found.rules == ()
    [refused] = found.refused
    assert said in refused.en
    assert re.search(r"[\u4e00-\u9fff]", refused.zh)
    assert refused.line > 1
    assert refused.file.endswith("rules.yml")


def test_a_list_may_not_be_reached_by_a_link_that_leads_outside(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("192.0.2.1\n")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert "outside" in of(folder, "ioc", body={"lists": "link.txt"}).refused[0].en


def test_correlations_see_what_a_watch_says_and_not_what_it_looks_at(load: Documents) -> None:
    found = load(
        watch({"type": "threshold", "field": "v", "condition": {"gt": 3}, "group-by": "host.name"}, name="high"),
        correlation({"type": "event_count", "rules": ["high"], "timespan": "5m", "condition": {"gte": 2}}),
    )
    assert found.refused == ()
    detector = Detector(found)
    assert detector.run([event(0, v=9), event(1, v=9), event(2, v=9)]) == []
    [match] = detector.run([event(3, 7, v=9, **{"host.name": "y"})])
    assert match.event_ids == ("0-0", "0-7")
    assert {key[0][-3:]: tally.hits for key, tally in detector.take_tally().items()} == {"700": 2, "900": 1}


def test_switches_and_exceptions_are_about_what_a_watch_says(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"group-by": "host.name"})
    off = Detector(found, overrides=Overrides(frozenset({("city", ID)})))
    assert off.run([event(0, v=9)]) == []
    assert off.take_tally() == {(ID, "city"): Tally(0, round(START.timestamp() * 1e6), 0, 1)}
    exception = RuleException(1, "", read_exception("host.name: x"))
    excepted = Detector(found, overrides=Overrides(exceptions={ID: (exception,)}))
    assert hosts(excepted.run([event(0, v=9), event(0, v=9, **{"host.name": "y"})])) == ["y"]


def test_a_watch_of_a_tenant_looks_at_no_other(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"group-by": "host.name"}, tenants=["county"])
    matches = Detector(found).run([event(0, v=9), event(0, v=9, **{"organization.id": "county"})])
    assert [match.tenant for match in matches] == ["county"]


def test_filters_narrow_what_a_watch_looks_at(load: Documents) -> None:
    found = load(
        watch({"type": "threshold", "field": "v", "condition": {"gt": 3}}),
        {
            "title": "F",
            "id": "00000000-0000-4000-8000-000000000701",
            "logsource": {"product": "test"},
            "filter": {"rules": [ID], "s": {"host.name": "x"}, "condition": "not s"},
        },
    )
    assert found.refused == ()
    assert Detector(found).run([event(0, v=9)]) == []
    assert Detector(found).run([event(0, v=9, **{"host.name": "y"})])


@pytest.mark.parametrize("kind", [kind for kind in sorted(BODIES) if kind != "ioc"])
def test_state_of_a_watch_that_means_something_else_now_is_deleted(tmp_path: Path, kind: str) -> None:
    before = Detector(of(tmp_path, kind))
    before.run([event(0, v=1)])
    stored = {key: value for key, value in before.take_changes().items() if value is not None}
    assert stored
    assert Detector(of(tmp_path, kind), stored).take_changes() == {}
    changed = {"group-by": ["host.name", "more"]}
    assert Detector(of(tmp_path, kind, body=changed), stored).take_changes() == dict.fromkeys(stored)
    spoilt = dict.fromkeys(stored, b"\xff[")
    assert Detector(of(tmp_path, kind), spoilt).take_changes() == dict.fromkeys(stored)


@pytest.mark.parametrize("kind", sorted(BODIES))
@pytest.mark.parametrize(
    "hostile",
    [
        {"v": "x" * 200_000},
        {"v": {"deep": {"a": 1}}},
        {"v": ["a", None, {"b": 1}]},
        {"v": 10**400},
        {"v": "1e999"},
        {"v": "\ud800"},
        {"host.name": ["a", "b"]},
        {"host.name": "\ud800"},
        {"@timestamp": "9999-12-31T23:59:59Z", "event.ingested": "9999-12-31T23:59:59Z"},
        {"@timestamp": "0001-01-01T00:00:00Z", "event.ingested": "0001-01-01T00:00:00Z"},
        {"@timestamp": None, "event.ingested": None},
        {"organization.id": None},
    ],
    ids=str,
)
def test_hostile_events_stop_no_watch(tmp_path: Path, kind: str, hostile: dict[str, Any]) -> None:
    found = of(tmp_path, kind, body={"group-by": ["host.name"]} if kind != "ioc" else {})
    assert found.refused == ()
    detector = Detector(found)
    detector.run([event(0, v=1), event(1, 1, v=9) | hostile, event(2, 2, v=1)])
    detector.tick(at(60))
    stored = {key: value for key, value in detector.take_changes().items() if value is not None}
    again = Detector(found, stored)
    assert again.take_changes() == {}
    again.run([event(3, 3, v=9)])


@pytest.mark.parametrize("kind", ["rare", "spike", "threshold"])
def test_one_event_from_the_future_does_not_make_its_key_deaf(tmp_path: Path, kind: str) -> None:
    detector = Detector(of(tmp_path, kind))
    ahead = {"@timestamp": "2199-01-01T00:00:00Z", "event.ingested": at(0).isoformat()}
    detector.run([event(0, v=1) | ahead, *(event(number, number, v=1) for number in range(1, 50))])
    assert detector.statistics()["late"] == 0


def test_nor_a_correlation(load: Documents) -> None:
    base = rule({"s": {"kind": "a"}, "condition": "s"}, 1, name="a")
    body = {"type": "event_count", "rules": ["a"], "timespan": "1m", "group-by": ["host.name"], "condition": {"gte": 3}}
    detector = Detector(load(base, correlation(body)))
    ahead = {"@timestamp": "2199-01-01T00:00:00Z", "event.ingested": at(0).isoformat()}
    assert detector.run([event(0, kind="a") | ahead]) == []
    assert len(detector.run([event(second, second, kind="a") for second in (300, 301, 302)])) == 1
