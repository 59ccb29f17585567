"""Schema changes: one linear history; ``upgrade`` brings any earlier database to this version, ``create_all`` never does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from secops.db import Database

HERE = Path(__file__).resolve().parent


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the missing migrations in one transaction.

    Two processes may start at once: SQLite's BEGIN IMMEDIATE and PostgreSQL's advisory lock let one after the other.
    """
    with database.begin() as tx:
        connection = tx.connection()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1589379075)")
        config = Config()
        config.set_main_option("script_location", str(HERE).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
