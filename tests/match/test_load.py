"""What the loader refuses, with file, line and reason in both languages."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from secops.match.atoms import evaluate
from secops.match.load import load_rules
from secops.match.rule import Correlation, RuleSet
from secops.match.source import MAX_BYTES
from tests.match.conftest import Documents, correlation, rule

LAUGHS = "\n".join(
    [
        "a: &a [x,x,x,x,x,x,x,x,x]",
        *(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdef", "bcdefg", strict=True)),
    ]
).encode()
HEAD = "title: T\nid: 5e0d1f2a-0000-4000-8000-000000000001\nlogsource: {product: linux}\n"


def refusal(found: RuleSet) -> tuple[int, str]:
    assert found.rules == ()
    [refused] = found.refused
    assert re.search(r"[\u4e00-\u9fff]", refused.zh)
    assert refused.file.endswith("rules.yml")
    return refused.line, refused.en


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ("detection:\n  a:\n    f|nonsense: x\n  condition: a\n", 6, "unknown modifier 'nonsense'"),
        ("detection:\n  a:\n    f: x\n  condition: a and b\n", 7, "names 'b', which is not defined"),
        ("detection:\n  a:\n    f: x\n  condition: a & a\n", 7, "cannot read '& a'"),
        ("detection:\n  a:\n    f: x\n  condition: a | count() > 5\n", 7, "aggregation after '|'"),
        ("detection:\n  a:\n    f: x\n  condition: a | count\n", 7, "aggregation"),
        ("detection:\n  a:\n    f: x\n  condition: (a\n", 7, "closing parenthesis"),
        ("detection:\n  a:\n    f: x\n  condition: a a\n", 7, "'a' is not expected here"),
        ("detection:\n  a:\n    f: x\n  condition: 2 of a*\n", 7, "only 1, any and all"),
        ("detection:\n  a:\n    f: x\n  condition: 1 of b*\n", 7, "no selection matches 'b*'"),
        ("detection:\n  a:\n    f: x\n  condition: not\n", 7, "a selection is expected before the end"),
        ("detection:\n  a:\n    f: x\n", 5, "condition is missing"),
        ("detection:\n  a:\n    f: x\n  timeframe: 5m\n  condition: a\n", 7, "timeframe"),
        ("detection:\n  a:\n    f|re: '(?=x)'\n  condition: a\n", 6, "look-around"),
        ("detection:\n  a:\n    f|re: '(x'\n  condition: a\n", 6, "regular expression refused"),
        ("detection:\n  a:\n    f|i: x\n  condition: a\n", 6, "modifier i may only follow re"),
        ("detection:\n  a:\n    f|cidr: 10.0.0.0/99\n  condition: a\n", 6, "is not a network"),
        ("detection:\n  a:\n    f|gt: many\n  condition: a\n", 6, "modifier gt cannot be applied"),
        ("detection:\n  a:\n    f|lt: .inf\n  condition: a\n", 6, "modifier lt cannot be applied"),
        ("detection:\n  a:\n    f|contains: null\n  condition: a\n", 6, "null cannot take the modifier contains"),
        ("detection:\n  a:\n    f|exists: maybe\n  condition: a\n", 6, "modifier exists cannot be applied"),
        ("detection:\n  a:\n    f|expand: '%admins%'\n  condition: a\n", 6, "placeholder %admins% has no values"),
        ("detection:\n  a:\n    f: {g: x}\n  condition: a\n", 6, "a value or a list of values"),
        ("detection:\n  a:\n    f: []\n  condition: a\n", 6, "a value or a list of values"),
        ("detection:\n  a: {}\n  condition: a\n", 5, "a selection is empty"),
        ("detection:\n  a:\n    f: x\n    f: y\n  condition: a\n", 7, "key 'f' is there twice"),
        ("detection: [a]\n", 4, "not a mapping"),
        ("level: extreme\ndetection:\n  a: {f: x}\n  condition: a\n", 4, "unknown level 'extreme'"),
        ("clauses: ['8.1']\ndetection:\n  a: {f: x}\n  condition: a\n", 4, "write it as 8.1.4.1-b"),
        ("examples: {positive: []}\ndetection:\n  a: {f: x}\n  condition: a\n", 4, "match and no_match only"),
        ("alert: {window: soon}\ndetection:\n  a: {f: x}\n  condition: a\n", 4, "time span 'soon'"),
        ("action: global\ndetection:\n  a: {f: x}\n  condition: a\n", 4, "action is not part of Sigma"),
        ("detection:\n  a: {f: x}\n  condition: a\ncorrelation: {}\n", 1, "one of detection, correlation and watch"),
        ("detection:\n  a: {f: *other}\n  condition: a\n", 5, "alias *other is not defined"),
        ("detection:\n\ta: x\n", 5, "not YAML"),
    ],
)
def test_refused_with_line_and_reason(load: Documents, body: str, line: int, reason: str) -> None:
    at, said = refusal(load(HEAD + body))
    assert reason in said
    assert at == line


def test_an_id_is_made_of_the_title_where_there_is_none(load: Documents) -> None:
    without = rule({"a": {"f": "x"}, "condition": "a"})
    del without["id"]
    [first], [again] = load(without).rules, load({**without, "level": "high"}).rules
    assert first.id == again.id
    other = load(without, {**without, "title": "Another"})
    assert len({each.id for each in other.rules}) == 2
    assert "id is missing or malformed" in refusal(load({**without, "id": ""}))[1]


def test_an_id_is_unique(load: Documents) -> None:
    twice = rule({"a": {"f": "x"}, "condition": "a"})
    found = load(twice, twice)
    assert len(found.rules) == 1
    assert "already used at" in found.refused[0].en


def test_custom_keys_are_allowed(load: Documents) -> None:
    found = load(rule({"a": {"f": "x"}, "condition": "a"}, simulation=[{"type": "x"}], house_rule="yes"))
    assert len(found.rules) == 1


def test_metadata_reaches_the_later_stages(load: Documents) -> None:
    found = load(
        rule(
            {"a": {"f": "x"}, "condition": "a"},
            title_zh="规则",
            level="high",
            tags=["attack.t1110"],
            clauses=["8.1.4.1-b"],
            owner="security-operations",
            runbook="x.md",
            service="host-operations",
            alert={"window": "2h", "group_by": ["user.name"]},
        )
    )
    info = found.rules[0].info
    assert (info.title_zh, info.level, info.tags, info.clauses) == ("规则", "high", ("attack.t1110",), ("8.1.4.1-b",))
    assert (info.owner, info.runbook, info.service) == ("security-operations", "x.md", "host-operations")
    assert (info.window, info.group_by, info.alert) == (timedelta(hours=2), ("user.name",), True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a: [" + b"[" * 200_000, "levels deep"),
        (b"a: " + b"- " * 50_000 + b"x", "not YAML"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
        (b"title: \xff\xfe", "not UTF-8"),
        (LAUGHS, "nodes"),
        (b"!!python/object/apply:os.system [id]", "not a rule"),
        (b"- a\n- b\n", "not a rule"),
        (b"a: 1e999999999\nb: !!int nine\n", "cannot read value"),
    ],
    ids=["deep-flow", "deep-block", "large", "bytes", "laughs", "python", "list", "number"],
)  # fmt: skip
def test_hostile_files_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "rules.yml").write_bytes(data)
    _, said = refusal(load_rules([tmp_path / "rules.yml"]))
    assert reason in said


def test_a_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("{", encoding="utf-8")
    (tmp_path / "b.yml").write_text(HEAD + "detection:\n  a: {f: x}\n  condition: a\n", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.yml").write_text("{", encoding="utf-8")
    found = load_rules([tmp_path])
    assert (len(found.rules), len(found.refused), found.files) == (1, 1, 2)


def test_a_missing_file_is_a_refusal(tmp_path: Path) -> None:
    found = load_rules([tmp_path / "none.yml"])
    assert "cannot read the file" in found.refused[0].en


COUNT = {"type": "event_count", "rules": ["base"], "timespan": "5m", "condition": {"gte": 5}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "sequence"}, "unknown correlation type"),
        ({"rules": []}, "rules is missing"),
        ({"timespan": "5"}, "time span '5'"),
        ({"timespan": "0m"}, "time span '0m'"),
        ({"timespan": "900d"}, "time span '900d'"),
        ({"condition": {"above": 5}}, "unknown key 'above'"),
        ({"condition": {"gte": "five"}}, "must be a number"),
        ({"condition": 5}, "condition is not a mapping"),
        ({"condition": {"field": "x", "gte": 5}}, "does not take condition.field"),
        ({"type": "value_count"}, "needs condition.field"),
        ({"type": "value_count", "condition": {"field": "x"}}, "no comparison"),
        ({"type": "value_percentile", "condition": {"field": "x", "gte": 5, "percentile": 101}}, "percentile"),
        ({"aliases": {"a": "b"}}, "aliases"),
        ({"generate": "yes please"}, "generate must be true or false"),
        ({"window": "5m"}, "unknown correlation setting 'window'"),
        ({"rules": ["nowhere"]}, "refers to rules that are not there"),
    ],
)
def test_refused_correlations(load: Documents, change: dict[str, object], reason: str) -> None:
    base = rule({"a": {"f": "x"}, "condition": "a"}, name="base")
    found = load(base, correlation({**COUNT, **change}))
    assert [each.id for each in found.rules] == [base["id"]]
    assert reason in found.refused[0].en


def test_circles_of_correlations_are_refused(load: Documents) -> None:
    found = load(
        correlation({**COUNT, "rules": ["second"]}, 1, name="first"),
        correlation({**COUNT, "rules": ["first"]}, 2, name="second"),
        correlation({**COUNT, "rules": ["first"]}, 3, name="third"),
    )
    assert found.rules == ()
    assert len(found.refused) == 3


def test_names_become_ids_and_what_is_referred_to_comes_first(load: Documents) -> None:
    base = rule({"a": {"f": "x"}, "condition": "a"}, name="base")
    found = load(correlation({**COUNT, "rules": ["upper"]}, 3), correlation(COUNT, 2, name="upper"), base)
    assert [each.info.title for each in found.rules] == ["Rule 1", "Correlation 2", "Correlation 3"]
    body = found.rules[1].body
    assert isinstance(body, Correlation)
    assert body.rules == (base["id"],)


@pytest.mark.parametrize(("generate", "alerts"), [(False, False), (True, True)])
def test_a_rule_that_only_feeds_does_not_alert(load: Documents, *, generate: bool, alerts: bool) -> None:
    found = load(rule({"a": {"f": "x"}, "condition": "a"}, name="base"), correlation({**COUNT, "generate": generate}))
    assert [each.info.alert for each in found.rules] == [alerts, True]


def test_a_wildcard_and_the_literal_star_are_not_the_same_to_any_cache(load: Documents) -> None:
    found = load(rule({"s": {"f": "*"}, "condition": "s"}, 1), rule({"s": {"f": r"\*"}, "condition": "s"}, 2))
    bodies = [each.body for each in found.rules]
    assert bodies[0] != bodies[1]
    assert len({each.expression for each in bodies}) == 2
    assert [[evaluate(each.expression, {"f": text}) for each in bodies] for text in "*x"] == [
        [True, True],
        [True, False],
    ]


def test_a_correlation_of_one_tenant_silences_nobody_else_s_rule(tmp_path: Path) -> None:
    rule = "title: t\nid: base\nname: base\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n"
    count = "title: c\nid: count\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 5}}\n"
    for tenants, raises in (("", False), ("tenants: [north]\n", True)):
        (tmp_path / "rules.yml").write_text(f"{rule}---\n{count}{tenants}")
        found = load_rules([tmp_path]).infos()
        assert found["base"].alert is raises
    (tmp_path / "rules.yml").write_text(f"{rule}tenants: [north]\n---\n{count}tenants: [north]\n")
    assert load_rules([tmp_path]).infos()["base"].alert is False


def test_the_first_rule_to_bear_a_name_keeps_it(tmp_path: Path) -> None:
    rule = "title: t\nid: {}\nname: base\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
    count = "title: c\nid: count\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 5}}\n"
    (tmp_path / "a.yml").write_text(rule.format("first"))
    (tmp_path / "b.yml").write_text(rule.format("second"))
    (tmp_path / "c.yml").write_text(count)
    (body,) = [one.body for one in load_rules([tmp_path]).correlations]
    assert body.rules == ("first",)


def test_a_correlation_of_a_folder_that_is_for_one_tenant_silences_nobody_else_s_rule(tmp_path: Path) -> None:
    rule = "title: t\nid: base\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n"
    count = "title: c\nid: count\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 5}}\n"
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "a.yml").write_text(count, encoding="utf-8")
    (tmp_path / "rules.yml").write_text(rule, encoding="utf-8")
    assert load_rules([tmp_path]).infos()["base"].alert is False
    found = load_rules([tmp_path], tenants={f"{tmp_path}/north/": "north"}).infos()
    assert found["base"].alert is True
    assert found["count@north"].tenants == ("north",)


@pytest.mark.parametrize("name", ["base", "named"])
def test_a_rule_of_one_tenant_takes_neither_the_id_nor_the_name_of_another(tmp_path: Path, name: str) -> None:
    rule = "title: t\nid: {}\nname: {}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
    count = (
        "title: c\nid: count\ncorrelation: {{type: event_count, rules: [{}], timespan: 1m, condition: {{gte: 5}}}}\n"
    )
    (tmp_path / "a.yml").write_text(rule.format("thief", name) + "tenants: [north]\n", encoding="utf-8")
    (tmp_path / "b.yml").write_text(rule.format("base", "named") + "---\n" + count.format(name), encoding="utf-8")
    (body,) = [one.body for one in load_rules([tmp_path]).correlations]
    assert body.rules == ("base",)
    (tmp_path / "a.yml").write_text(rule.format("base", "x") + "tenants: [north]\n", encoding="utf-8")
    found = load_rules([tmp_path])
    assert [(one.id, one.tenants) for one in found.rules] == [("base", ()), ("count", ())]
    assert [(Path(one.file).name, one.line) for one in found.refused] == [("a.yml", 1)]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("title", "a\\0b", "U+0000"),
        ("title", "fine \\u202Eenif", "U+202E"),
        ("title_zh", "\\u2066x", "U+2066"),
        ("name", "a\\u200Bb", "U+200B"),
        ("runbook", "x" * 300, "more than 100"),
        ("service", "x" * 300, "more than 100"),
        ("owner", "\\e[2Jx", "U+001B"),
        ("title", "x" * 501, "more than 500"),
    ],
)
def test_what_is_shown_beside_others_is_short_and_visible(tmp_path: Path, key: str, value: str, reason: str) -> None:
    """PostgreSQL refuses what is too long or holds NUL, and with it the batch that a hit of the rule is in."""
    title = "" if key == "title" else "title: t\n"
    rest = "id: x\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n"
    (tmp_path / "rules.yml").write_text(f'{title}{key}: "{value}"\n{rest}', encoding="utf-8")
    found = load_rules([tmp_path])
    assert found.rules == ()
    assert reason in found.refused[0].en
    (tmp_path / "rules.yml").write_text(f'{title}{key}: "暴力破解  two\\nlines"\n{rest}', encoding="utf-8")
    [info] = [rule.info if key != "name" else rule for rule in load_rules([tmp_path]).rules]
    assert getattr(info, key) == "暴力破解 two lines"
