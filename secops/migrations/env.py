"""Alembic's entry point: runs on the connection that ``upgrade`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from secops.migrations.metadata import METADATAS

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=list(METADATAS),
    transactional_ddl=False,  # the caller's transaction holds it all
    compare_type=True,
)
context.run_migrations()
