"""The Sigma specification 2.1, section by section: what each says holds, by the engine and by the naive evaluator.

Names follow the headings of the rules specification and of its appendix on modifiers.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from secops.match.modifiers import MODIFIERS
from tests.match import naive
from tests.match.conftest import Documents, rule
from tests.match.test_engine import holds

GIVEN = {"Servers": ("srv*", "db-1"), "user": ("root", "a.b"), "path": ("C:\\Temp",)}


def encoded(text: str, codec: str = "utf-8") -> str:
    return base64.b64encode(text.encode(codec)).decode()


Event = dict[str, Any]
Row = tuple[str, str, list[Event], list[Event]]

# section, body of the selection as YAML, events for which it holds, events for which it does not
ROWS: list[Row] = [
    ("General", "f: Value", [{"f": "vALUE"}, {"f": ["x", "value"]}], [{"f": "value "}, {"f": " value"}, {}, {"f": None}, {"g": "value"}]),
    ("General", "f: ÄÖÜ中文", [{"f": "äöü中文"}], [{"f": "aou中文"}]),
    ("General", "f: 4625", [{"f": 4625}, {"f": "4625"}, {"f": 4625.0}], [{"f": 46250}, {"f": "x4625"}, {"f": True}]),
    ("General", "f: 1.10", [{"f": 1.1}, {"f": "1.10"}, {"f": "1.1"}], [{"f": "1.101"}, {"f": 1}, {"f": "v1.10"}]),
    ("General", "f: 1.0", [{"f": 1}, {"f": "1.0"}, {"f": "1"}], [{"f": "1.0.0"}]),
    ("General", "f: -5", [{"f": -5}, {"f": "-5"}], [{"f": 5}]),
    ("General", "f: true", [{"f": True}, {"f": "true"}, {"f": "True"}], [{"f": 1}, {"f": False}, {"f": "yes"}]),
    ("General", "f: '0x10'", [{"f": "0X10"}], [{"f": 16}]),
    ("General", "f: 2024-01-15", [{"f": "2024-01-15"}], [{"f": "2024-01-15T00:00:00Z"}]),
    ("String wildcard", "f: prog?.exe", [{"f": "progA.exe"}, {"f": "PROG中.exe"}], [{"f": "prog.exe"}, {"f": "progAB.exe"}]),
    ("String wildcard", "f: v*1", [{"f": "v1"}, {"f": "v2.1.1"}, {"f": "v\n1"}], [{"f": "v12"}, {"f": "xv1"}]),
    ("String wildcard", "f: '*some*thing*'", [{"f": "a some good thing b"}, {"f": "something"}], [{"f": "thing some"}]),
    ("String wildcard", "f: '??'", [{"f": "ab"}, {"f": 12}], [{"f": "a"}, {"f": "abc"}]),
    ("String wildcard", "f: '?*'", [{"f": "a"}, {"f": "ab"}], [{"f": ""}, {}]),
    ("String wildcard", "f: '*'", [{"f": ""}, {"f": 0}, {"f": "x"}], [{}, {"f": None}, {"f": []}]),
    ("String wildcard", "f: 'a[b]c'", [{"f": "A[B]C"}], [{"f": "abc"}]),
    ("Escaping", r"f: 'C:\Windows\x'", [{"f": "c:\\windows\\X"}], [{"f": "c:windowsx"}]),
    ("Escaping", r"f: 'C:\\Windows'", [{"f": "c:\\windows"}], [{"f": "c:\\\\windows"}]),
    ("Escaping", r"f: 'a\*b'", [{"f": "a*b"}], [{"f": "a\\*b"}, {"f": "axb"}, {"f": "a\\xb"}]),
    ("Escaping", r"f: 'a\?b'", [{"f": "a?b"}], [{"f": "axb"}]),
    ("Escaping", r"f: 'a\\*b'", [{"f": "a\\b"}, {"f": "a\\xxb"}], [{"f": "axb"}, {"f": "a*b"}]),
    ("Escaping", r"f: 'a\\\*b'", [{"f": "a\\*b"}], [{"f": "a\\xb"}, {"f": "a*b"}]),
    ("Escaping", r"f: '\\\host'", [{"f": "\\\\host"}], [{"f": "\\host"}]),
    ("Escaping", r"f: '\\\\host'", [{"f": "\\\\host"}], [{"f": "\\host"}, {"f": "\\\\\\\\host"}]),
    ("Escaping", r"f: 'ends\'", [{"f": "ends\\"}], [{"f": "ends"}]),
    ("Escaping", r"f|contains: 'a\*'", [{"f": "xa*y"}], [{"f": "xay"}]),
    ("Escaping", r"f|endswith: '\'", [{"f": "C:\\"}], [{"f": "C:/"}]),
    ("Lists", "[one, 't?o']", [{"x": "one or other"}, {"x": "a", "y": "has two"}, {"x": ["TWO"]}], [{"x": "three"}, {}]),
    ("Lists", "[{f|endswith: a}, {g|contains: b}]", [{"f": "xa"}, {"g": "xbx"}], [{"f": "b", "g": "a"}]),
    ("Lists", "[{f: a, g: b}, {f: c}]", [{"f": "a", "g": "b"}, {"f": "c"}], [{"f": "a"}, {"g": "b"}]),
    ("Lists", "[{f: a}, word]", [{"f": "a"}, {"g": "a word"}], [{"f": "b"}]),
    ("Lists", "f: [a, 1, null]", [{"f": "A"}, {"f": "1"}, {"f": 1}, {}, {"f": None}], [{"f": ""}, {"f": "2"}]),
    ("Maps", "{f: a, g: 1}", [{"f": "a", "g": "1"}], [{"f": "a"}, {"g": 1}, {"f": "a", "g": 2}]),
    ("Maps", "{f: [a, b], g|startswith: [c, d]}", [{"f": "b", "g": "dx"}], [{"f": "b", "g": "x"}]),
    ("Field usage", "'SAM User.Account-1': x", [{"SAM User.Account-1": "x"}], [{"SAM User": {"Account-1": "x"}}]),
    ("Field usage", "Image: x", [{"Image": "X"}], [{"image": "x"}]),
    ("Special field values", "f: ''", [{"f": ""}], [{}, {"f": None}, {"f": " "}, {"f": 0}]),
    ("Special field values", "f: null", [{}, {"f": None}], [{"f": ""}, {"f": "null"}, {"f": []}, {"f": 0}]),
    ("Special field values", "f: 'null'", [{"f": "null"}], [{}, {"f": None}]),
    ("Field existence", "f|exists: true", [{"f": "x"}, {"f": ""}, {"f": None}, {"f": 0}], [{}, {"g": "x"}]),
    ("Field existence", "f|exists: false", [{}, {"g": "x"}], [{"f": "x"}, {"f": ""}, {"f": None}]),
    ("Placeholders", "f: '%Servers%'", [{"f": "%servers%"}], [{"f": "srv1"}]),
    ("Placeholders", "f|expand: '%Servers%'", [{"f": "SRV1"}, {"f": "db-1"}], [{"f": "xsrv1"}, {"f": "db-12"}]),
    ("Placeholders", "f|expand|contains: '@%user%:'", [{"f": "x@ROOT:y"}], [{"f": "x@other:y"}]),
    ("Placeholders", "f|contains|expand: '%user%'", [{"f": "uROOTx"}, {"f": "a.b"}], [{"f": "axb"}]),
    ("Placeholders", "f|expand: '%user%-%Servers%'", [{"f": "root-srvx"}, {"f": "a.b-db-1"}], [{"f": "root"}]),
    ("Placeholders", r"f|expand: '\%plain%user%'", [{"f": "%plainroot"}], [{"f": "root"}, {"f": "\\%plainroot"}]),
    ("Placeholders", r"f|expand: 'x\\%user%'", [{"f": "x\\root"}], [{"f": "x%user%"}]),
    ("Placeholders", r"f|re|expand: '^%user%\d%?$'", [{"f": "a.b1"}, {"f": "root7%"}], [{"f": "axb1"}]),
    ("Placeholders", "f|expand: '100% or 50%'", [{"f": "100% or 50%"}], [{"f": "100"}]),
    ("Keywords search", "word", [{"x": "in WORDS"}, {"x": None, "y": ["a word"]}], [{"word": "x"}]),
    ("Keywords search", "'|all': [Oab, ' -Ext ']", [{"x": "oab", "y": "a -ext b"}, {"x": "Oab -Ext "}], [{"x": "oab"}]),
    ("Keywords search", "'|re': '^w\\d'", [{"x": "w7"}], [{"x": "aw7"}, {"x": "W7"}]),
    ("Keywords search", "'|cidr': 10.0.0.0/8", [{"x": "10.1.1.1"}], [{"x": "11.1.1.1"}]),
    ("Keywords search", "'|contains|cased': Word", [{"x": "aWord"}], [{"x": "aword"}]),
    ("Keywords search", "'|windash': ' -enc '", [{"x": "a /enc b"}], [{"x": "enc"}]),
    ("Keywords search", "'|expand': '%user%'", [{"x": "by root"}], [{"x": "by nobody"}]),
    ("Keywords search", "4624", [{"x": 4624}, {"x": "id 14624"}], [{"x": 462}]),
    ("all", "f|contains|all: [a, b]", [{"f": "xbxa"}, {"f": ["a", "b"]}], [{"f": "a"}, {}]),
    ("all", "f|all|startswith: [a, ab]", [{"f": "abc"}], [{"f": "ac"}]),
    ("all", "f|re|all: ['a.', '.b']", [{"f": "acxb"}], [{"f": "ac"}]),
    ("all", "f|windash|contains|all: [' -a ', ' -b ']", [{"f": "x /a —b "}], [{"f": "x /a y"}]),
    ("all", "f|cidr|all: [10.0.0.0/8, 10.1.0.0/16]", [{"f": "10.1.2.3"}], [{"f": "10.2.2.3"}]),
    ("all", "f|base64offset|contains|all: [abcd, efgh]", [{"f": encoded("abcd efgh")}], [{"f": encoded("abcd")}]),
    ("all", "f|expand|contains|all: ['%user%', x]", [{"f": "xroot"}], [{"f": "root"}, {"f": "x"}]),
    ("all", "f|contains|all|neq: [a, b]", [{"f": "a"}, {}], [{"f": "ab"}]),
    ("startswith", "f|startswith: adm", [{"f": "ADMIN"}, {"f": "adm"}], [{"f": "xadm"}, {}]),
    ("startswith", "f|startswith: 'a*c'", [{"f": "abbcd"}, {"f": "ac"}], [{"f": "xac"}, {"f": "ab"}]),
    ("endswith", r"f|endswith: \cmd.exe", [{"f": "C:\\CMD.exe"}], [{"f": "cmd.exe"}, {"f": "\\cmd.exe "}]),
    ("contains", "f|contains: 46", [{"f": 4625}, {"f": "x46"}], [{"f": 4}]),
    ("contains", "f|contains: ''", [{"f": "x"}, {"f": ""}], [{}, {"f": None}]),
    ("contains", "f|contains: ['*', x]", [{"f": "anything"}], [{}]),
    ("cased", "f|cased: Mid", [{"f": "Mid"}], [{"f": "mid"}, {"f": "MID"}]),
    ("cased", "f|contains|cased: [A, '*bC']", [{"f": "xAx"}, {"f": "bC"}], [{"f": "abc"}]),
    ("cased", "f|cased|startswith: 'A?c'", [{"f": "Abcd"}], [{"f": "abcd"}, {"f": "AbC"}]),
    ("neq", "f|neq: x", [{"f": "y"}, {}, {"f": None}, {"f": ""}], [{"f": "X"}]),
    ("neq", "f|neq: [x, 5]", [{"f": "y"}, {"f": 6}], [{"f": "x"}, {"f": "5"}, {"f": 5}]),
    ("neq", "f|contains|neq: x", [{"f": "y"}], [{"f": "axb"}]),
    ("neq", "f|fieldref|neq: g", [{"f": "a", "g": "b"}, {"f": "a"}], [{"f": "a", "g": "A"}]),
    ("neq", "f|re|neq: '^a'", [{"f": "ba"}], [{"f": "ab"}]),
    ("neq", "f|gt|neq: 5", [{"f": 5}, {"f": "x"}, {}], [{"f": 6}]),
    ("windash", "f|windash|contains: ' -enc '", [{"f": f"p {dash}enc x"} for dash in "-/–—―"], [{"f": "p +enc x"}]),
    ("windash", "f|windash|contains: ' /enc '", [{"f": f"p {dash}enc x"} for dash in "-/–—―"], [{"f": "p enc x"}]),
    ("windash", "f|windash|contains: ' –enc '", [{"f": f"p {dash}enc x"} for dash in "-/–—―"], [{"f": "p enc x"}]),
    ("windash", "f|windash|endswith: '-a -b -c'", [{"f": "x /a —b -c"}, {"f": "–a ―b /c"}], [{"f": "-a -b"}]),
    ("windash", "f|windash: a-b", [{"f": "A-B"}], [{"f": "a/b"}]),
    ("windash", "f|windash|contains: '-s*/t'", [{"f": "x /s1 –t"}], [{"f": "s t"}]),
    ("re", "f|re: '^a.c$'", [{"f": "abc"}, {"f": "abc\n"}, {"f": ["x", "abc"]}], [{"f": "ABC"}, {"f": "xabc"}, {"f": "a\nc"}]),
    ("re", "f|re: 'b'", [{"f": "abc"}], [{"f": "ABC"}, {}]),
    ("re", "f|re: '[^a-c]{2,3}d'", [{"f": "xyd"}], [{"f": "abd"}]),
    ("re", "f|re: '(foo|bar)+\\d?'", [{"f": "xbarfoo1"}], [{"f": "baz"}]),
    ("re", r"f|re: 'C:\\Temp\\.*\.exe'", [{"f": "C:\\Temp\\a.exe"}], [{"f": "C:Tempa.exe"}]),
    ("re", "f|re: '*'", [], []),
    ("re", "f|re: '46'", [{"f": 4625}], [{"f": 4}]),
    ("re", "f|re: ['^a', 'z$']", [{"f": "ab"}, {"f": "yz"}], [{"f": "ba"}]),
    ("re", "f|re: '中.+'", [{"f": "x中文"}], [{"f": "中"}]),
    ("i", "f|re|i: '^aBc'", [{"f": "AbCd"}], [{"f": "xabc"}]),
    ("i", "f|re|ignorecase: 'σ'", [{"f": "Σ"}], [{"f": "s"}]),
    ("m", "f|re|m: '^b$'", [{"f": "a\nb\nc"}, {"f": "b"}], [{"f": "ab"}]),
    ("s", "f|re|s: 'a.b'", [{"f": "a\nb"}], [{"f": "ab"}]),
    ("i, m and s", "f|re|i|m|s: '^B.c$'", [{"f": "a\nb\nC\nd"}], [{"f": "xb\nc"}]),
    ("re with contains, startswith, endswith", "f|re|startswith: 'a|b'", [{"f": "bx"}], [{"f": "xb"}]),
    ("re with contains, startswith, endswith", "f|re|endswith: 'a|b'", [{"f": "xb"}], [{"f": "bx"}]),
    ("re with contains, startswith, endswith", "f|re|contains: 'a.c'", [{"f": "xabcx"}], [{"f": "ac"}]),
    ("base64", "f|base64: foobar", [{"f": encoded("foobar")}], [{"f": "foobar"}]),
    ("base64", "f|base64|contains: 中文", [{"f": f"x{encoded('中文')}y"}], [{"f": "中文"}]),
    ("base64offset", "f|base64offset|contains: needle", [{"f": encoded(f"{'x' * lead}needle{'y' * tail}")} for lead in range(4) for tail in range(4)], [{"f": encoded("need")}]),
    ("wide", "f|wide|base64offset|contains: cmd", [{"f": encoded(f"{'x' * lead}cmd", "utf-16-le")} for lead in range(3)], [{"f": encoded("cmd")}]),
    ("utf16le", "f|utf16le|base64: cmd", [{"f": encoded("cmd", "utf-16-le")}], [{"f": encoded("cmd", "utf-16-be")}]),
    ("utf16le", "f|utf16le|contains: cmd", [{"f": "xc\0m\0d\0"}], [{"f": "cmd"}]),
    ("utf16be", "f|utf16be|base64: cmd", [{"f": encoded("cmd", "utf-16-be")}], [{"f": encoded("cmd", "utf-16-le")}]),
    ("utf16", "f|utf16|base64: cmd", [{"f": base64.b64encode(b"\xff\xfec\0m\0d\0").decode()}], [{"f": encoded("cmd", "utf-16-le")}]),
    ("wide", "f|wide: 'a*b'", [{"f": "a\0xyzb\0"}], [{"f": "ab"}]),
    ("lt", "f|lt: 10", [{"f": 9}, {"f": "9.5"}, {"f": -1e9}, {"f": [50, 3]}], [{"f": 10}, {"f": "abc"}, {}, {"f": ""}, {"f": True}]),
    ("lte", "f|lte: 10", [{"f": 10}, {"f": "10.0"}], [{"f": 10.1}, {"f": None}]),
    ("gt", "f|gt: 9007199254740992", [{"f": 9007199254740993}, {"f": "9007199254740993"}], [{"f": 9007199254740992}]),
    ("gte", "f|gte: -0.5", [{"f": -0.5}, {"f": 0}], [{"f": -1}, {"f": "1_000"}, {"f": "inf"}, {"f": "nan"}]),
    ("minute", "f|minute: 30", [{"f": "2026-11-24T11:30:59Z"}, {"f": "2026-11-24 11:30:00"}], [{"f": "2026-11-24T11:31:00Z"}]),
    ("hour", "f|hour: [3, 4]", [{"f": "2026-11-24T03:00:00.123456Z"}, {"f": "2026-11-24T12:00:00+08:00"}], [{"f": "2026-11-24T05:00:00Z"}]),
    ("hour", "f|hour: 0", [{"f": 1769990400}, {"f": "1769990400000"}], [{"f": 1769994000}, {"f": 17}]),
    ("day", "f|day: 24", [{"f": "2026-11-24"}, {"f": "2026-11-24T11:30:00.1234567Z"}], [{"f": "24"}]),
    ("week", "f|week: 48", [{"f": "2026-11-24T11:30:00Z"}], [{"f": "2026-11-17T11:30:00Z"}]),
    ("month", "f|month: 11", [{"f": "2026-11-24T11:30:00Z"}], [{"f": "11"}]),
    ("year", "f|year: 2026", [{"f": "2026-11-24T11:30:00Z"}], [{"f": "2025-11-24T11:30:00Z"}, {"f": "no time"}]),
    ("Time modifiers with a comparison", "f|hour|gte: 22", [{"f": "2026-11-24T22:30:00Z"}], [{"f": "2026-11-24T21:30:00Z"}, {"f": "x"}]),
    ("Time modifiers with a comparison", "f|hour|neq: 22", [{"f": "2026-11-24T21:30:00Z"}, {}], [{"f": "2026-11-24T22:30:00Z"}]),
    ("cidr", "f|cidr: 10.0.0.0/8", [{"f": "10.200.3.4"}, {"f": "::ffff:10.0.0.1"}, {"f": "10.1.0.0/16"}], [{"f": "11.0.0.1"}, {"f": "x"}, {"f": "10.0.0"}, {"f": ""}, {"f": "::ffff:11.0.0.1"}]),
    ("cidr", "f|cidr: ['192.168.0.0/16', 'fe80::/10']", [{"f": "192.168.255.255"}, {"f": "FE80::1%eth0"}, {"f": "fe80:0::1"}], [{"f": "2001:db8::1"}, {"f": "192.169.0.0"}]),
    ("cidr", "f|cidr: 127.0.0.1", [{"f": "127.0.0.1"}], [{"f": "127.0.0.2"}]),
    ("cidr", "f|cidr: '::1/128'", [{"f": "::1"}, {"f": "0:0:0:0:0:0:0:1"}], [{"f": "::2"}, {"f": "127.0.0.1"}]),
    ("fieldref", "f|fieldref: g", [{"f": "Same", "g": "same"}, {"f": 1, "g": "1"}, {"f": ["a", "b"], "g": "b"}], [{"f": "a", "g": "b"}, {"f": "a"}, {"f": None, "g": None}, {}]),
    ("fieldref", "f|fieldref|contains: g", [{"f": "a same b", "g": "SAME"}], [{"f": "same", "g": "a same b"}]),
    ("fieldref", "f|fieldref|startswith: g", [{"f": "same x", "g": "same"}], [{"f": "x same", "g": "same"}]),
    ("fieldref", "f|fieldref|endswith: 'g h.i'", [{"f": "x same", "g h.i": "same"}], [{"f": "same x", "g h.i": "same"}]),
    ("fieldref", "f|fieldref|cased: g", [{"f": "Same", "g": "Same"}], [{"f": "Same", "g": "same"}]),
]  # fmt: skip


def document(body: str, condition: str = "selection") -> str:
    return (
        "title: T\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {}\n"
        f"detection:\n  selection:\n    {body}\n  condition: {condition}\n"
    )


class PlainLoader(yaml.SafeLoader):
    """YAML whose dates stay as they are written."""


PlainLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _loader, node: node.value)


@pytest.mark.parametrize(("section", "body", "yes", "no"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_detection(load: Documents, section: str, body: str, yes: list[Event], no: list[Event]) -> None:
    found = load(document(body), placeholders=GIVEN)
    if not yes and not no:
        assert found.refused, section
        return
    assert found.refused == ()
    negated = load(document(body, "not selection"), placeholders=GIVEN)
    detection = yaml.load(document(body), PlainLoader)["detection"]
    check = naive.rule_check(detection, {name: list(values) for name, values in GIVEN.items()})
    for wanted, events in ((True, yes), (False, no)):
        for event in events:
            assert bool(holds(found, event)) == wanted, event
            assert bool(holds(negated, event)) != wanted, event
            assert check(event) == wanted, event


def test_every_modifier_has_a_row() -> None:
    named = {name for _, body, _, _ in ROWS for name in body.replace("'", "").partition(":")[0].split("|")[1:]}
    assert set(MODIFIERS) - named <= {"multiline", "dotall"}  # other names of m and s


REFUSED = [
    ("f|nonsense: x", "unknown modifier 'nonsense'"),
    ("f|base64: 'a*b'", "must not have wildcards"),
    ("f|base64offset: 'a?b'", "must not have wildcards"),
    ("f|wide|base64: 'a*b'", "must not have wildcards"),
    ("f|re|base64: 'a'", "modifier base64 cannot be applied"),
    ("f|contains|re: 'a'", "modifier re cannot be applied"),
    ("f|re|cased: 'a'", "modifier cased cannot be applied"),
    ("f|re|gt: '5'", "modifier gt cannot be applied"),
    ("f|i: 'a'", "modifier i may only follow re"),
    ("f|re: '(?=a)'", "look-around"),
    ("f|re: '(a)\\1'", "regular expression refused"),
    ("f|cidr: '10.0.0.*'", "must not have wildcards"),
    ("f|cidr: '10.0.0.0/33'", "is not a network"),
    ("f|contains|cidr: '10.0.0.0/8'", "must not have wildcards"),
    ("f|exists: 'true'", "modifier exists cannot be applied"),
    ("'|exists': true", "modifier exists cannot be applied"),
    ("f|contains|exists: true", "modifier contains cannot be applied"),
    ("f|gt: abc", "modifier gt cannot be applied"),
    ("f|gt: true", "modifier gt cannot be applied"),
    ("f|gt: '5*'", "must not have wildcards"),
    ("f|contains: null", "null cannot take"),
    ("f|contains: true", "modifier contains cannot be applied"),
    ("[null]", "a keyword cannot be null"),
    ("'|all': [null]", "a keyword cannot be null"),
    ("f|expand: '%nobody%'", "placeholder %nobody% has no values"),
    ("f|fieldref: 'g*'", "must not have wildcards"),
    ("f|hour: 24", "a number from 0 to 23"),
    ("f|month: 0", "a number from 1 to 12"),
    ("f|minute: 1.5", "modifier minute cannot be applied"),
    ("f|windash: '-a -b -c -d -e -f -g'", "more than 6 dashes"),
    ("f: {g: x}", "a value or a list of values"),
    ("f: [[x]]", "a value or a list of values"),
    ("{}", "a selection is empty"),
    ("[]", "a selection is empty"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_what_has_no_meaning_is_refused(load: Documents, body: str, reason: str) -> None:
    [refusal] = load(document(body)).refused
    assert reason in refusal.en


NAMES = ("a", "b", "c", "sel-1", "filter_x", "filter_y", "_hidden")
CONDITIONS = [
    ("a or b and c", {"a"}, {"b"}),
    ("a and b or c", {"c"}, {"a"}),
    ("not a and b", {"b"}, {"a", "b"}),
    ("not a or b", {"a", "b"}, {"a"}),
    ("not (a and b)", {"a"}, {"a", "b"}),
    ("not not a", {"a"}, set()),
    ("(a or b) and (b or c)", {"b"}, {"a"}),
    ("((a))", {"a"}, {"b"}),
    ("a AND NOT b", {"a"}, {"a", "b"}),
    ("a\n  and\n  b", {"a", "b"}, {"a"}),
    ("1 of them", {"filter_y"}, {"_hidden"}),
    ("any of them", {"sel-1"}, {"_hidden"}),
    ("all of them", set(NAMES) - {"_hidden"}, set(NAMES) - {"a"}),
    ("1 of filter_*", {"filter_x"}, {"a", "_hidden"}),
    ("all of filter_*", {"filter_x", "filter_y"}, {"filter_x", "a"}),
    ("1 of *_y", {"filter_y"}, {"filter_x"}),
    ("1 of f*y", {"filter_y"}, {"filter_x"}),
    ("1 of _*", {"_hidden"}, {"a"}),
    ("1 of filter_x", {"filter_x"}, {"filter_y"}),
    ("a and not 1 of filter_*", {"a"}, {"a", "filter_y"}),
    ("not 1 of filter_* and a", {"a"}, {"filter_x"}),
    ("not all of filter_* or a", {"filter_x"}, {"filter_x", "filter_y"}),
    ("sel-1 and a", {"sel-1", "a"}, {"a"}),
    ("_hidden", {"_hidden"}, {"a"}),
    (["a and b", "c"], {"c"}, {"a"}),
]


@pytest.mark.parametrize(("condition", "yes", "no"), CONDITIONS)
def test_condition(load: Documents, condition: str | list[str], yes: set[str], no: set[str]) -> None:
    detection = {**{name: {name: 1} for name in NAMES}, "condition": condition}
    found = load(rule(detection))
    assert found.refused == ()
    check = naive.rule_check(detection)
    for wanted, names in ((True, yes), (False, no)):
        event = dict.fromkeys(names, 1)
        assert bool(holds(found, event)) == wanted
        assert check(event) == wanted


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("a | count() > 5", "aggregation after '|'"),
        ("a | count(x) by y > 5", "write a correlation rule"),
        ("a | near b", "write a correlation rule"),
        ("a and", "a selection is expected before the end"),
        ("and a", "a selection is expected before 'and'"),
        ("a b", "'b' is not expected here"),
        ("(a or b", "a closing parenthesis is missing"),
        ("a)", "')' is not expected here"),
        ("()", "a selection is expected before ')'"),
        ("2 of filter_*", "only 1, any and all are defined"),
        ("1 of nothing*", "no selection matches"),
        ("nothing", "is not defined"),
        ("1 of", "no selection matches ''"),
        ("them", "a selection is expected before 'them'"),
        ("a && b", "cannot read '&& b'"),
        ("", "condition is missing"),
        ([], "condition is missing"),
        ([["a"]], "condition is missing"),
        (5, "condition is missing"),
    ],
)
def test_conditions_without_meaning_are_refused(load: Documents, condition: Any, reason: str) -> None:
    detection = {**{name: {name: 1} for name in NAMES}, "condition": condition}
    [refusal] = load(rule(detection)).refused
    assert reason in refusal.en


def test_yaml_file(load: Documents) -> None:
    """Several documents; what is optional may be absent, and keys nobody knows are allowed."""
    least = "title: Least\nlogsource: {category: x}\ndetection: {s: {f: a}, condition: s}\n"
    full = """
title: Full
id: 929a690e-bef0-4204-a928-ef5e620d6fcc
name: full_rule
related: [{id: 08fbc97d-0a2f-491c-ae21-8ffcfd3174e9, type: derived}]
taxonomy: sigma
status: test
description: |
  more than
  one line
license: MIT
author: A, B
references: [https://example.org]
date: 2024-01-15
modified: 2024-02-15
logsource: {category: x, definition: any text, custom: 1}
detection: {s: {f: a}, condition: s}
fields: [f]
falsepositives: [none]
level: high
tags: [attack.t1059.001, cve.2024-1234]
scope: [server]
custom: {any: thing}
"""
    found = load(least, full, "---\n...\n", "# nothing but a comment\n")
    assert found.refused == ()
    assert [each.info.title for each in found.rules] == ["Least", "Full"]
    assert found.rules[1].name == "full_rule"
    assert holds(found, {"f": "A"}) == [each.id for each in found.rules]


@pytest.mark.parametrize("level", ["informational", "low", "medium", "high", "critical"])
def test_level(load: Documents, level: str) -> None:
    [found] = load(rule({"s": {"f": "a"}, "condition": "s"}, level=level)).rules
    assert found.info.level == level
