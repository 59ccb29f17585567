"""A progress bar on standard error, for people; silent where nobody looks."""

from __future__ import annotations

import sys
import time
from typing import Self

WIDTH = 30
EVERY_SECONDS = 0.1


class Bar:
    """Call it with (done, of); leave the ``with`` to end its line."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = 0.0
        self._used = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the line that was drawn over and over."""
        if self._used:
            sys.stderr.write("\n")

    def __call__(self, done: int, of: int) -> None:
        """Draw, at most ten times a second and at the end."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._shown < EVERY_SECONDS and done < of):
            return
        self._shown, self._used = now, True
        part = done / of if of else 1.0
        bar = "█" * round(part * WIDTH)
        sys.stderr.write(f"\r{self._label} {bar:<{WIDTH}} {part:4.0%} {done:,}/{of:,}")
        sys.stderr.flush()
