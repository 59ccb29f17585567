from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secops.match.draft import read_draft
from secops.match.rule import Correlation

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
    login, refused = read_draft(LOGIN, [])
    assert login is not None
    assert refused == ()
    many, refused = read_draft(COUNT, [login])
    assert refused == ()
    assert many is not None
    assert isinstance(many.body, Correlation)
    assert many.body.rules == ("login",)


def test_a_new_text_of_a_running_rule_takes_its_place() -> None:
    login, _ = read_draft(LOGIN, [])
    assert login is not None
    changed, refused = read_draft(LOGIN.replace("a login", "another"), [login])
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
        rule, refused = read_draft(text, [])
        assert rule is None, text[:60]
        assert len(refused) == 1
        assert refused[0].zh
        assert word in refused[0].en
        assert refused[0].line >= line


@given(st.text(max_size=300))
def test_any_text_is_a_rule_or_a_refusal(text: str) -> None:
    rule, refused = read_draft(text, [])
    assert (rule is None) == bool(refused)


def test_a_name_that_another_rule_bears_is_refused() -> None:
    login, _ = read_draft(LOGIN, [])
    assert login is not None
    rule, refused = read_draft(LOGIN.replace("id: login", "id: other"), [login])
    assert rule is None
    assert "a_login" in refused[0].en
