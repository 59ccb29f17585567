"""The migrations make exactly the tables that the code describes, on both databases, and can run again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from secops import audit, migrations
from secops.db import Database
from secops.migrations.metadata import METADATAS


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    found = Database(url)
    yield found
    found.close()


def test_the_migrated_schema_is_the_described_one(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.read() as tx:
        context = MigrationContext.configure(tx.connection(), opts={"compare_type": True})
        assert compare_metadata(context, list(METADATAS)) == []


def test_upgrading_twice_changes_nothing_and_keeps_what_is_there(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.begin() as tx:
        audit.record(tx, at=datetime(2026, 11, 24, tzinfo=UTC), actor="a", action="test.act")
    migrations.upgrade(empty)
    with empty.read() as tx:
        assert audit.broken_links(tx) == []
        assert len(audit.after(tx, 0, 10)) == 1


def test_append_only_tables_refuse_change_after_migrating(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.begin() as tx:
        audit.record(tx, at=datetime(2026, 11, 24, tzinfo=UTC), actor="a", action="test.act")
    for statement in ("UPDATE audit SET actor = 'b'", "DELETE FROM audit WHERE id > 0"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), empty.begin() as tx:
            tx.execute(sa.text(statement))
    tables = {table.name for metadata in METADATAS for table in metadata.sorted_tables if table.info.get("append_only")}
    assert {"audit", "alert_events", "ticket_events", "ca_certificates", "ca_revocations"} <= tables
