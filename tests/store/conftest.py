from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secops.store.files import FileLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    opened = FileLog(tmp_path / "log", writable=True, reserve_bytes=0)
    yield opened
    opened.close()
