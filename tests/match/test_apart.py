"""Rules of two tenants: neither takes, switches nor refers to what the other wrote, nor names its lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from secops.match.detector import Detector
from secops.match.draft import read_draft
from secops.match.load import load_rules
from secops.match.overrides import Overrides
from secops.match.rule import RuleSet
from tests.match.watching import event

RULE = "title: t\nid: {}\nname: {}\nlogsource: {{}}\ndetection: {{s: {{a: {}}}, condition: s}}\n"
COUNT = "title: c\nid: {}\ncorrelation: {{type: event_count, rules: [{}], timespan: 1m, condition: {{gte: 2}}}}\n"
WATCH = "title: w\nid: {}\nlogsource: {{}}\nwatch: {{type: ioc, indicator: ip, fields: [a], lists: ['{}']}}\n"


def write(root: Path, name: str, text: str) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def apart(root: Path, *extra: str) -> RuleSet:
    return load_rules([root], tenants={f"{root}/{name}/": name.rstrip("2") for name in ("north", "south", *extra)})


def test_the_same_id_in_two_tenants_folders_is_two_rules(tmp_path: Path) -> None:
    for name in ("north", "south"):
        write(tmp_path, f"{name}/r.yml", RULE.format("same", "n", "x") + "---\n" + COUNT.format("count", "same"))
    found = apart(tmp_path)
    assert found.refused == ()
    assert {rule.id: rule.tenants for rule in found.rules} == {
        "same@north": ("north",),
        "same@south": ("south",),
        "count@north": ("north",),
        "count@south": ("south",),
    }
    hits = [{**event(second, second, a="x"), "organization.id": "north"} for second in (1, 2)]
    events = [*hits, {**event(3, 3, a="x"), "organization.id": "south"}]
    assert [each.rule_id for each in Detector(found).run(events)] == ["count@north"]
    assert [rule.body.rules for rule in found.correlations] == [("same@north",), ("same@south",)]


def test_an_id_switched_off_for_one_tenant_runs_on_for_the_other(tmp_path: Path) -> None:
    for name in ("north", "south"):
        write(tmp_path, f"{name}/r.yml", RULE.format("same", "n", "x"))
    off = frozenset({("north", "same@north"), ("north", "same@south")})
    detector = Detector(apart(tmp_path), overrides=Overrides(off=off))
    events = [{**event(second, a="x"), "organization.id": ("north", "south")[second]} for second in (0, 1)]
    assert [each.rule_id for each in detector.run(events)] == ["same@south"]


def test_where_a_rule_runs_for_all_a_tenant_s_copy_gives_way(tmp_path: Path) -> None:
    for folder in ("aside", "zz"):  # read before the tenant's folder, and after it
        other = write(tmp_path / folder, f"{folder}/r.yml", RULE.format("same", "n", "x"))
        write(tmp_path / folder, "north/r.yml", RULE.format("same", "n", "x"))
        found = apart(tmp_path / folder)
        assert [(rule.id, rule.file) for rule in found.rules] == [("same", str(other))]
        assert [Path(each.file).parent.name for each in found.refused] == ["north"]
        assert "already used" in found.refused[0].en


@pytest.mark.parametrize("word", ["same", "same@south", "called"])
def test_another_tenant_s_rule_is_not_there_for_a_correlation(tmp_path: Path, word: str) -> None:
    write(tmp_path, "south/r.yml", RULE.format("same", "called", "x"))
    write(tmp_path, "north/c.yml", COUNT.format("count", word))
    found = apart(tmp_path)
    assert [rule.id for rule in found.rules] == ["same@south"]
    assert found.rules[0].info.alert
    [refusal] = found.refused
    assert (refusal.rule_id, "not there" in refusal.en, word in refusal.en) == ("count@north", True, True)


def test_a_word_means_the_tenant_s_own_rule_though_another_bears_it_first(tmp_path: Path) -> None:
    write(tmp_path, "north/r.yml", RULE.format("one", "called", "x"))
    write(tmp_path, "south/r.yml", RULE.format("two", "called", "x") + "---\n" + COUNT.format("count", "called"))
    assert [rule.body.rules for rule in apart(tmp_path).correlations] == [("two@south",)]


def test_a_filter_that_names_another_tenant_s_rule_is_about_none(tmp_path: Path) -> None:
    write(tmp_path, "south/r.yml", RULE.format("same", "called", "x"))
    for word in ("same", "same@south", "called"):
        write(
            tmp_path,
            "north/f.yml",
            f"title: f\nid: f\nlogsource: {{}}\nfilter: {{rules: [{word}], s: {{a: x}}, condition: not s}}\n",
        )
        [refusal] = apart(tmp_path).refused
        assert "about no rule" in refusal.en
    write(tmp_path, "south/g.yml", (tmp_path / "north/f.yml").read_text().replace("called", "same"))
    assert [each.rule_id for each in apart(tmp_path).refused] == ["f@north"]


def test_a_draft_takes_no_name_from_another_tenant_and_keeps_none_from_it(tmp_path: Path) -> None:
    standing = RULE.format("one", "called", "x") + "tenants: [north]\n"
    running = load_rules([write(tmp_path, "r.yml", standing)]).rules
    drawn, refused = read_draft(RULE.format("two", "called", "x") + "tenants: [south]\n", running, folder=tmp_path)
    assert drawn is not None
    assert refused == ()
    drawn, refused = read_draft(COUNT.format("c", "called") + "tenants: [south]\n", running, folder=tmp_path)
    assert drawn is None
    assert "not there" in refused[0].en


@pytest.mark.parametrize("how", ["absolute", "dots", "link", "link of a folder", "another root"])
@pytest.mark.parametrize("tenant", ["north", ""])
def test_a_rule_names_no_list_outside_its_own_folder(tmp_path: Path, how: str, tenant: str) -> None:
    root, other = tmp_path / "rules", tmp_path / "other"
    theirs = write(root, "south/list.txt", "192.0.2.1\n")
    secret = write(other, "secret.txt", "192.0.2.1\n")
    (root / "north").mkdir(parents=True)
    (root / "north" / "link.txt").symlink_to(theirs)
    (root / "north" / "deep").symlink_to(theirs.parent)
    name = {
        "absolute": str(theirs),
        "dots": "../south/list.txt",
        "link": "link.txt",
        "link of a folder": "deep/list.txt",
        "another root": str(secret),
    }[how]
    write(root, "north/w.yml", WATCH.format("w", name))
    found = load_rules([root, other], tenants={f"{root}/north/": tenant, f"{root}/south/": "south"})
    assert found.rules == ()
    [refusal] = found.refused
    assert (refusal.line, "is outside" in refusal.en, "之外" in refusal.zh) == (4, True, True)
    drawn, refused = read_draft(WATCH.format("w", name), (), folder=root / "north")
    assert drawn is None
    assert "is outside" in refused[0].en


def test_a_rule_names_the_lists_of_its_own_folder(tmp_path: Path) -> None:
    listed = write(tmp_path, "north/lists/l.txt", "192.0.2.1\n")
    write(tmp_path, "north/w.yml", WATCH.format("w", "lists/l.txt") + "---\n" + WATCH.format("v", listed))
    found = apart(tmp_path)
    assert found.refused == ()
    assert [hit.rule_id for hit in Detector(found).run([{**event(0, a="192.0.2.1"), "organization.id": "north"}])] == [
        "w@north",
        "v@north",
    ]
