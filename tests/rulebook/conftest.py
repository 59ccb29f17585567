from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from secops.audit import AuditRow
from secops.db import Base, Database, create_all
from secops.rulebook import tables as rulebook_tables

TABLES = (rulebook_tables.SwitchRow, AuditRow)  # imported so that the metadata has them


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A state database with the service's own tables, on each engine."""
    url = f"sqlite:///{tmp_path / 'own.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    found = Database(url)
    try:
        create_all(found, [Base.metadata])
        yield found
    finally:
        found.close()
