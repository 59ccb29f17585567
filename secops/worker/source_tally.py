"""Counts what came from which source between two looks; the thread that writes adds, the one that reports takes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from secops.records import DATASET, KIND, PIPELINE_ERROR
from secops.source_health import Key, Window, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.records import Event

MOST: Final = 5000  # sources of one tenant told apart between two looks
KNOWN: Final = 50_000
FLUSH_SECONDS: Final = 5.0
_OWN: Final = ("secops.audit", "secops.probe")
UPLOAD: Final = "upload"  # a file of last month is no source that fell silent


class SourceTally:
    """Windows by source."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self._windows: dict[Key, Window] = {}
        self._open_of: Counter[str] = Counter()  # windows by tenant
        self._known: set[Key] = set()
        self._since = now

    def add(self, events: Sequence[Event]) -> None:
        """Count events that are durable; the service's own trail and probes are no sources."""
        with self._lock:
            for event in events:
                if event["agent.type"] == UPLOAD or (event[DATASET].startswith(_OWN) and event[KIND] != PIPELINE_ERROR):
                    continue
                key = key_of(event)
                window = self._windows.get(key)
                if window is None:
                    window = self._open(key)
                window.add(event)

    def take(self, now: float) -> tuple[dict[Key, Window], float] | None:
        """What came and in how many seconds; None as long as it is not worth storing: soon for a source never seen."""
        with self._lock:
            fresh = not self._known.issuperset(self._windows)
            if not self._windows or (now - self._since < FLUSH_SECONDS and not fresh):
                if not self._windows and now - self._since >= FLUSH_SECONDS:
                    self._since = now
                return None
            taken, seconds = self._windows, max(0.1, now - self._since)
            self._windows, self._open_of, self._since = {}, Counter(), now
            if len(self._known) > KNOWN:
                self._known.clear()
            self._known.update(taken)
        return taken, seconds

    def _open(self, key: Key) -> Window:
        if self._open_of[key[0]] >= MOST:
            key = (key[0], "", "")
        self._open_of[key[0]] += 1
        return self._windows.setdefault(key, Window())
