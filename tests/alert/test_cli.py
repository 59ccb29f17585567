"""``secops silence``, ``secops maintenance`` and ``secops alert noise`` over a real state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secops import settings, wiring
from secops.alert.group import raise_alerts
from secops.cli import root
from secops.errors import UserError
from secops.records import Level, Match, RuleInfo

RULE = RuleInfo(id="r", title="Brute force", title_zh="暴力破解", level=Level.HIGH)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    wiring.prepare(settings.load(folder))
    return folder


def run(state: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(root.build(words[0]), [*words, "--state", str(state)])
    assert result.exit_code == code, result.output
    return str(result.output)


def told(state: Path, *words: str) -> Any:
    return json.loads(run(state, *words, "--json"))


def raised(state: Path, ip: str) -> None:
    with wiring.opened(settings.load(state)) as service, service.database.begin() as tx:
        match = Match(tenant="city", rule_id="r", at=service.clock(), event_ids=(), group=(("source.ip", ip),))
        raise_alerts(tx, [match], {"r": RULE}, service.clock())


def test_a_silence_mutes_until_it_is_ended(state: Path) -> None:
    made = told(state, "silence", "add", "rule = r", "source.ip ~ 10.*", "--reason", "演练", "--for", "3h")
    raised(state, "10.0.0.1")
    raised(state, "172.16.0.1")
    (quiet,) = told(state, "alert", "list", "--muted")
    assert quiet["muted_by"] == f"silence:{made['id']}"
    assert "演练" in run(state, "alert", "show", str(quiet["id"]))
    assert len(told(state, "alert", "list", "--no-muted", "--text", "172.16")) == 1
    assert "10.*" in run(state, "silence", "list")
    told(state, "silence", "end", str(made["id"]), "--reason", "完成")
    assert "already" in run(state, "silence", "end", str(made["id"]), "--reason", "完成", code=2)
    (kept,) = told(state, "silence", "list")
    assert kept["end_reason"] == "完成"


@pytest.mark.parametrize(
    "words",
    [
        ("silence", "add", "tenant = city", "--reason", "r"),
        ("silence", "add", "rule = r", "--reason", "r", "--for", "soon"),
        ("silence", "add", "rule = r", "--reason", "r", "--from", "tomorrow"),
        ("silence", "end", "99", "--reason", "r"),
        ("maintenance", "add", "BG-1", "--from", "2020-01-01", "--to", "2020-01-02", "--reason", "r"),
        ("maintenance", "end", "99", "--reason", "r"),
    ],
)
def test_what_cannot_be_is_refused_in_both_languages(state: Path, words: tuple[str, ...]) -> None:
    said = run(state, *words, code=2)
    assert "错误：" in said
    assert "error: " in said


def test_a_window_is_announced_listed_and_ended(state: Path) -> None:
    span = ("--from", "2026-11-01", "--to", "2027-10-01")
    weekly = ("--repeat", "weekly", "--day", "6", "--day", "7", "--opens", "22:00", "--closes", "02:00")
    made = told(state, "maintenance", "add", "BG-9", *span, "--reason", "补丁", "--host", "web-*", *weekly)
    (row,) = told(state, "maintenance", "list")
    assert (row["days"], row["opens"], row["hosts"]) == ([6, 7], "22:00", ["web-*"])
    assert "BG-9" in run(state, "maintenance", "list")
    assert told(state, "maintenance", "end", str(made["id"]), "--reason", "取消")["ended"]


def test_noise_is_reported(state: Path) -> None:
    raised(state, "192.0.2.1")
    (row,) = told(state, "alert", "noise")
    assert (row["rule_id"], row["share"], row["time_to_close"]) == ("r", 1.0, None)
    assert "暴力破解" in run(state, "alert", "noise", "--from", "2020-01-01")
    assert told(state, "alert", "noise", "--to", "2020-01-01") == []


def test_a_broken_file_of_weights_stops_the_start_and_the_check_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "severity.yaml"
    wrong.write_text("assets:\n  - {zh: 甲, en: a, hosts: [x]}\n")
    monkeypatch.setenv("SECOPS_ALERTS__SEVERITY_FILE", str(wrong))
    assert "severity.yaml:2" in run(tmp_path, "config", "check", code=2)
    with pytest.raises(UserError, match=r"severity\.yaml:2"):
        wiring.prepare(settings.load(tmp_path / "var"))
    monkeypatch.setenv("SECOPS_ALERTS__SEVERITY_FILE", str(tmp_path / "none.yaml"))
    assert "none.yaml" in run(tmp_path, "config", "check", code=2)
