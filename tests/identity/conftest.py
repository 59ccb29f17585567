from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from identity import tables
from secops.db import Base, Database, create_all
from tests.identity.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A city with nobody in it, on both databases."""
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'state.db'}" if on_sqlite else request.getfixturevalue("postgres_url")
    database = Database(url)
    create_all(database, [Base.metadata, tables.Base.metadata])
    yield World(database)
    database.close()
