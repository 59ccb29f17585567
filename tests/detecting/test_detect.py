"""The detect role with and without matcher processes; rules, switches and exceptions that change while it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from waiting import wait_until

from secops import pipeline
from secops.alert.detection import REFUSED_RULE
from secops.rulebook import exceptions, stats, switches
from secops.wiring import Service
from secops.worker.batches import Ahead
from secops.worker.detect import DetectRole
from tests.detecting.world import NOW, alerts, detecting, finish, look_until_used, outcome, service, store, write_rule

Outcome: TypeAlias = tuple[set[tuple[str, str, str]], dict[str, int]]
pytestmark = pytest.mark.timeout(120)


def spraying(count: int) -> list[str]:
    """Failed logins of many names from few addresses on many hosts: what correlates lies in different partitions."""
    return [
        f"<38>Nov 24 08:{n // 60 % 60:02d}:{n % 60:02d} host{n % 7} sshd[{n}]: "
        f"Failed password for user{n % 23} from 203.0.113.{n % 3} port 4022 ssh2"
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What one process finds."""
    with service(tmp_path_factory.mktemp("one") / "var") as found:
        store(found, spraying(600))
        with detecting(found) as role:
            finish(role)
        return outcome(found)


def test_one_process_finds_what_lies_in_several_partitions(
    expected: Outcome,
) -> None:
    found, hits = expected
    for n in range(3):
        assert any(f"203.0.113.{n}" in group for _, _, group in found)
    assert 600 in hits.values()


def test_two_matchers_find_the_same_though_one_is_killed_again_and_again(tmp_path: Path, expected: Outcome) -> None:
    with service(tmp_path / "var", processes=2) as found:
        with detecting(found) as role:
            source = role.source
            assert isinstance(source, Ahead)
            for part in range(6):
                store(found, spraying(600)[part * 100 : part * 100 + 100], first=part * 100)
                role.round()
                for pid in source._matchers.pids[: part % 3]:
                    os.kill(pid, signal.SIGKILL)
                finish(role)
            assert source.restarts > 0
        assert outcome(found) == expected


def test_a_role_that_starts_again_in_the_middle_loses_and_repeats_nothing(tmp_path: Path, expected: Outcome) -> None:
    with service(tmp_path / "var", processes=2) as found:
        store(found, spraying(600))
        for _ in range(3):
            with detecting(found) as role:  # its ranges in hand are thrown away each time
                wait_until(role.round, what="a batch")
                assert 0 < sum(role.offsets.values()) < 600
        with detecting(found) as role:
            finish(role)
        assert outcome(found) == expected


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "var") as made:
        yield made


@pytest.mark.parametrize("processes", [1, 2])
def test_a_changed_rule_set_replaces_the_running_one_between_two_batches(tmp_path: Path, processes: int) -> None:
    line = "<38>Nov 24 08:00:00 h1 app[1]: squirrel in the machine room"
    with service(tmp_path / "var", processes=processes) as found, detecting(found) as role:
        store(found, [line])
        finish(role)
        assert alerts(found) == []
        write_rule(found, "squirrel-rule", "squirrel")
        look_until_used(role, "squirrel-rule")
        store(found, [line], first=10)
        finish(role)
        assert [(rule, count) for rule, _, _, count in alerts(found)] == [("squirrel-rule", 1)]
        assert role.detail()["reload_seconds"] > 0


def test_a_rule_spoilt_while_it_runs_goes_on_as_it_was_and_raises_an_alert(found: Service) -> None:
    path = write_rule(found, "squirrel-rule", "squirrel")
    with detecting(found) as role:
        path.write_text("title: [broken\n")
        wait_until(lambda: role.look() or role.detail()["broken"], timeout=60, what="the broken file to be seen")
        assert "squirrel-rule.yml" in role.detail()["broken"][0]
        store(found, ["<38>Nov 24 08:00:00 h1 app[1]: squirrel"])
        finish(role)
        assert [(rule, group) for rule, _, group, _ in alerts(found)] == [
            (REFUSED_RULE.id, {"rule.ruleset": str(path.parent)}),
            ("squirrel-rule", {"host.name": "h1"}),
        ]
        write_rule(found, "squirrel-rule", "chipmunk")
        wait_until(lambda: role.look() or not role.detail()["broken"], timeout=60, what="the mended file")


def test_new_rules_that_are_refused_hold_up_nothing(found: Service) -> None:
    with detecting(found) as role:
        (found.settings.state / "rules" / "bad.yml").write_text("title: no detection\nid: bad-rule\n")
        write_rule(found, "squirrel-rule", "squirrel")
        look_until_used(role, "squirrel-rule")
        assert [each["file"].endswith("bad.yml") for each in role.detail()["refused"]] == [True]
        assert role.detail()["broken"] == []
    assert alerts(found) == []


def test_a_set_that_takes_too_long_to_compile_is_not_used(tmp_path: Path) -> None:
    with service(tmp_path / "var", compile_seconds=0.001) as found, detecting(found) as role:
        write_rule(found, "squirrel-rule", "squirrel")
        wait_until(lambda: role.look() or role.detail()["broken"], what="the deadline")
        assert "detect.compile_seconds" in role.detail()["broken"][0]
        assert "squirrel-rule" not in role.infos


def look_at_overrides(role: DetectRole) -> None:
    before = role.detector.overrides
    wait_until(lambda: role.look() or role.detector.overrides != before, what="the change to be taken over")


def test_switches_and_exceptions_count_at_once_for_whom_they_are_meant(found: Service) -> None:
    write_rule(found, "squirrel-rule", "squirrel")
    lines = [f"<38>Nov 24 08:00:00 h{n} app[1]: squirrel" for n in range(4)]
    with detecting(found) as role:
        with found.database.begin() as tx:
            switches.set_enabled(
                tx, rule_id="squirrel-rule", tenant="county-a", enabled=False, reason="zoo", actor="w", now=NOW
            )
            exceptions.add(
                tx,
                rule_id="squirrel-rule",
                tenant="",
                condition="host.name: h1",
                reason="tame",
                actor="w",
                now=NOW,
                expires_at=found.clock() + timedelta(days=1),
            )
        look_at_overrides(role)
        store(found, lines, tenant="city")
        store(found, lines, tenant="county-a", first=10)
        finish(role)
        assert [(tenant, group["host.name"]) for _, tenant, group, _ in alerts(found)] == [
            ("city", "h0"),
            ("city", "h2"),
            ("city", "h3"),
        ]
        with found.database.read() as tx:
            stat = stats.all(tx)["squirrel-rule"]
        assert (stat.hits, stat.excepted, stat.switched_off) == (3, 1, 4)
        assert stat.by_tenant == {"city": 3, "county-a": 0}
        with found.database.begin() as tx:
            switches.set_enabled(
                tx, rule_id="squirrel-rule", tenant="county-a", enabled=True, reason="moved", actor="w", now=NOW
            )
        look_at_overrides(role)
        store(found, lines[:1], tenant="county-a", first=20)
        finish(role)
        assert ("squirrel-rule", "county-a", {"host.name": "h0"}, 1) in alerts(found)


def test_exceptions_survive_an_update_of_their_rule(found: Service) -> None:
    path = write_rule(found, "squirrel-rule", "squirrel")
    with detecting(found) as role:
        with found.database.begin() as tx:
            exceptions.add(
                tx,
                rule_id="squirrel-rule",
                tenant="",
                condition="host.name: h0",
                reason="tame",
                actor="w",
                now=NOW,
                expires_at=None,
            )
        path.unlink()
        wait_until(lambda: role.look() or "squirrel-rule" not in role.infos, timeout=60, what="the rule to go")
        write_rule(found, "squirrel-rule", "chipmunk")
        look_until_used(role, "squirrel-rule")
        store(found, [f"<38>Nov 24 08:00:00 h{n} app[1]: chipmunk" for n in range(2)])
        finish(role)
    assert [group["host.name"] for _, _, group, _ in alerts(found)] == ["h1"]


def test_an_exception_that_cannot_be_read_is_shown_and_takes_nothing_out(found: Service) -> None:
    write_rule(found, "squirrel-rule", "squirrel")
    with found.database.begin() as tx:
        exceptions.add(
            tx,
            rule_id="squirrel-rule",
            tenant="",
            condition="[broken",
            reason="tame",
            actor="w",
            now=NOW,
            expires_at=None,
        )
    with detecting(found) as role:
        assert role.detail()["unreadable_exceptions"]
        store(found, ["<38>Nov 24 08:00:00 h1 app[1]: squirrel"])
        finish(role)
    assert len(alerts(found)) == 1


def test_the_lag_is_known_without_the_role(found: Service) -> None:
    store(found, ["<38>Nov 24 08:00:00 h1 app[1]: hello"] * 3)
    with found.database.read() as tx:
        offsets = pipeline.detect_offsets(tx, found.log.partitions)
    assert pipeline.lag(found.log, offsets, NOW + timedelta(seconds=90)) == (3, 90.0)
    with detecting(found) as role:
        finish(role)
        assert pipeline.lag(found.log, role.offsets, NOW + timedelta(seconds=90)) == (0, 0.0)


def test_a_changed_list_of_indicators_counts_like_a_changed_rule(found: Service) -> None:
    folder = found.settings.state / "rules"
    (folder / "bad.txt").write_text("198.51.100.1\n")
    (folder / "listed.yml").write_text(
        "title: listed\nid: listed-rule\nlevel: high\nlogsource: {product: linux}\n"
        "watch: {type: ioc, indicator: ip, fields: [source.ip], lists: [bad.txt]}\n"
    )
    line = "<38>Nov 24 08:00:00 h1 sshd[1]: Accepted password for root from 198.51.100.2 port 4022 ssh2"
    with detecting(found) as role:
        assert "listed-rule" in role.infos, role.detail()["refused"]
        store(found, [line])
        finish(role)
        assert "listed-rule" not in {rule for rule, _, _, _ in alerts(found)}
        before = role.detector
        (folder / "bad.txt").write_text("198.51.100.1\n198.51.100.2\n")
        wait_until(lambda: role.look() or role.detector is not before, timeout=60, what="the changed list")
        store(found, [line], first=10)
        finish(role)
    assert "listed-rule" in {rule for rule, _, _, _ in alerts(found)}
