from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secops.alert.attack import coverage, name_of, raised_by_tags, tactics_of, techniques_of
from secops.alert.group import raise_alerts
from secops.alert.rule_files import load_tactics, load_techniques
from secops.db import Database
from secops.errors import UserError
from secops.match.load import load_rules
from secops.records import Level, Match, RuleInfo
from secops.rule_source import content_dir

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
TECHNIQUES = load_techniques(content_dir() / "rules" / "alert" / "techniques.yaml")
TACTICS = load_tactics(content_dir() / "rules" / "alert" / "attack.yaml")


def test_the_table_is_the_enterprise_matrix() -> None:
    assert len(TACTICS) == len({one.id for one in TACTICS}) == len({one.tag for one in TACTICS}) == 15
    assert [one.zh for one in TACTICS if one.id == "TA0006"] == ["凭据访问"]


def test_tags_name_tactics_and_techniques_in_either_spelling() -> None:
    tags = [
        "attack.credential_access",
        "attack.t1110.001",
        "attack.Initial-Access",
        "attack.g0007",
        "secops.self",
        "attack.t1",
    ]
    assert [one.id for one in tactics_of(tags, TACTICS)] == ["TA0001", "TA0006"]
    split = ["attack.stealth", "attack.defense-evasion", "attack.defense_evasion", "attack.defense-impairment"]
    assert [[one.id for one in tactics_of([tag], TACTICS)] for tag in split] == [["TA0005"]] * 3 + [["TA0112"]]
    assert techniques_of(tags) == ["T1110.001"]


def test_every_technique_that_our_rules_name_has_a_name_of_its_own() -> None:
    rules = load_rules([content_dir() / "rules" / part for part in ("detection", "correlation", "watch")]).rules
    named = {one for rule in rules for one in techniques_of(rule.info.tags)}
    assert len(named) > 100
    assert named - set(TECHNIQUES) == set()


def test_a_sub_technique_without_a_name_is_called_as_its_technique() -> None:
    assert [one and one.en for one in (name_of(id_, TECHNIQUES) for id_ in ("T1110.001", "T1110.099", "T9999"))] == [
        "Password Guessing",
        "Brute Force",
        None,
    ]


def test_a_technique_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("techniques:\n" + "  - {id: T1, zh: 甲, en: a}\n" * 2)
    with pytest.raises(UserError, match="given twice"):
        load_techniques(tmp_path / "t.yaml")


def rule(name: str, level: Level, *tags: str) -> RuleInfo:
    return RuleInfo(id=name, title=name, level=level, tags=tags)


def test_coverage_counts_rules_levels_techniques_and_alerts() -> None:
    rules = [
        rule("a", Level.HIGH, "attack.impact", "attack.t1499"),
        rule("b", Level.LOW, "attack.impact", "attack.execution", "attack.t1499"),
        rule("c", Level.LOW, "secops.self"),
    ]
    found = {one.tactic.tag: one for one in coverage(rules, [(["attack.impact"], 3), (["x"], 9)], TACTICS)}
    impact = found["impact"]
    assert (impact.rules, impact.levels, impact.techniques, impact.alerts) == (
        2,
        {Level.HIGH: 1, Level.LOW: 1},
        (("T1499", 2),),
        3,
    )
    assert (found["execution"].rules, found["execution"].alerts, found["discovery"].rules) == (1, 0, 0)


def test_alerts_are_counted_by_tags_tenant_and_time(db: Database) -> None:
    rules = {one.id: one for one in (rule("a", Level.HIGH, "attack.impact"), rule("b", Level.LOW))}
    for number, (name, tenant, days) in enumerate(
        (("a", "city", 0), ("a", "city", 1), ("a", "north", 0), ("b", "city", 0), ("a", "city", 40))
    ):
        at = NOW - timedelta(days=days)
        match = Match(tenant=tenant, rule_id=name, at=at, event_ids=(), group=(("n", str(number)),))
        with db.begin() as tx:
            raise_alerts(tx, [match], rules, at)
    with db.read() as tx:
        since = NOW - timedelta(days=30)
        assert sorted(raised_by_tags(tx, tenants=None, since=since)) == [([], 1), (["attack.impact"], 3)]
        assert raised_by_tags(tx, tenants=frozenset({"north"}), since=since) == [(["attack.impact"], 1)]
