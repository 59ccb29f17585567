"""``secops rules`` over a real state folder: import, list, switch, except, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secops import audit, settings, wiring
from secops.cli import root
from tests.detecting.world import NOW, RULE, store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    wiring.prepare(settings.load(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "Stranger's rules"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "squirrel.yml").write_text(RULE.format(title="squirrel", id="squirrel-rule", text="squirrel"))
    (made / "bad.yml").write_text("title: no detection\nid: bad-rule\n")
    return made


def run(state: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(root.build("rules"), ["rules", *words, "--state", str(state)])
    assert result.exit_code == code, result.output
    return str(result.output)


def told(state: Path, *words: str) -> Any:
    return json.loads(run(state, *words, "--json"))


def listed(state: Path, rule_id: str = "squirrel-rule") -> Any:
    return next((one for one in told(state, "list") if one["id"] == rule_id), None)


def test_every_rule_of_a_folder_runs_or_is_refused_with_its_place_and_reason(state: Path, source: Path) -> None:
    done = told(state, "import", str(source))
    assert (done["name"], done["files"], done["rules"], done["refused"]) == ("stranger-s-rules", 2, 1, 1)
    assert done["running"] == ["squirrel-rule"]
    [refused] = done["refused_rules"]
    assert (refused["file"], refused["rule_id"]) == ("bad.yml", "bad-rule")
    assert refused["zh"]
    assert refused["en"]
    assert "bad.yml:1:" in run(state, "import", str(source))


TWIN = """\
title: Local user made
id: twin-rule
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4720}
  condition: selection
level: low
"""


def test_rules_that_look_like_ours_are_named_and_switched_off_by_choice(state: Path, source: Path) -> None:
    (source / "twin.yml").write_text(TWIN)
    done = told(state, "import", str(source), "--name", "hq")
    [pair] = done["alike"]
    assert (pair["rule_id"], pair["like_title"], pair["share"]) == ("twin-rule", "Windows user account created", 1.0)
    assert (done["switched_off"], listed(state, "twin-rule")["off_for"]) == ([], [])
    assert listed(state, "twin-rule")["imported"] == "hq"
    assert "1 rules look like ours" in run(state, "import", str(source), "--name", "hq")
    done = told(state, "import", str(source), "--name", "hq", "--alike-off", "ours has a runbook")
    assert (done["switched_off"], listed(state, "twin-rule")["off_for"]) == (["twin-rule"], [""])
    assert "ours has a runbook" in run(state, "show", "twin-rule")
    assert told(state, "import", str(source), "--name", "hq", "--alike-off", "again")["switched_off"] == []


def test_the_next_import_of_the_name_is_an_update(state: Path, source: Path) -> None:
    told(state, "import", str(source), "--name", "hq")
    (source / "bad.yml").write_text(RULE.format(title="mended", id="bad-rule", text="mended"))
    (source / "deep" / "squirrel.yml").unlink()
    (source / "new.yml").write_text(RULE.format(title="new", id="new-rule", text="new"))
    done = told(state, "import", str(source), "--name", "hq")
    assert (done["added_files"], done["changed_files"], done["removed_files"]) == (
        ["new.yml"],
        ["bad.yml"],
        ["deep/squirrel.yml"],
    )
    assert sorted(done["running"]) == ["bad-rule", "new-rule"]
    [current] = told(state, "imports")
    assert current["counts"]["rules"] == 2
    assert len(told(state, "imports", "--all")) == 2


def test_an_import_for_one_tenant_runs_for_that_tenant_alone(state: Path, source: Path) -> None:
    assert "organisation" in run(state, "import", str(source), "--tenant", "nowhere", code=2)
    told(state, "import", str(source), "--tenant", "city")
    assert listed(state) is None
    assert listed(state, "squirrel-rule@city")["tenants"] == ["city"]


def test_what_is_no_folder_of_rules_is_refused_and_changes_nothing(state: Path, tmp_path: Path) -> None:
    run(state, "import", str(tmp_path / "missing"), code=2)
    run(state, "import", str(tmp_path), "--name", "../up", code=2)
    assert told(state, "imports") == []


def test_a_rule_is_switched_off_and_on_with_a_reason(state: Path, source: Path) -> None:
    told(state, "import", str(source))
    told(state, "disable", "squirrel-rule", "--tenant", "city", "--reason", "too many")
    assert listed(state)["off_for"] == ["city"]
    told(state, "disable", "squirrel-rule", "--reason", "all of them")
    assert listed(state)["off_for"] == ["", "city"]
    told(state, "enable", "squirrel-rule", "--reason", "winter")
    assert listed(state)["off_for"] == ["city"]
    assert "too many" in run(state, "show", "squirrel-rule")
    run(state, "disable", "no-such-rule", "--reason", "x", code=2)
    run(state, "disable", "squirrel-rule", "--reason", " ", code=2)
    with wiring.opened(settings.load(state)) as service, service.database.read() as tx:
        rows = audit.about(tx, ["rule:squirrel-rule"])
    assert [row.action for row in rows] == ["rule.disable", "rule.disable", "rule.enable"]
    assert all(row.actor.startswith("operator:") for row in rows)


def test_exceptions_are_added_listed_and_ended(state: Path, source: Path) -> None:
    told(state, "import", str(source))
    words = ("except", "squirrel-rule", "--reason", "tame")
    assert "条件" in run(state, *words, "--where", "a: [b", code=2)
    run(state, *words, "--where", "host.name: h1", "--expires", "2020-01-01", code=2)
    run(state, *words, "--where", "host.name: h1", "--expires", "soon", code=2)
    first = told(state, *words, "--where", "host.name: h1", "--expires", "30d")["id"]
    second = told(state, *words, "--where", "host.name: h2", "--tenant", "city")["id"]
    assert [one["id"] for one in told(state, "exceptions")] == [first, second]
    told(state, "unexcept", str(first), "--reason", "wild again")
    assert [one["id"] for one in told(state, "exceptions")] == [second]
    assert len(told(state, "exceptions", "--all")) == 2
    (state / "rules" / "imported" / "stranger-s-rules" / "deep" / "squirrel.yml").unlink()
    [orphan] = told(state, "exceptions")
    assert not orphan["rule_known"]
    assert "gone" in run(state, "exceptions")


def test_a_rule_or_a_file_is_replayed(state: Path, source: Path, tmp_path: Path) -> None:
    told(state, "import", str(source))
    with wiring.opened(settings.load(state)) as service:
        store(service, [f"<38>Nov 24 08:00:00 h{n} app[1]: squirrel {n}" for n in range(5)])
    span = ("--from", NOW.isoformat(), "--to", "2026-11-24T16:00:03+08:00")
    done = told(state, "replay", "squirrel-rule", *span)
    assert (done["events"], done["hits"]) == (3, 3)
    file = tmp_path / "draft.yml"
    file.write_text(RULE.format(title="draft", id="draft-rule", text="squirrel 1"))
    done = told(state, "replay", str(file), *span)
    assert (done["events"], done["by_rule"], done["by_host"]) == (3, {"draft-rule": 1}, {"h1": 1})
    assert "squirrel 1" in run(state, "replay", str(file), *span)
    told(state, "disable", "squirrel-rule", "--reason", "x")
    assert told(state, "replay", "squirrel-rule", *span)["hits"] == 3
    assert told(state, "replay", "squirrel-rule", "--exceptions", *span)["hits"] == 0
    run(state, "replay", "no-such-rule", *span, code=2)
    run(state, "replay", str(source / "bad.yml"), *span, code=2)


def test_the_list_is_sorted_as_asked(state: Path, source: Path) -> None:
    told(state, "import", str(source))
    levels = [one["level"] for one in told(state, "list", "--sort", "level")]
    order = ["critical", "high", "medium", "low", "informational"]
    assert [order.index(level) for level in levels] == sorted(order.index(level) for level in levels)
    assert "squirrel-rule" in run(state, "list", "--sort", "hits")
    assert "严重 critical" in run(state, "list", "--sort", "level")
    assert "no order" in run(state, "list", "--sort", "colour", code=2)
