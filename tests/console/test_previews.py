"""Trials of rules: how many at once, and what the kernel lets one have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secops.console.previews import MOST, MOST_OF_ONE, Bounds, Previews, Wanted
from secops.errors import UserError
from tests.console.world import World
from tests.waiting import wait_until

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TEXT = "title: t\nid: trial\nlogsource: {}\ndetection: {s: {a: b}, condition: s}\n"


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Iterator[Previews]:
    made = Previews(getattr(request, "param", Bounds()))
    yield made
    made.close()


def wanted(who: str, organization: str) -> Wanted:
    start = NOW - timedelta(hours=1)
    return Wanted(account_id=who, organization=organization, text=TEXT, range="1h", tenants=None, start=start, end=NOW)


def test_an_organisation_tries_a_few_rules_at_once_and_leaves_room_for_others(world: World, trials: Previews) -> None:
    settings = world.service.settings
    for number in range(MOST_OF_ONE):
        trials.start(settings, wanted(f"n{number}", "north"))
    with pytest.raises(UserError, match="of your organisation"):
        trials.start(settings, wanted("another", "north"))
    for number in range(MOST - MOST_OF_ONE):
        trials.start(settings, wanted(f"s{number}", "south"))
    with pytest.raises(UserError, match="Too many rules"):
        trials.start(settings, wanted("third", "east"))
    job = trials.start(settings, wanted("n0", "north"))  # ends the same person's before
    assert trials.read(job, "n0") is not None


@pytest.mark.parametrize(
    ("trials", "reason"),
    [(Bounds(cpu_seconds=0), "processor time"), (Bounds(memory=4 << 20), "memory"), (Bounds(), "")],
    indirect=["trials"],
)
def test_a_trial_that_takes_too_much_is_ended_and_says_so(world: World, trials: Previews, reason: str) -> None:
    job = trials.start(world.service.settings, wanted("x", "north"))

    def ended() -> dict[str, Any] | None:
        found = trials.read(job, "x")
        assert found is not None
        return None if found[1]["state"] == "running" else found[1]

    said = wait_until(ended, 60)
    assert said is not None
    assert said["state"] == ("failed" if reason else "done")
    assert reason in said.get("en", "")
