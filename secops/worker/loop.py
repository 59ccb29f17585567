"""What every role's main loop shares: stop on SIGTERM, report once a second, rest while there is nothing to do."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from secops import status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

REPORT_SECONDS = 1.0


class Stop:
    """Set by SIGTERM and SIGINT; ``rest`` waits and is cut short by them."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self, *_signal: object) -> None:
        """Ask the loop to end."""
        self._event.set()

    def rest(self, seconds: float) -> None:
        """Wait ``seconds`` or until asked to end."""
        self._event.wait(seconds)

    def on_signals(self) -> Stop:
        """Take SIGTERM and SIGINT; gives itself."""
        signal.signal(signal.SIGTERM, self.set)
        signal.signal(signal.SIGINT, self.set)
        return self


class Reporter:
    """Writes a role's status at most once a second, whatever the pace of its loop."""

    def __init__(
        self, folder: Path, role: str, detail: Callable[[], Mapping[str, Any]], now: Callable[[], datetime]
    ) -> None:
        self._folder, self._role, self._detail, self._now = folder, role, detail, now
        self._last: datetime | None = None

    def tick(self) -> None:
        """Report when a second has passed since the last time."""
        moment = self._now()
        if self._last is None or abs((moment - self._last).total_seconds()) >= REPORT_SECONDS:
            status.report(self._folder, self._role, self._detail(), moment)
            self._last = moment
