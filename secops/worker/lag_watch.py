"""Watches from outside how far detection is behind the log, so that the alert comes also when the detect role hangs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops import pipeline
from secops.alert.detection import raise_for_lag

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Gauge

    from secops.wiring import Service

LOOK_SECONDS: Final = 5.0
HOLD_SECONDS: Final = 30.0  # after a standstill of the whole service detection may catch up before anybody is called
REPEAT_SECONDS: Final = 300.0  # while it lasts the alert grows this often


@dataclass(slots=True)
class LagWatch:
    """Compares the log with the matcher's stored cursors, and raises the alert."""

    service: Service
    gauge: Gauge
    now: Callable[[], float] = time.monotonic
    _looked: float | None = None
    _above_since: float | None = None
    _raised: float | None = None

    def look(self) -> None:
        """Look when it is time."""
        now = self.now()
        if self._looked is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        with self.service.database.read() as tx:
            offsets = pipeline.detect_offsets(tx, self.service.log.partitions)
        lag = pipeline.lag(self.service.log, offsets, self.service.clock())
        self.gauge.set(lag.seconds)
        if self._due(lag.seconds, now):
            with self.service.database.begin() as tx:
                raise_for_lag(tx, events=lag.events, seconds=lag.seconds, now=self.service.clock())

    def _due(self, seconds: float, now: float) -> bool:
        """Whether the lag has been too long for long enough, and was not said a moment ago."""
        if seconds <= self.service.settings.detect.lag_seconds:
            self._above_since = self._raised = None
            return False
        if self._above_since is None:
            self._above_since = now
        if now - self._above_since < HOLD_SECONDS or (self._raised is not None and now - self._raised < REPEAT_SECONDS):
            return False
        self._raised = now
        return True
