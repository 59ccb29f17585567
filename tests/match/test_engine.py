"""The engine against the naive evaluator: every modifier and trap by hand, then made-up rules and events."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secops.match.engine import Engine
from secops.match.load import load_rules
from secops.match.rule import RuleSet
from secops.match.scan import Databases
from tests.match import naive
from tests.match.conftest import Documents, rule

PLACEHOLDERS = {"admins": ("root", "管理员", "a*")}


def holds(found: RuleSet, event: dict[str, Any]) -> list[str]:
    """Rules that hold by every way of asking, which must agree."""
    answers = []
    for vector in (True, False):
        for cached in (True, False):
            engine = Engine(found.rules, databases=Databases(vector=vector), cached=cached)
            answers.append([[hit.rule_id for hit in engine.match([event])] for _ in range(2)])
    assert all(each == answers[0] for each in answers)
    assert answers[0][0] == answers[0][1]
    return answers[0][0]


CASES = [
    # item, event, whether it holds
    ({"f": "Value"}, {"f": "vALUE"}, True),
    ({"f": "value"}, {"f": "value "}, False),
    ({"f": "val*"}, {"f": "value"}, True),
    ({"f": "v?l?e"}, {"f": "VALUE"}, True),
    ({"f": "v?lue"}, {"f": "vlue"}, False),
    ({"f": r"a\*b"}, {"f": "a*b"}, True),
    ({"f": r"a\*b"}, {"f": "axb"}, False),
    ({"f": r"a\\*"}, {"f": "a\\bc"}, True),
    ({"f": r"C:\Windows\*"}, {"f": "c:\\windows*"}, True),
    ({"f": r"C:\Windows\\*"}, {"f": "c:\\windows\\system32"}, True),
    ({"f": r"\\\\host\share"}, {"f": "\\\\HOST\\share"}, True),
    ({"f|contains": "mid"}, {"f": "aMIDb"}, True),
    ({"f|startswith": "aa"}, {"f": "AAb"}, True),
    ({"f|startswith": "ab"}, {"f": "aab"}, False),
    ({"f|endswith": r"\cmd.exe"}, {"f": r"C:\Windows\CMD.EXE"}, True),
    ({"f|endswith": r"\cmd.exe"}, {"f": "cmd.exe"}, False),
    ({"f|endswith": r"32\cmd.exe"}, {"f": r"C:\System32\cmd.exe"}, True),
    ({"f|endswith": "\\"}, {"f": "C:\\"}, True),
    ({"f|endswith": "/bin/sh"}, {"f": "/usr/bin/sh"}, True),
    ({"f|contains|all": ["a", "b"]}, {"f": "xbxa"}, True),
    ({"f|contains|all": ["a", "b"]}, {"f": "xa"}, False),
    ({"f|contains": ["a", "b"]}, {"f": "xb"}, True),
    ({"f|contains|cased": "Mid"}, {"f": "amid"}, False),
    ({"f|cased": "Mid"}, {"f": "Mid"}, True),
    ({"f": ""}, {"f": ""}, True),
    ({"f": ""}, {}, False),
    ({"f": ""}, {"f": None}, False),
    ({"f": None}, {}, True),
    ({"f": None}, {"f": None}, True),
    ({"f": None}, {"f": ""}, False),
    ({"f": ["x", None]}, {}, True),
    ({"f|exists": True}, {"f": None}, True),
    ({"f|exists": True}, {}, False),
    ({"f|exists": False}, {}, True),
    ({"f": "*"}, {"f": ""}, True),
    ({"f": "*"}, {"f": None}, False),
    ({"f|contains": ""}, {"f": "x"}, True),
    ({"f": 4625}, {"f": "4625"}, True),
    ({"f": "4625"}, {"f": 4625}, True),
    ({"f": 1}, {"f": True}, False),
    ({"f": True}, {"f": "True"}, True),
    ({"f": 1}, {"f": 1.0}, True),
    ({"f": 1.5}, {"f": "1.5"}, True),
    ({"f|contains": 46}, {"f": 4625}, True),
    ({"f|gte": 5}, {"f": "5"}, True),
    ({"f|gt": 5}, {"f": 5}, False),
    ({"f|lt": 5}, {"f": "x"}, False),
    ({"f|lte": 5.5}, {"f": "5.25"}, True),
    ({"f|lt": 5}, {}, False),
    ({"f|neq": "x"}, {}, True),
    ({"f|neq": ["x", "y"]}, {"f": "Y"}, False),
    ({"f|contains|neq": "x"}, {"f": "abc"}, True),
    ({"f|re": "^a.c$"}, {"f": "abc\n"}, True),
    ({"f|re": "a.c"}, {"f": "ABC"}, False),
    ({"f|re": "b"}, {"f": "abc"}, True),
    ({"f|re|i": "B"}, {"f": "abc"}, True),
    ({"f|re": "a.c"}, {"f": "a\nc"}, False),
    ({"f|re|s": "a.c"}, {"f": "a\nc"}, True),
    ({"f|re": "^c$"}, {"f": "a\nc\nd"}, False),
    ({"f|re|m": "^c$"}, {"f": "a\nc\nd"}, True),
    ({"f|re": r"[$]x\$"}, {"f": "$x$"}, True),
    ({"f|re": "^$"}, {"f": ""}, True),
    ({"f|cidr": "10.0.0.0/8"}, {"f": "10.200.3.4"}, True),
    ({"f|cidr": "10.0.0.0/8"}, {"f": "11.0.0.1"}, False),
    ({"f|cidr": "10.0.0.0/8"}, {"f": "10.1.0.0/16"}, True),
    ({"f|cidr": "fe80::/10"}, {"f": "fe80::1"}, True),
    ({"f|cidr": "10.0.0.0/8"}, {"f": "not an address"}, False),
    ({"f|windash|contains": " -enc "}, {"f": "powershell /enc x"}, True),
    ({"f|windash|contains": " -enc "}, {"f": "powershell –enc x"}, True),
    ({"f|windash|contains": "a-b"}, {"f": "a/b"}, False),
    ({"f|windash|endswith": "-x -y"}, {"f": "p /x —y"}, True),
    ({"f|base64": "secret"}, {"f": base64.b64encode(b"secret").decode()}, True),
    ({"f|base64offset|contains": "secret"}, {"f": base64.b64encode(b"a secret text").decode()}, True),
    ({"f|wide|base64offset|contains": "IEX"}, {"f": base64.b64encode("x IEX(y)".encode("utf-16-le")).decode()}, True),
    ({"f|utf16be|base64offset|contains": "IEX"}, {"f": base64.b64encode("x IEX".encode("utf-16-be")).decode()}, True),
    ({"f|utf16|base64": "IEX"}, {"f": base64.b64encode("IEX".encode("utf-16")).decode()}, True),
    ({"f|fieldref": "g"}, {"f": "Same", "g": "same"}, True),
    ({"f|fieldref": "g"}, {"f": "same"}, False),
    ({"f|fieldref|startswith": "g"}, {"f": "same thing", "g": "SAME"}, True),
    ({"f|fieldref|cased": "g"}, {"f": "Same", "g": "same"}, False),
    ({"f|endswith|fieldref": "g"}, {"f": "the same", "g": "same"}, True),
    ({"f|expand": "%admins%"}, {"f": "管理员"}, True),
    ({"f|expand|contains": "u:%admins%:"}, {"f": "xu:ROOT:y"}, True),
    ({"f|hour": 3}, {"f": "2026-11-24T11:30:00+08:00"}, True),
    ({"f|week": 48}, {"f": "2026-11-24T11:30:00Z"}, True),
    ({"f|minute": 30}, {"f": "not a time"}, False),
    ({"f": ["a", "b"]}, {"f": ["x", "B"]}, True),
    ({"f|contains|all": ["a", "b"]}, {"f": ["a", "b"]}, True),
    ({"f": "a"}, {"f": []}, False),
    ({"f": None}, {"f": []}, False),
    ({"f": "a"}, {"f": {"g": "a"}}, False),
    ({"two words": "x"}, {"two words": "X"}, True),
    ({"f|contains": "ΣΑΣ"}, {"f": "ο σας"}, True),
    ({"f|contains": "straße"}, {"f": "STRASSE"}, False),
    ({"f|contains": "İ"}, {"f": "i̇"}, True),
    ({"f": "中文*"}, {"f": "中文字"}, True),
    ({"f": "?"}, {"f": "𝄞"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("item", "event", "expected"), CASES)
def test_values_and_modifiers(load: Documents, item: dict[str, Any], event: dict[str, Any], *, expected: bool) -> None:
    detection = {"a": item, "condition": "a"}
    found = load(rule(detection), placeholders=PLACEHOLDERS)
    assert found.refused == ()
    assert bool(holds(found, event)) == expected
    assert naive.rule_check(detection, {name: list(values) for name, values in PLACEHOLDERS.items()})(event) == expected
    negated = load(rule({"a": item, "condition": "not a"}), placeholders=PLACEHOLDERS)
    assert bool(holds(negated, event)) != expected


CONDITIONS = [
    ("a or b and c", {"a": 1}, True),
    ("(a or b) and c", {"a": 1}, False),
    ("not a and b", {"b": 1}, True),
    ("not (a and b)", {"b": 1}, True),
    ("not not a", {"a": 1}, True),
    ("1 of them", {"c": 1}, True),
    ("all of them", {"a": 1, "b": 1}, False),
    ("1 of them", {"_h": 1}, False),
    ("1 of _*", {"_h": 1}, True),
    ("all of filter_*", {"filter_x": 1, "filter_y": 1}, True),
    ("a and not 1 of filter_*", {"a": 1, "filter_y": 1}, False),
    ("any of filter_?", {"filter_y": 1}, True),
    ("A OR b", {"b": 1}, None),
    ("a AND NOT b", {"a": 1}, True),
    ("1 OF filter*", {"filter_x": 1}, True),
]


@pytest.mark.parametrize(("condition", "event", "expected"), CONDITIONS)
def test_conditions(load: Documents, condition: str, event: dict[str, Any], *, expected: bool | None) -> None:
    names = ("a", "b", "c", "_h", "filter_x", "filter_y")
    detection = {**{name: {name: 1} for name in names}, "condition": condition}
    found = load(rule(detection))
    if expected is None:
        assert "names 'A'" in found.refused[0].en
        return
    assert bool(holds(found, event)) == expected
    assert naive.rule_check(detection)(event) == expected


@pytest.mark.parametrize(
    ("body", "event", "expected"),
    [
        ("word", {"x": "some WORDs"}, True),
        (["w1", "w2"], {"x": "w2", "y": "z"}, True),
        ({"|all": ["w1", "w2"]}, {"x": "w2", "y": "w1"}, True),
        ({"|all": ["w1", "w2"]}, {"x": "w2"}, False),
        ("a*c", {"x": "--abc--"}, True),
        ("a*c", {"x": "a", "y": "c"}, False),
        ("1102", {"x": 41102}, True),
        ({"|re": "w[0-9]"}, {"x": "..w7"}, True),
        ([{"f": "x"}, "word"], {"g": "word"}, True),
        ([{"f": "x"}, {"g": "y"}], {"g": "y"}, True),
        ("word", {"x": ["other", "word"]}, True),
        ("word", {"event.original": "a word"}, True),
        ("word", {"event.original": '{"word": 1}', "original": {"word": 1}, "word": 1}, False),
        ("word", {"event.original": '{"x": "word"}', "original": {"x": "word"}, "x": "word"}, True),
        ("word", {"event.original": "CEF:0|word|", "original": {"x": "1"}, "x": "1"}, True),
    ],
)
def test_keywords_and_lists(load: Documents, body: Any, event: dict[str, Any], *, expected: bool) -> None:
    detection = {"a": body, "condition": "a"}
    assert bool(holds(load(rule(detection)), event)) == expected
    assert naive.rule_check(detection)(event) == expected


def test_a_hit_says_which_fields_made_it(load: Documents) -> None:
    detection = {"a": {"f": "x*", "g|contains": "y"}, "b": {"h": "z"}, "condition": "a and not b"}
    [hit] = Engine(load(rule(detection)).rules).match([{"f": "xx", "g": "zy", "h": "n", "i": 1}])
    assert hit.fields == {"f": "xx", "g": "zy"}


TEXT = st.text(alphabet="abAB.\\/-*? σΣς中", max_size=6)
SCALAR = st.one_of(TEXT, st.integers(-3, 30), st.booleans(), st.none(), st.floats(-3, 3, width=16))
FIELD = st.sampled_from(["f", "g", "h"])
ADDRESS = st.sampled_from(["10.0.0.1", "10.1.2.3", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.0/9", "10.0.0"])
TIME = st.sampled_from(["2026-11-24T03:30:00Z", "2026-11-24 11:30:00+08:00", "1769990400", "2026-11-24"])
ENCODED = st.sampled_from([base64.b64encode(text.encode()).decode() for text in ("a", "ab", "xab", "中a", "x中ab")])
VALUE = st.one_of(SCALAR, ADDRESS, TIME, ENCODED)
NESTED = st.lists(st.one_of(VALUE, st.lists(VALUE, max_size=2), st.dictionaries(FIELD, VALUE, max_size=1)), max_size=3)
EVENTS = st.dictionaries(FIELD, st.one_of(VALUE, NESTED, st.dictionaries(FIELD, VALUE, max_size=1)), max_size=3)
AFFIX = st.sampled_from(["", "|contains", "|startswith", "|endswith"])
PLAIN = st.sampled_from(["xab", "中"])
GIVEN = st.sampled_from(["%admins%", "a%admins%", r"\%admins%", r"\\%admins%*", "%", "a%b"])
REGEXES = st.sampled_from(["a+b", "^a", "b$", "[ab]{2}", r"\.", "a|b", "(?:ab)*A", "σ", "^.{2}$", r"\\", ""])


def one_or_many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=4))


ITEMS = st.one_of(
    st.tuples(st.builds("{}{}".format, FIELD, st.sampled_from(["", "|neq", "|all"])), one_or_many(SCALAR)),
    st.tuples(
        st.builds("{}{}{}".format, FIELD, AFFIX, st.sampled_from(["", "|all", "|cased", "|cased|all", "|neq"])),
        one_or_many(st.one_of(TEXT, st.integers(0, 30))),
    ),
    st.tuples(st.builds("{}|windash{}{}".format, FIELD, AFFIX, st.sampled_from(["", "|all"])), one_or_many(TEXT)),
    st.tuples(
        st.builds("{}|re{}".format, FIELD, st.sampled_from(["", "|i", "|m", "|s", "|all"])), one_or_many(REGEXES)
    ),
    st.tuples(st.builds("{}|re{}".format, FIELD, AFFIX), one_or_many(REGEXES)),
    st.tuples(st.builds("{}|base64offset|contains{}".format, FIELD, st.sampled_from(["", "|all"])), one_or_many(PLAIN)),
    st.tuples(st.builds("{}|expand{}".format, FIELD, AFFIX), one_or_many(GIVEN)),
    st.tuples(st.builds("{}|cidr".format, FIELD), one_or_many(st.sampled_from(["10.0.0.0/8", "10.0.0.0/30", "::/64"]))),
    st.tuples(st.builds("{}|hour{}".format, FIELD, st.sampled_from(["", "|gt", "|lte", "|neq"])), st.integers(0, 23)),
    st.tuples(st.builds("{}|{}".format, FIELD, st.sampled_from(["lt", "lte", "gt", "gte"])), st.integers(-2, 9)),
    st.tuples(st.builds("{}|exists".format, FIELD), st.booleans()),
    st.tuples(st.builds("{}|fieldref{}".format, FIELD, AFFIX), FIELD),
)
WORDS = st.tuples(
    st.sampled_from(["|all", "|windash", "|cased", "|startswith", "|neq"]), one_or_many(st.text("abA-", min_size=1))
)
SELECTIONS = st.one_of(
    st.lists(WORDS, min_size=1, max_size=2).map(dict),
    st.lists(ITEMS, min_size=1, max_size=3).map(dict),
    st.lists(st.lists(ITEMS, min_size=1, max_size=2).map(dict), min_size=1, max_size=3),
    st.lists(st.text(alphabet="abA", min_size=1, max_size=3), min_size=1, max_size=3),
)


@st.composite
def detections(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(["a", "b", "f_1", "f_2", "_h"]), min_size=1, max_size=4, unique=True))
    detection: dict[str, Any] = {name: draw(SELECTIONS) for name in names}
    atoms = [*names, "1 of them", "all of them"] if any(not name.startswith("_") for name in names) else names
    condition = draw(st.sampled_from(atoms))
    for _ in range(draw(st.integers(0, 3))):
        form = draw(st.sampled_from(["{} and {}", "{} or {}", "{} and not {}", "not ({} or {})", "({}) and ({})"]))
        condition = form.format(condition, draw(st.sampled_from(atoms)))
    return {**detection, "condition": condition}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(detections(), min_size=1, max_size=8), events=st.lists(EVENTS, min_size=1, max_size=6))
@example(found=[{"a": {"f|re": "b$"}, "condition": "a"}], events=[{"f": "b\n"}])
def test_made_up_rules_and_events(tmp_path: Path, found: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    documents = [rule(detection, number) for number, detection in enumerate(found)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump_all(documents, allow_unicode=True, sort_keys=False), encoding="utf-8")
    rules = load_rules([path], placeholders=PLACEHOLDERS)
    assert rules.refused == ()
    given = {name: list(values) for name, values in PLACEHOLDERS.items()}
    checks = [(document["id"], naive.rule_check(document["detection"], given)) for document in documents]
    expected = [(identity, index) for index, event in enumerate(events) for identity, check in checks if check(event)]
    for vector in (True, False):
        for cached in (True, False):
            engine = Engine(rules.rules, databases=Databases(vector=vector), cached=cached)
            hits = [(hit.rule_id, hit.index) for _ in range(2) for hit in engine.match(events)]
            assert hits == expected * 2


@given(
    prefix=st.binary(max_size=5), value=st.text(alphabet="abc中", min_size=3, max_size=9), suffix=st.binary(max_size=5)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_base64offset_finds_the_value_at_any_offset(load: Documents, prefix: bytes, value: str, suffix: bytes) -> None:
    found = load(rule({"a": {"f|base64offset|contains": value}, "condition": "a"}))
    event = {"f": base64.b64encode(prefix + value.encode() + suffix).decode()}
    assert [hit.index for hit in Engine(found.rules).match([event])] == [0]
