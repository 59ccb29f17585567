from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oidc.world import World, open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = open_database(tmp_path / "state.db")
    yield World(database)
    database.close()
