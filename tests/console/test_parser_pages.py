"""Parsers of one's own: tried, saved, in force, shown when broken; nobody touches another's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from identity.principal import Role
from secops.audit import last
from secops.console.parsers import EXAMPLE
from secops.normalise.custom_shelf import CustomShelf
from tests.console.world import World, open_page, send

PAGE = "/sources/parsers"
LINE = "<38>1 2026-11-24T08:00:00Z gate-1 gated - - - 2026/11/24 15:59:58 open by 王五 from 10.0.0.9:4431"


@pytest.fixture(scope="module", autouse=True)
def people(world: World) -> None:
    world.add("west-admin", Role.SYSTEM_ADMIN, organization="north")


def test_the_page_opens_with_the_newest_unparsed_lines_for_who_reads_events(world: World) -> None:
    world.ingest("<38>1 2026-11-24T08:00:00Z odd-9 app - - - nobody knows <b>this</b>")
    for lang in ("zh", "en"):
        with world.client("officer", lang=lang) as client:
            text = open_page(client, PAGE, within=1).text
            assert "nobody knows &lt;b&gt;this&lt;/b&gt;" in text
    with world.client("admin") as client:
        assert "nobody knows" not in client.get(PAGE).text
    with world.client("county") as client:
        assert "nobody knows" not in client.get(PAGE).text


def test_a_trial_shows_fields_or_why_not_and_stores_nothing(world: World) -> None:
    form = {"tenant": "city", "name": "gate", "text": EXAMPLE}
    with world.client("officer") as client:
        shown = send(client, PAGE, f"{PAGE}/trial", **form, lines=f"{LINE}\nno header\n{LINE.replace('open by', '%')}")
        text = shown.text.split('id="tried"')[1]
        assert "10.0.0.9" in text
        assert "王五" in text
        assert "不符合 match" in text
        assert "没有模式匹配" in text
        broken = send(client, PAGE, f"{PAGE}/trial", **{**form, "text": "patterns: ['(']"}, lines="x")
        assert broken.status_code == 400
        assert "gate.yml:1" in broken.text
        assert send(client, PAGE, PAGE, **form).status_code == 403, "an officer tries and does not put in force"
    assert not (world.service.parsers_dir / "city" / "gate.yml").exists()


def test_it_is_saved_used_edited_and_deleted(world: World) -> None:
    form = {"tenant": "north", "name": "gate", "text": EXAMPLE}
    with world.client("west-admin") as client:
        assert send(client, PAGE, PAGE, **form).status_code == 303
        shelf = CustomShelf(world.service.parsers_dir)
        shelf.refresh()
        assert [one.name for one in shelf.parsers["north"]] == ["gate"]
        assert "gated" in client.get(f"{PAGE}?tenant=north&name=gate").text
        (world.service.parsers_dir / "north" / "gate.yml").write_text("patterns: [")
        assert "gate.yml" in client.get(PAGE).text
        with world.client("officer") as city:
            assert "gate.yml" in city.get(PAGE).text, "the city sees what is broken in a county"
        assert send(client, PAGE, f"{PAGE}/delete", tenant="north", name="gate").status_code == 303
        assert client.get(f"{PAGE}?tenant=north&name=gate").status_code == 404
    with world.service.database.read() as tx:
        row = last(tx, action="parser.deleted")
        assert row is not None
        assert (row.actor, row.tenant, row.target) == ("west-admin", "north", "gate")


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", "x" * 41, ".", "a.yml", "a%00"])
def test_no_name_leads_out_of_the_folder(world: World, name: str) -> None:
    with world.client("admin") as client:
        assert send(client, PAGE, PAGE, tenant="city", name=name, text=EXAMPLE).status_code == 400
    with world.client("west-admin") as client:
        for tenant in ("city", "..", "north/../city"):
            assert send(client, PAGE, PAGE, tenant=tenant, name="x", text=EXAMPLE).status_code == 403


def test_the_command_checks_and_tries(tmp_path: Path) -> None:
    good, bad, lines = tmp_path / "gate.yml", tmp_path / "bad.yml", tmp_path / "lines.log"
    good.write_text(EXAMPLE)
    bad.write_text("patterns: ['(']")
    lines.write_text(f"{LINE}\nother\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "secops", "parser", *arguments, "--json"],
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert run("check", str(good)).returncode == 0
    checked = run("check", str(good), str(bad))
    assert checked.returncode == 1
    assert b"bad.yml:1" in checked.stdout
    first, second = orjson.loads(run("test", str(good), str(lines)).stdout)
    assert first["fields"]["user.name"] == "王五"
    assert second["fields"] == {}
    assert second["en"]
