from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.alert.matchers import MOST_CHARACTERS, Matcher, Operator, Subject, glob_holds, naming, read, read_all
from secops.errors import UserError
from secops.records import Level

SUBJECT = Subject(
    rule_id="ssh-brute-force",
    tenant="north",
    level=Level.HIGH,
    severity=Level.CRITICAL,
    tags=("attack.t1110", "secops.self"),
    group={"source.ip": "10.0.0.7"},
    hosts=("web-01", "web-02"),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("rule = ssh-brute-force", True),
        ("rule=ssh", False),
        ("rule ~ ssh-*", True),
        ("rule =~ ssh-.+", True),
        ("rule =~ ssh", False),  # the whole value
        ("tenant = north", True),
        ("level = high", True),
        ("severity = critical", True),
        ("tag = attack.t1110", True),
        ("tag != attack.t1110", False),
        ("host.name = web-02", True),
        ("host.name ~ WEB-0?", True),
        ("host.name != web-02", False),
        ("source.ip ~ 10.0.*", True),
        ("source.ip !~ 10\\..*", False),
        ('source.ip = "10.0.0.7"', True),
        ("user.name = root", False),
        ("user.name != root", True),
        ("user.name ~ *", False),  # there is none
        ("user.name !~ .*", True),
    ],
)
def test_a_matcher_says_what_it_reads_like(text: str, *, holds: bool) -> None:
    assert read(text).holds(SUBJECT) is holds


@given(
    st.sampled_from(["rule", "source.ip"]),
    st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL, Operator.GLOB]),
    st.text(min_size=1, max_size=50),
)
def test_what_it_writes_it_reads(field: str, operator: Operator, value: str) -> None:
    meant = Matcher(field, operator, value.replace("\x00", "x"))
    assert read(str(meant)) == meant


@given(st.text(max_size=300), st.text(max_size=300))
def test_matchers_made_from_an_alert_hold_of_it_and_stand_on_a_line_each(rule: str, value: str) -> None:
    subject = Subject(
        rule_id=rule, tenant="t", level=Level.LOW, severity=Level.LOW, group={"source.ip": value, "bad name": "x"}
    )
    for text in naming(subject):
        assert "\n" not in text
        assert read(text).holds(subject)


def test_matchers_made_from_an_alert_name_its_rule_and_group() -> None:
    assert naming(SUBJECT) == ["rule = ssh-brute-force", "source.ip = 10.0.0.7"]


@pytest.mark.parametrize(
    "text",
    ["", "rule", "rule =", "= x", "rule == ", "rule =~ (", "rule =~ (?=x)", "x" * (MOST_CHARACTERS + 1), "rüle\n!"],
)
def test_what_cannot_be_read_is_refused_with_both_languages(text: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert caught.value.code == "alert.matcher"
    assert caught.value.zh != caught.value.en


@pytest.mark.parametrize("texts", [[], [" "], ["tenant = city"], ["rule != x"], ["rule !~ x"], ["rule = a"] * 21])
def test_nobody_silences_everything(texts: list[str]) -> None:
    with pytest.raises(UserError):
        read_all(texts)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_glob_without_wildcards_is_equality_whatever_the_case(pattern: str, value: str) -> None:
    plain = pattern.replace("*", "").replace("?", "").encode("utf-8", "replace").decode()
    value = value.encode("utf-8", "replace").decode()
    assert glob_holds(plain, value) is (plain.lower() == value.lower())
    assert glob_holds("*" + plain + "*", value) is (plain.lower() in value.lower())


def test_hostile_values_and_patterns_cost_linear_time() -> None:
    begun = time.perf_counter()
    subject = Subject(rule_id="a" * 100_000, tenant="t", level=Level.LOW, severity=Level.LOW)
    assert not Matcher("rule", Operator.GLOB, "*a" * 100 + "b").holds(subject)
    assert not Matcher("rule", Operator.REGEX, "(a+)+b").holds(subject)
    assert time.perf_counter() - begun < 2
