"""The lag alert: raised from outside the detect role, after a while, once while it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from secops.alert.detection import LAG_RULE
from secops.wiring import Service
from secops.worker import metrics
from secops.worker.lag_watch import HOLD_SECONDS, LOOK_SECONDS, REPEAT_SECONDS, LagWatch
from tests.detecting.world import NOW, alerts, detecting, finish, service, store


class Clock:
    """Both clocks of a watch, moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    with service(tmp_path / "var", lag_seconds=60) as made:
        made.clock = lambda: NOW + timedelta(seconds=clock.passed)
        store(made, ["<38>Nov 24 08:00:00 h1 app[1]: hello"])
        yield made


@pytest.fixture
def watch(found: Service, clock: Clock) -> LagWatch:
    return LagWatch(found, metrics.jobs(CollectorRegistry()).detect_lag, clock.monotonic)


def look_until(watch: LagWatch, clock: Clock, seconds: float) -> None:
    while clock.passed < seconds:
        clock.passed = min(clock.passed + LOOK_SECONDS, seconds)
        watch.look()


def test_nothing_is_raised_before_the_oldest_event_has_waited_long_enough(
    found: Service, watch: LagWatch, clock: Clock
) -> None:
    look_until(watch, clock, 60 + HOLD_SECONDS)
    assert alerts(found) == []
    look_until(watch, clock, 60 + HOLD_SECONDS + 2 * LOOK_SECONDS)
    assert [(rule, tenant) for rule, tenant, _, _ in alerts(found)] == [(LAG_RULE.id, "city")]


def test_while_it_lasts_one_alert_grows(found: Service, watch: LagWatch, clock: Clock) -> None:
    look_until(watch, clock, 60 + HOLD_SECONDS + 2 * LOOK_SECONDS + 2 * REPEAT_SECONDS)
    [(_, _, _, count)] = alerts(found)
    assert count == 3


def test_detection_that_catches_up_in_time_raises_nothing(found: Service, watch: LagWatch, clock: Clock) -> None:
    look_until(watch, clock, 60 + HOLD_SECONDS / 2)
    with detecting(found) as role:
        finish(role)
    look_until(watch, clock, 600)
    assert alerts(found) == []
    store(found, ["<38>Nov 24 08:10:00 h1 app[1]: hello"], first=600)
    look_until(watch, clock, 600 + 60 + HOLD_SECONDS)
    assert alerts(found) == []  # the time before does not count


def test_events_that_were_all_matched_are_no_lag_however_old(found: Service, watch: LagWatch, clock: Clock) -> None:
    with detecting(found) as role:
        finish(role)
    look_until(watch, clock, 7200)
    assert alerts(found) == []
