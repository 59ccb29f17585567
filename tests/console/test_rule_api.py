"""Rules for programs: the same figures and decisions as the pages show, and no other organisation's."""

from __future__ import annotations

import pytest

from secops.match.overrides import Tally
from secops.rulebook import exceptions, imports, stats, switches
from tests.console.world import World


@pytest.fixture
def rule_id(world: World) -> str:
    """A rule with figures and decisions of two organisations."""
    found = min(rule.id for rule in world.service.rules.rules if not rule.info.tenants)
    now = world.clock()
    micros = int(now.timestamp() * 1e6)
    with world.service.database.begin() as tx:
        stats.add(tx, {(found, "city"): Tally(1000, micros), (found, "north"): Tally(7, micros)}, now)
        for tenant in ("city", "north", ""):
            switches.set_enabled(tx, rule_id=found, tenant=tenant, enabled=False, reason="r", actor="a", now=now)
            exceptions.add(
                tx, rule_id=found, tenant=tenant, condition="a: b", reason="r", actor="a", now=now, expires_at=None
            )
            imports.record(tx, name=f"of-{tenant}", tenant=tenant, source="/x", counts={"rules": 1}, actor="a", now=now)
        exceptions.add(tx, rule_id="gone", tenant="", condition="a: b", reason="r", actor="a", now=now, expires_at=None)
    return found


def test_a_rule_with_what_is_known_and_decided_of_it(world: World, rule_id: str) -> None:
    with world.client("officer") as client:
        page = client.get("/api/v1/rules?limit=2").json()
        assert page["rules"][0]["id"] == rule_id
        following = client.get(f"/api/v1/rules?limit=2&after={page['next']}").json()["rules"]
        assert following[0]["id"] > page["rules"][1]["id"]
        one = client.get(f"/api/v1/rules/{rule_id}").json()
        assert (one["hits"], one["hits_by_tenant"]) == (1007, {"city": 1000, "north": 7})
        assert one["off_for"] == ["", "city", "north"]
        assert len(one["switches"]) == len(one["exceptions"]) == 3
        assert client.get("/api/v1/rules/no-such-rule").status_code == 404
        gone = [each for each in client.get("/api/v1/rule-exceptions").json()["exceptions"] if not each["rule_known"]]
        assert [each["rule_id"] for each in gone] == ["gone"]
        assert len(client.get("/api/v1/rule-imports").json()["imports"]) == 3


def test_another_organisations_figures_and_decisions_are_not_told(world: World, rule_id: str) -> None:
    with world.client("county") as client:
        one = client.get(f"/api/v1/rules/{rule_id}").json()
        assert "city" not in {*one["off_for"], *one["hits_by_tenant"]}
        assert all(each["tenant"] != "city" for each in [*one["switches"], *one["exceptions"]])
        listed = client.get("/api/v1/rule-exceptions").json()["exceptions"]
        assert all(each["tenant"] != "city" for each in listed)
        assert all(each["tenant"] != "city" for each in client.get("/api/v1/rule-imports").json()["imports"])


@pytest.mark.parametrize("path", ["rules", "rules/x", "rule-exceptions", "rule-imports"])
def test_who_may_not_read_rules_is_refused(world: World, path: str) -> None:
    with world.client("inspector") as client:
        assert client.get(f"/api/v1/{path}").status_code == 403


def test_what_was_refused_is_told_only_to_those_who_see_every_organisation(world: World) -> None:
    folder = world.service.console_rules_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret-of-the-city.yml").write_text("title: no rule\n", encoding="utf-8")
    try:
        world.service.refresh_rules()
        with world.client("officer") as client:
            assert "secret-of-the-city" in client.get("/api/v1/rules?limit=1").text
            assert "secret-of-the-city" in client.get("/rules").text
        with world.client("county") as client:
            answer = client.get("/api/v1/rules?limit=1")
            assert (answer.json()["refused"], answer.json()["refused_count"]) == ([], 0)
            assert "secret-of-the-city" not in client.get("/rules").text
    finally:
        (folder / "secret-of-the-city.yml").unlink()
        world.service.refresh_rules()
