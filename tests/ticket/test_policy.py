from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secops.errors import UserError
from secops.records import Alert, AlertStatus, Level
from secops.ticket.policy import Policy, load_policy
from secops.ticket.services import load_catalogue

RULES = Path(__file__).parents[2] / "rules"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
BODY = """default_service: service-desk
duties:
  d: {zh: 报告, en: report, within: 4 h, source: law}
rules:
  - name: water
    when: {tenant: [water*], level: [high, critical]}
    service: network-operations
    priority: 1
  - name: brute
    when: {rule_id: [ssh-*], tag: ["attack.t1110*"]}
    duties: [d]
  - name: muted
    when: {rule_id: noisy}
    ticket: none
  - name: by-service
    when: {service: [host-operations]}
    priority: 4
"""


def alert(**changes: Any) -> Alert:
    told: dict[str, Any] = {
        "id": 1, "tenant": "city", "rule_id": "r", "title": "t", "level": Level.HIGH, "status": AlertStatus.OPEN,
        "fingerprint": "f", "first_seen": NOW, "last_seen": NOW, "created_at": NOW, "count": 1, "group": {}, "event_ids": (),
    }  # fmt: skip
    return Alert(**(told | changes))


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(BODY, encoding="utf-8")
    return load_policy([file], load_catalogue([RULES / "services"]))


@pytest.mark.parametrize(
    ("changes", "service", "priority", "rule"),
    [
        ({}, "service-desk", 2, "default"),
        ({"level": Level.CRITICAL}, "service-desk", 1, "default"),
        ({"level": Level.MEDIUM}, "service-desk", 3, "default"),
        ({"level": Level.LOW}, "service-desk", 4, "default"),
        ({"level": Level.LOW, "severity": Level.CRITICAL}, "service-desk", 1, "default"),
        ({"service": "application-operations"}, "application-operations", 2, "default"),
        ({"service": "not-in-the-catalogue"}, "service-desk", 2, "default"),
        ({"tenant": "water-1"}, "network-operations", 1, "water"),
        ({"tenant": "water-1", "level": Level.LOW}, "service-desk", 4, "default"),
        ({"rule_id": "ssh-x", "tags": ("attack.t1110.001",)}, "service-desk", 2, "brute"),
        ({"rule_id": "ssh-x"}, "service-desk", 2, "default"),
        ({"service": "host-operations", "level": Level.CRITICAL}, "host-operations", 4, "by-service"),
        ({"service": "host-operations", "level": Level.INFORMATIONAL}, "host-operations", 4, "by-service"),
    ],
)
def test_the_first_rule_that_holds_decides(
    policy: Policy, changes: dict[str, Any], service: str, priority: int, rule: str
) -> None:
    decision = policy.decide(alert(**changes))
    assert decision is not None
    assert (decision.service, decision.priority, decision.rule) == (service, priority, rule)
    assert [duty.id for duty in decision.duties] == (["d"] if rule == "brute" else [])


@pytest.mark.parametrize("changes", [{"level": Level.INFORMATIONAL}, {"rule_id": "noisy"}])
def test_some_alerts_open_no_ticket(policy: Policy, changes: dict[str, Any]) -> None:
    assert policy.decide(alert(**changes)) is None


def test_our_policy_loads_and_times_the_reports_the_law_asks_for() -> None:
    ours = load_policy([RULES / "ticket"], load_catalogue([RULES / "services"]))
    decision = ours.decide(alert(tags=("secops.incident.major",), level=Level.LOW))
    assert decision is not None
    assert (decision.service, decision.priority) == ("security-operations", 1)
    assert [duty.within for duty in decision.duties] == [timedelta(hours=4)]
    assert ours.decide(alert(level=Level.INFORMATIONAL)) is None
    itself = ours.decide(alert(tags=("secops.self",)))
    assert itself is not None
    assert itself.service == "platform-operations"


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("service: network-operations", "service: plumbing", 7, "no service 'plumbing'"),
        ("default_service: service-desk", "default_service: plumbing", 1, "no service 'plumbing'"),
        ("priority: 1", "priority: 5", 8, "a priority is 1 to 4"),
        ("priority: 1", "priority: high", 8, "not a whole number"),
        ("level: [high, critical]", "level: [severe]", 6, "not one of"),
        ("level: [high, critical]", "colour: [red]", 6, "'colour' is not known"),
        ("duties: [d]", "duties: [e]", 11, "no duty 'e'"),
        ("ticket: none", "ticket: maybe", 14, "not one of"),
        ("within: 4 h", "within: 1 working day", 3, "wall time"),
        ("within: 4 h", "within: soon", 3, "not a duration"),
        ("  - name: water\n    when", "  - when", 5, "'name' is missing"),
    ],
)
def test_a_mistake_names_file_line_and_reason(tmp_path: Path, old: str, new: str, line: int, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    assert old in BODY
    file.write_text(BODY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_policy([file], load_catalogue([RULES / "services"]))
    assert caught.value.code == "policy.file"
    assert caught.value.en.startswith(f"{file}:{line}: "), caught.value.en
    assert reason in caught.value.en


def test_a_policy_without_a_default_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: []\n", encoding="utf-8")
    with pytest.raises(UserError, match="default_service"):
        load_policy([file], load_catalogue([RULES / "services"]))
