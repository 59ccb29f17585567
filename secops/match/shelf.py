"""The rules for those who only look at them: read once, read again in the background when a file has changed.

Whoever asks gets the set that is there and never waits for thousands of files, except the first time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secops.match.rule import RuleSet

LOOK_SECONDS: Final = 2.0


class Shelf:
    """Holds a rule set; safe to use from many threads."""

    def __init__(
        self,
        load: Callable[[], RuleSet],
        mark: Callable[[], Hashable],
        monotonic: Callable[[], float],
        every: float = LOOK_SECONDS,
    ) -> None:
        """``mark`` gives something that differs when a rule file did; both may take a while."""
        self._load, self._mark, self._monotonic, self._every = load, mark, monotonic, every
        self._lock = threading.Lock()
        self._rules: RuleSet | None = None
        self._seen: Hashable = None
        self._looked = 0.0
        self._looking: threading.Thread | None = None

    @property
    def rules(self) -> RuleSet:
        """The set as it was when last read."""
        if self._rules is None:
            with self._lock:
                if self._rules is None:
                    self._read()
        elif self._monotonic() - self._looked >= self._every and (
            self._looking is None or not self._looking.is_alive()
        ):
            self._looked = self._monotonic()
            self._looking = threading.Thread(target=self._look, name="rules", daemon=True)
            self._looking.start()
        assert self._rules is not None
        return self._rules

    def refresh(self) -> None:
        """Read anew now, as after a change of one's own."""
        with self._lock:
            self._read()

    def _look(self) -> None:
        with self._lock:
            if self._mark() != self._seen:
                self._read()

    def _read(self) -> None:
        self._seen = self._mark()  # before reading: a change meanwhile is seen at the next look
        self._rules = self._load()
        self._looked = self._monotonic()
