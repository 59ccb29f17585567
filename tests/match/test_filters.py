"""Sigma filters: exceptions apart from the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secops.match.engine import Engine
from secops.match.load import load_rules
from tests.match.conftest import Documents, rule

ONE, TWO = (f"00000000-0000-4000-8000-{number:012d}" for number in (1, 2))
RULES = (
    rule({"s": {"f": "x"}, "condition": "s"}, 1, name="first"),
    rule({"s": {"f": "x"}, "condition": "s"}, 2, logsource={"product": "test", "service": "other"}),
)
QUIET = {"rules": ["first"], "admin": {"user": "admin"}, "condition": "not admin"}


def exception(section: Any, **more: Any) -> dict[str, Any]:
    return {"title": "F", "id": "f-1", "logsource": {"product": "test"}, "filter": section, **more}


@pytest.mark.parametrize(
    ("document", "hit"),
    [
        (exception(QUIET), [TWO]),
        (exception({**QUIET, "rules": [TWO]}), [ONE]),
        (exception({**QUIET, "rules": ["first", TWO]}), []),
        (exception({**QUIET, "rules": "any"}), []),
        (exception({**QUIET, "rules": "any"}, logsource={"service": "other"}), [ONE]),
    ],
)
def test_a_filter_makes_an_exception_of_the_rules_it_names(
    load: Documents, document: dict[str, Any], hit: list[str]
) -> None:
    found = load(document, *RULES)
    assert found.refused == ()
    hits = Engine(found.rules).match([{"f": "x", "user": "admin"}, {"f": "x", "user": "guest"}])
    assert [each.rule_id for each in hits if each.index == 0] == hit
    assert [each.rule_id for each in hits if each.index == 1] == [ONE, TWO]
    assert all(each.fields == {"f": "x"} for each in hits)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (exception({**QUIET, "rules": ["nobody"]}), "about no rule"),
        (exception(QUIET, logsource={"product": "windows"}), "about no rule"),
        (exception({"admin": {"user": "admin"}, "condition": "not admin"}), "which rules"),
        (exception([QUIET]), "which rules"),
        (exception({**QUIET, "condition": "not user"}), "names 'user', which is not defined"),
        (exception({**QUIET, "admin": {"user|odd": "x"}}), "unknown modifier 'odd'"),
        (exception(QUIET, id=ONE), "is already used at"),
        (exception(QUIET, id=""), "id is missing"),
    ],
)
def test_filters_that_would_do_nothing_or_are_not_understood_are_refused(
    load: Documents, document: dict[str, Any], reason: str
) -> None:
    found = load(*RULES, document)
    assert len(found.rules) == 2
    [refused] = found.refused
    assert reason in refused.en
    hits = Engine(found.rules).match([{"f": "x", "user": "admin"}])
    assert [each.rule_id for each in hits] == [ONE, TWO]


def test_a_filter_of_one_tenant_leaves_what_others_rely_on_alone(tmp_path: Path) -> None:
    base = "title: t\nid: {}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"
    narrow = "title: f\nid: f\nlogsource: {}\nfilter: {rules: any, s: {a: b}, condition: not s}\n"
    for name in ("all", "north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rule.yml").write_text(base.format(name), encoding="utf-8")
    (tmp_path / "north" / "filter.yml").write_text(narrow, encoding="utf-8")
    found = load_rules([tmp_path], tenants={f"{tmp_path}/north/": "north", f"{tmp_path}/south/": "south"})
    assert {one.id: one.tenants for one in found.rules} == {
        "all": (),
        "north@north": ("north",),
        "south@south": ("south",),
    }
    assert [hit.rule_id for hit in Engine(found.rules).match([{"a": "b", "event.module": "linux"}])] == [
        "all",
        "south@south",
    ]
    (tmp_path / "north" / "filter.yml").write_text(f"{narrow}tenants: [south]\n", encoding="utf-8")
    found = load_rules([tmp_path], tenants={f"{tmp_path}/north/": "north"})
    assert "is for tenant north alone" in found.refused[0].en
