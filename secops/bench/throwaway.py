"""A prepared installation in a temporary folder, for benches that need the whole state."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from secops import settings, wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secops.wiring import Service


@contextmanager
def installation() -> Iterator[Service]:
    """Prepare and open a service over a state folder that is deleted at the end."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load(Path(folder) / "var")
        wiring.prepare(chosen)
        with wiring.opened(chosen) as service:
            yield service
