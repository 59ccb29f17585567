"""``secops source list --health`` and ``secops source quota`` over a real state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secops import settings, source_health, source_quotas, wiring
from secops.cli import root

STAMP = "2026-11-24T00:00:00.000000Z"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    wiring.prepare(settings.load(folder))
    return folder


def told(state: Path, *words: str) -> Any:
    result = CliRunner().invoke(root.build("source"), ["source", *words, "--state", str(state), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_sources_are_listed_with_their_health(state: Path) -> None:
    window = source_health.Window(
        events=3, received=STAMP, newest="2026-11-24T00:01:00.000000Z", oldest=STAMP, quarantined=1
    )
    with wiring.opened(settings.load(state)) as service, service.database.begin() as tx:
        source_health.record(tx, {("city", "relp", "web-1"): window}, 5.0)
    [row] = told(state, "list", "--health")
    assert (row["host"], row["events"], row["quarantined"], row["clock_ahead_seconds"]) == ("web-1", 3, 1, 60.0)
    plain = CliRunner().invoke(root.build("source"), ["source", "list", "--health", "--state", str(state)])
    assert "web-1" in plain.output


def test_a_quota_is_shown_set_in_part_and_taken_away(state: Path) -> None:
    [city] = told(state, "quota")
    assert (city["tenant"], city["events_per_second"], city["own"]) == ("city", 0, 0)
    [set_now] = told(state, "quota", "city", "--events-per-second", "500")
    assert (set_now["events_per_second"], set_now["bytes_per_day"], set_now["own"]) == (500, 0, 1)
    [both] = told(state, "quota", "city", "--bytes-per-day", "1000")
    assert (both["events_per_second"], both["bytes_per_day"]) == (500, 1000)
    with wiring.opened(settings.load(state)) as service, service.database.read() as tx:
        assert source_quotas.quotas(tx) == {"city": source_quotas.Quota(500, 1000)}
    [gone] = told(state, "quota", "city", "--default")
    assert (gone["events_per_second"], gone["own"]) == (0, 0)
