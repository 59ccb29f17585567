"""Input made to stop the engine: time per event stays bounded, others are unharmed, the message is clear."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import re2
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from secops.cli.root import build
from secops.match.detector import Detector
from secops.match.engine import MAX_SIGNATURES, Engine
from secops.match.limits import MAX_RULES
from secops.match.load import load_rules
from secops.match.regex import compile_regex, regex_weight
from secops.match.scan import Databases
from secops.match.stored import load_stored
from secops.match.tenants import Engines
from secops.records import EVENT_ID, INGESTED, TENANT
from tests.match.conftest import Documents, rule

CATASTROPHIC = ["(a+)+$", "(a|aa)+$", "(.*a){12}b", r"^(\w+\s?)*$", "(x+x+)+y"]
LONG = 1_000_000
WINDOWS = {"product": "windows", "service": "security"}


def seconds(engine: Engine, event: dict[str, Any]) -> float:
    engine.match([{"f": "warm"}])
    started = time.process_time()
    engine.match([event])
    return time.process_time() - started


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("text", ["a" * LONG + "!", "x" * LONG, "ab " * (LONG // 3), "\\" * LONG, "中" * (LONG // 3)])
def test_a_megabyte_in_one_field_with_regexes_made_to_explode(load: Documents, text: str, *, vector: bool) -> None:
    documents = [rule({"s": {"f|re": regex}, "condition": "s"}, number) for number, regex in enumerate(CATASTROPHIC)]
    documents += [
        rule({"s": {"f": "*a*b*c*d*e*f*"}, "condition": "s"}, 20),
        rule({"s": {"f": "*a?a?a?a?b"}, "condition": "s"}, 21),
        rule({"s": ["needle", "*x*y*z*"], "condition": "s"}, 22),
        *(rule({"s": {"f|contains": f"word{number}"}, "condition": "s"}, number) for number in range(30, 60)),
    ]
    found = load(*documents)
    assert found.refused == ()
    assert seconds(Engine(found.rules, databases=Databases(vector=vector)), {"f": text}) < 3


@pytest.mark.parametrize(
    "value", [[["a"] * 1000] * 1000, {"g": {"h": "a"}}, ["a"] * 100_000, 10**400, float("inf"), -0.0]
)
def test_odd_values_match_or_do_not_but_stop_nothing(load: Documents, value: Any) -> None:
    found = load(
        rule({"s": {"f|contains": "a"}, "condition": "s"}, 1),
        rule({"s": {"f|gt": 5}, "condition": "s"}, 2),
        rule({"s": {"g": "fine"}, "condition": "s"}, 3),
        rule({"s": {"f|re": "a"}, "n": {"f|startswith": "b"}, "condition": "s and not n"}, 4),
        rule({"s": ["word"], "condition": "s"}, 5),
    )
    hits = Engine(found.rules).match([{"f": value}, {"g": "fine"}])
    assert [hit.index for hit in hits if hit.rule_id.endswith("03")] == [1]


@pytest.mark.parametrize(
    "event",
    [
        {"event.dataset": ["windows.security"], "EventID": 1},
        {"event.dataset": None, "Channel": {"a": 1}},
        {"Channel": ["Security"], "EventID": [4625]},
        {"Channel": "Security", "EventID": {"#text": 4625}},
        {"Channel": "Security", "EventID": True},
        {"event.dataset": "windows.security", "original": "no mapping"},
        {"event.dataset": "windows.security", "original": {"Channel": 5, "EventID": None}},
        {"event.dataset": "nginx.access", "original": None},
        {},
    ],
)
def test_odd_events_are_routed_somewhere(load: Documents, event: dict[str, Any]) -> None:
    found = load(
        rule({"s": {"EventID": 4625}, "condition": "s"}, 1, logsource=WINDOWS),
        rule({"s": {"marker": "yes"}, "condition": "s"}, 2, logsource={}),
    )
    detector = Detector(found)
    detector.run([event])
    assert "2" in [hit.rule.id[-1] for hit in detector.engine.find([{**event, "marker": "yes"}])]


def test_event_ids_nobody_names_share_a_plan(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"EventID": 4625}, "condition": "s"}, logsource=WINDOWS)).rules)
    engine.match([{"Channel": "Security", "EventID": 100_000 + number} for number in range(2 * MAX_SIGNATURES)])
    assert len(engine._by_signature) == 1
    assert len(engine._by_key) <= MAX_SIGNATURES
    assert engine.match([{"Channel": "security", "EventID": "4625"}])


def test_channels_made_up_by_a_sender_do_not_fill_the_memory(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"f": "x"}, "condition": "s"}, logsource={"product": "windows"})).rules)
    engine.match([{"Channel": f"Made up {number}", "EventID": 1} for number in range(2 * MAX_SIGNATURES)])
    assert len(engine._by_signature) <= MAX_SIGNATURES
    assert len(engine._by_key) <= MAX_SIGNATURES


def test_values_that_never_come_again_do_not_fill_the_memory(load: Documents) -> None:
    engine = Engine(load(rule({"s": {"f|contains": "needle"}, "condition": "s"})).rules)
    for start in range(0, 60_000, 5000):
        engine.match([{"f": f"{number}" * 50} for number in range(start, start + 5000)])
    [plan] = engine._by_signature.values()
    [(_, cache, _)] = plan._fields
    assert sys.getsizeof(cache) < 3_000_000
    assert sum(map(len, cache)) <= 2_000_000


def test_a_selection_with_many_values_is_looked_up_not_searched(load: Documents) -> None:
    values = [f"evil-{number}.example" for number in range(20_000)]
    found = load(
        rule({"s": {"f": values}, "condition": "s"}, 1), rule({"s": {"g|endswith": values}, "condition": "s"}, 2)
    )
    assert found.refused == ()
    engine = Engine(found.rules)
    engine.match([{"f": "x", "g": "x"}])
    started = time.process_time()
    hits = engine.match([{"f": f"evil-{number}.example", "g": f"host{number}"} for number in range(5000)])
    assert len(hits) == 5000
    assert hits[7].fields == {"f": "evil-7.example"}
    assert time.process_time() - started < 5


def test_too_many_values_are_refused(load: Documents) -> None:
    found = load(rule({"s": {"f": [str(number) for number in range(20_001)]}, "condition": "s"}))
    assert "more than 20000 values" in found.refused[0].en


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU that some work takes, the least of three times."""
    least = float("inf")
    for _ in range(3):
        started = time.process_time()
        work()
        least = min(least, time.process_time() - started)
    return least


def many(folder: Path, count: int, body: Callable[[int], str], tenant: str = "") -> None:
    """Write so many rules, a thousand in a file."""
    for start in range(0, count, 1000):
        documents = [
            f"title: R{number}\nid: r-{number:06d}\nlogsource: {{product: linux}}\n{tenant}"
            f"detection:\n  s: {{{body(number)}}}\n  condition: s\n"
            for number in range(start, min(count, start + 1000))
        ]
        (folder / f"{start:06d}.yml").write_text("---\n".join(documents), encoding="utf-8")


def test_a_hundred_thousand_rules_of_one_tenant(tmp_path: Path) -> None:
    """Those beyond the limit are refused by name; events of others cost what they did; the tenant's own stay bounded."""
    folder = tmp_path / "greedy"
    folder.mkdir()
    (tmp_path / "fair.yml").write_text(
        "title: Fair\nid: fair\nlogsource: {product: linux}\ndetection:\n  s: {f|contains: needle}\n  condition: s\n"
    )
    many(folder, 100_000, lambda number: f"f|contains: needle{number}x", "tenants: [greedy]\n")
    alone = Engines(load_rules([tmp_path / "fair.yml"]).rules, cached=False)
    found = load_rules([tmp_path / "fair.yml", folder])
    assert len(found.rules) == 1 + MAX_RULES
    assert "the rules of tenant greedy exceed the limit of 20,000 rules" in found.refused[0].en
    assert found.refused[0].rule_id == "r-020000"
    together = Engines(found.rules, cached=False)
    together.prepare()

    def events(tenant: str) -> list[dict[str, Any]]:
        return [
            {"organization.id": tenant, "event.dataset": "linux.sshd", "f": f"a needle{number}x"}
            for number in range(500)
        ]

    before = cpu(lambda: alone.find(events("fair")))
    assert cpu(lambda: together.find(events("fair"))) < before * 3
    assert cpu(lambda: together.find(events("greedy"))) < before * 30
    assert len(together.find(events("fair"))) == 500
    assert len(together.find(events("greedy"))) == 1000


@pytest.mark.parametrize(
    ("count", "body", "reason", "kept"),
    [
        (600, lambda number: f"f|neq: x{number}", "500 rules that must be held against every event", 500),
        (
            200,
            lambda number: f"f|re|i: '[^a]{{500}}b{number}[^c]{{200}}d[^x]{{100}}'",
            "the regular expressions of the rules",
            21,
        ),
        (12, lambda number: f"f|startswith: [{','.join(f'v{number}x{each}' for each in range(20_000))}]", "", 12),
    ],
)
def test_rules_that_cost_much_are_limited_in_number(
    tmp_path: Path, count: int, body: Callable[[int], str], reason: str, kept: int
) -> None:
    for number in range(count):
        (tmp_path / f"{number:04d}.yml").write_text(
            f"title: R{number}\nlogsource: {{}}\ndetection:\n  s: {{{body(number)}}}\n  condition: s\n"
        )
    found = load_rules([tmp_path])
    assert len(found.rules) == kept
    assert all(reason in refusal.en for refusal in found.refused)
    assert all("limit" in refusal.en for refusal in found.refused)


def test_thousands_of_costly_regexes_are_refused_before_they_are_compiled(tmp_path: Path) -> None:
    """Of one rule, of many rules, and of rules that are refused in the end: what was compiled counts all the same."""
    values = ", ".join(f"'(x{number}|y){{1,900}}'" for number in range(10_000))
    (tmp_path / "one.yml").write_text(
        f"title: One\nlogsource: {{}}\ndetection:\n  s:\n    f|re: [{values}]\n  condition: s\n"
    )
    many(tmp_path, 2000, lambda number: f"f|re: ['(a{number}|y){{1,900}}', '(?=refused)']", "tenants: [greedy]\n")
    (tmp_path / "zz.yml").write_text(
        "title: Fair\nid: fair\ntenants: [fair]\nlogsource: {}\ndetection: {s: {f|re: 'a{1,100}'}, condition: s}\n"
    )
    started = time.process_time()
    found = load_rules([tmp_path])
    assert time.process_time() - started < 5
    assert [each.id for each in found.rules] == ["fair"]
    reasons = {each.file.rpartition("/")[2]: each.en for each in found.refused}
    assert "the regular expressions of this rule exceed the limit" in reasons["one.yml"]
    assert "the regular expressions of the rules of tenant greedy exceed the limit" in reasons["001000.yml"]


REGEX_PARTS = st.sampled_from(
    [
        "a",
        "K",
        "中",
        "ß",
        ".",
        r"\w",
        r"\W",
        "[^a-f中]",
        "[[:alpha:]x]",
        r"\pL",
        r"[^\pN]",
        "(?:b|)",
        r"\Q(x\E",
        r"\x{17f}",
        "|",
    ]
)


@given(
    regex=st.recursive(
        REGEX_PARTS,
        lambda inner: st.builds(
            lambda parts, times: f"({''.join(parts)}){times}",
            st.lists(inner, min_size=1, max_size=4),
            st.sampled_from(["", "*", "+?", "{3}", "{2,}", "{0,7}", "{1,9}?"]),
        ),
        max_leaves=12,
    ),
    flags=st.sampled_from(["", "i", "s", "im"]),
)
def test_a_regex_is_weighed_as_no_less_than_its_program(regex: str, flags: str) -> None:
    try:
        compiled = compile_regex(regex, flags)
    except re2.error:
        return
    assert compiled._regexp.ProgramSize() <= regex_weight(regex) + 16


DEEP = "(" * 10_000 + "s" + ")" * 10_000


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ({"s": {"f": "*a" * 500_000}, "condition": "s"}, "a value is longer than 65536 characters"),
        ({"s": {"f|contains": "?" * 65_537}, "condition": "s"}, "a value is longer than 65536 characters"),
        ({"s": {"f": "x"}, "condition": DEEP}, "condition is longer than 10000 characters"),
        ({"s": {"f": "x"}, "condition": DEEP[5100:14_901]}, "more than 48 parentheses"),
        ({"s": {"f": "x"}, "condition": "not " * 2400 + "("}, "a selection is expected"),
        (
            {"s": {"f": [f"v{n}" for n in range(9000)]}, "condition": " or ".join(["s"] * 1900)},
            "more than 100000 values",
        ),
        (
            {"s": {f"f{n}|windash": "-a -b -c -d -e -f" for n in range(1000)}, "condition": "s"},
            "more than 100000 values",
        ),
        ({"s": {"f|windash": ["-a " * 6 + "x" * 60_000] * 9}, "condition": "s"}, "more than 6 dashes"),
        ({"s": {"f|expand": "%many%" * 8}, "condition": "s"}, "more than 20000 values"),
        ({"s": {"f|re": "a" * 5000}, "condition": "s"}, "longer than 4096"),
        (
            {"s": {"f|re": "((a{1,100}){1,100}){1,100}"}, "condition": "s"},
            "the regular expressions of this rule exceed",
        ),
        ({"s": {"f|re": r"(?i)" + r"\pL" * 1000}, "condition": "s"}, "the regular expressions of this rule exceed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_made_to_fill_the_memory_is_refused(load: Documents, detection: Any, reason: str) -> None:
    started = time.process_time()
    found = load(rule(detection), placeholders={"many": tuple(map(str, range(1000)))})
    assert time.process_time() - started < 30 * cpu(lambda: load(rule({"s": {"f": "x"}, "condition": "s"}))) + 10
    [refusal] = found.refused
    assert reason in refusal.en


def test_a_pattern_of_the_greatest_length_is_linear(load: Documents) -> None:
    """Sixty-four thousand wildcards over a megabyte cost no more than a fixed multiple of one wildcard."""
    one = Engine(load(rule({"s": {"f": "*b"}, "condition": "s"})).rules)
    all_of_them = Engine(load(rule({"s": {"f": "*a" * 32_000 + "*b"}, "condition": "s"})).rules)
    event = {"f": "a" * LONG}
    assert cpu(lambda: all_of_them.find([event])) < 100 * cpu(lambda: one.find([event])) + 0.5


def test_a_hundred_thousand_values_are_refused(load: Documents) -> None:
    values = ",".join(map(str, range(100_000)))
    found = load(f"title: T\nlogsource: {{}}\ndetection:\n  s:\n    f: [{values}]\n  condition: s\n")
    assert "more than 20000 values" in found.refused[0].en


def test_a_condition_as_deep_as_allowed_runs(load: Documents) -> None:
    names = {f"s{number}": {f"f{number}": "x"} for number in range(49)}
    condition = "".join(f"(s{number} and not " for number in range(48)) + "s48" + ")" * 48
    found = load(rule({**names, "condition": condition}))
    assert found.refused == ()
    held = [bool(Engine(found.rules).find([dict.fromkeys([f"f{n}" for n in range(most)], "x")])) for most in range(50)]
    assert held == [bool(most % 2) for most in range(50)]


def test_json_as_deep_as_the_parser_allows(tmp_path: Path) -> None:
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    (tmp_path / "events.jsonl").write_bytes(
        deep + b"\n" + b'{"f":' + b"[" * 1000 + b"]" * 1000 + b"}\n" + b'{"f":"x"}\n'
    )
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule({"s": {"f": "x"}, "condition": "s"})), encoding="utf-8")
    done = CliRunner().invoke(
        build("detect"),
        ["detect", "--rules", str(tmp_path / "rules.yml"), "--events", str(tmp_path / "events.jsonl"), "--hits"],
        env={"XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.exit_code == 0
    assert [orjson.loads(line)["event"] for line in done.stdout.splitlines() if line.startswith("{")] == [3]


def event(at: int, value: object) -> dict[str, Any]:
    now = "2026-11-24T10:00:00.000000Z"
    return {
        EVENT_ID: f"0-{at}",
        TENANT: "city",
        "@timestamp": now,
        INGESTED: now,
        "event.module": "linux",
        "a": "b",
        "v": value,
    }


@pytest.mark.parametrize("number", [".inf", ".nan", "-.inf", "9" * 30, "9" * 400, "0x" + "f" * 5000, "1.0e+300"])
def test_a_number_that_is_none_to_count_with_stops_neither_loading_nor_detection(tmp_path: Path, number: str) -> None:
    """One rule in the folder must not take the others with it, at the first load, from the store, or at an event."""
    head = "title: t\nid: x\n"
    body = f"detection: {{s: {{v: {number}, w|gt: '{number}'}}, condition: s}}\nexamples: {{match: [{{event: {{a: {number}}}}}]}}\n"
    bodies = [
        f"logsource: {{product: linux}}\n{body}",
        *(
            f"correlation: {{type: {kind}, rules: [fair], timespan: 1m, condition: {{gte: {number}{field}}}}}\n"
            for kind, field in (("event_count", ""), ("value_sum", ", field: v"), ("value_count", ", field: v"))
        ),
    ]
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "fair.yml").write_text(
        "title: f\nid: fair\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n", encoding="utf-8"
    )
    for text in bodies:
        (folder / "x.yml").write_text(head + text, encoding="utf-8")
        first = load_stored([folder], tmp_path / "store")
        assert load_stored([folder], tmp_path / "store") == first
        hits = Detector(first).run([event(at, v) for at, v in enumerate((1, "1", float("inf"), "9" * 30, 10**30))])
        assert {hit.rule_id for hit in hits} <= {"fair"}
        assert "fair" in first.infos()


def test_a_rule_cannot_group_by_thousands_of_fields(tmp_path: Path) -> None:
    names = ", ".join(f"f{at}" for at in range(1000))
    source = "title: t\nid: t{}\nlogsource: {{product: linux}}\n"
    detection = "detection: {{s: {{a: b}}, condition: s}}\n"
    texts = (
        source + detection + "alert: {{group_by: [{}]}}\n",
        "title: t\nid: t{}\ncorrelation: {{type: event_count, rules: [t0], timespan: 1m, condition: {{gte: 1}}, group-by: [{}]}}\n",
        source + "watch: {{type: threshold, field: v, timespan: 1m, condition: {{gt: 1}}, group-by: [{}]}}\n",
    )
    for at, text in enumerate(texts):
        (tmp_path / f"{at}.yml").write_text(text.format(at, names), encoding="utf-8")
    found = load_rules([tmp_path])
    assert found.rules == ()
    assert all("at most 32 fields" in one.en for one in found.refused), found.refused
