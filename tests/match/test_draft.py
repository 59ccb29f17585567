from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.match.draft import read_draft
from secops.match.rule import Correlation

FOLDER = Path("rules")
LOGIN = """\
title: a login
id: login
name: a_login
logsource: {product: linux}
detection: {s: {event.action: ssh_login}, condition: s}
"""
COUNT = """\
title: many logins
id: many
correlation: {type: event_count, rules: [a_login], group-by: [host.name], timespan: 1m, condition: {gte: 5}}
"""


def test_a_rule_is_read_and_a_correlation_finds_the_running_rules_it_names() -> None:
    login, refused = read_draft(LOGIN, [], folder=FOLDER)
    assert login is not None
    assert refused == ()
    many, refused = read_draft(COUNT, [login], folder=FOLDER)
    assert refused == ()
    assert many is not None
    assert isinstance(many.body, Correlation)
    assert many.body.rules == ("login",)


def test_a_new_text_of_a_running_rule_takes_its_place() -> None:
    login, _ = read_draft(LOGIN, [], folder=FOLDER)
    assert login is not None
    changed, refused = read_draft(LOGIN.replace("a login", "another"), [login], folder=FOLDER)
    assert refused == ()
    assert changed is not None
    assert changed.info.title == "another"


def test_what_cannot_run_is_refused_with_its_line() -> None:
    for text, line, word in (
        (COUNT, 1, "a_login"),
        (LOGIN + "---\n" + LOGIN, 1, "one rule"),
        ("", 1, "one rule"),
        (LOGIN.replace("condition: s", "condition: t"), 5, "t"),
        (LOGIN.replace("id: login\n", ""), 1, "id"),
        ("title: [", 1, ""),
        (LOGIN + "filter: {rules: any, selection: {a: b}, condition: not selection}\n", 6, "filter"),
        (LOGIN + "x" * 1_000_001, 1, "bytes"),
    ):
        rule, refused = read_draft(text, [], folder=FOLDER)
        assert rule is None, text[:60]
        assert len(refused) == 1
        assert refused[0].zh
        assert word in refused[0].en
        assert refused[0].line >= line


@given(st.text(max_size=300))
def test_any_text_is_a_rule_or_a_refusal(text: str) -> None:
    rule, refused = read_draft(text, [], folder=FOLDER)
    assert (rule is None) == bool(refused)


def test_a_name_that_another_rule_bears_is_refused() -> None:
    login, _ = read_draft(LOGIN, [], folder=FOLDER)
    assert login is not None
    rule, refused = read_draft(LOGIN.replace("id: login", "id: other"), [login], folder=FOLDER)
    assert rule is None
    assert "a_login" in refused[0].en


def test_lists_of_indicators_are_looked_for_where_the_rule_is_to_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, elsewhere = tmp_path / "console", tmp_path / "elsewhere"
    for folder in (console, elsewhere):
        folder.mkdir()
        (folder / f"{folder.name}.txt").write_text("192.0.2.1\n", encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    head = (
        "title: t\nid: t\nlogsource: {product: linux}\nwatch: {type: ioc, indicator: ip, fields: [source.ip], lists: "
    )
    for name, good in (("console.txt", True), (f"{console}/console.txt", True), ("elsewhere.txt", False)):
        rule, refused = read_draft(f"{head}[{name}]}}\n", [], folder=console)
        assert (rule is not None, not refused) == (good, good)
