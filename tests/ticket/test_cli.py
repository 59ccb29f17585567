"""``secops alert`` and ``secops ticket`` over a real state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secops import settings, wiring
from secops.alert.group import raise_alerts
from secops.cli import root
from secops.records import Level, Match, RuleInfo
from secops.ticket import desk

RULE = RuleInfo(id="r", title="Brute force", title_zh="暴力破解", level=Level.HIGH)
HOSTILE = "\x1b]0;owned\x07\u202eevil\x00"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared state folder with one alert and its ticket."""
    folder = tmp_path_factory.mktemp("state")
    loaded = settings.load(folder)
    wiring.prepare(loaded)
    with wiring.opened(loaded) as service, service.database.begin() as tx:
        now = service.clock()
        match = Match(tenant="city", rule_id="r", at=now, event_ids=("0-1",), group=(("user.name", HOSTILE),), count=5)
        (alert,) = raise_alerts(tx, [match], {"r": RULE}, now)
        assert desk.open_for_alert(tx, alert, service.policy, now) is not None
    return folder


def run(state: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(root.build(words[0]), [*words, "--state", str(state)])
    assert result.exit_code == code, result.output
    return str(result.output)


def told(state: Path, *words: str) -> Any:
    return json.loads(run(state, *words, "--json"))


def test_alerts_are_listed_and_shown(state: Path) -> None:
    (found,) = told(state, "alert", "list", "--level", "high")
    assert (found["rule_id"], found["count"]) == ("r", 5)
    shown = told(state, "alert", "show", "1")
    assert shown["history"][0]["kind"] == "raised"
    assert "暴力破解" in run(state, "alert", "list")


def test_what_strangers_wrote_cannot_steer_the_terminal(state: Path) -> None:
    shown = run(state, "alert", "show", "1")
    assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(shown)
    assert "\\x1b]0;owned\\x07\\u202eevil\\x00" in shown
    assert told(state, "alert", "show", "1")["group"]["user.name"] == HOSTILE  # a program gets it as it was


def test_a_ticket_is_worked_from_the_command_line(state: Path) -> None:
    (ticket,) = told(state, "ticket", "list", "--in", "new")
    number = str(ticket["id"])
    assert ticket["clock"]["targets"][0]["state"] == "running"
    assert "no contractor" in run(state, "ticket", "act", number, "assign", "--set", "assignee=acme", code=2)
    told(state, "person", "organization", "acme", "--zh", "运维公司", "--en", "Acme", "--kind", "contractor")
    assert told(state, "ticket", "act", number, "assign", "--set", "assignee=acme")["assignee"] == "acme"
    assert told(state, "ticket", "act", number, "priority", "--set", "priority=1", "--set", "reason=x")["priority"] == 1
    shown = run(state, "ticket", "show", number)
    assert "一级" in shown
    assert "工时 working" not in shown, "priority 1 counts every hour"
    assert "已被取代" in shown
    assert {"restore", "answer"} <= set(shown.split())
    opened = told(state, "ticket", "open", "打印机", "--service", "service-desk", "--priority", "4")
    assert (opened["service"], opened["state"], opened["priority"]) == ("service-desk", "new", 4)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("ticket", "show", "999"), "no ticket 999"),
        (("ticket", "act", "1", "explode"), "no action 'explode'"),
        (("ticket", "act", "1", "comment"), "needs 'text'"),
        (("ticket", "act", "1", "comment", "--set", "text"), "must be KEY=VALUE"),
        (("ticket", "open", "x", "--service", "nope"), "no service 'nope'"),
        (("alert", "show", "999"), "no alert 999"),
        (("alert", "close", "1", "--reason", " ", "--disposition", "benign"), "needs a reason"),
    ],
)
def test_what_cannot_be_done_says_why_and_exits_with_2(state: Path, words: tuple[str, ...], reason: str) -> None:
    assert reason in run(state, *words, code=2)


def test_an_alert_is_acknowledged_and_closed_once(state: Path) -> None:
    assert told(state, "alert", "ack", "1")["status"] == "acknowledged"
    closed = told(state, "alert", "close", "1", "--reason", "误报", "--disposition", "false_positive")
    assert (closed["status"], closed["disposition"]) == ("closed", "false_positive")
    run(state, "alert", "ack", "1", code=2)
