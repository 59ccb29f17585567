"""How long a tenant's events are kept, and who decided so."""

import sqlalchemy as sa
from alembic import op

from secops.db import append_only_ddl

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_rules")),
        info={"append_only": True},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retention_rules_tenant", "retention_rules", ["tenant"], unique=False)
    for statement in append_only_ddl("retention_rules", op.get_context().dialect.name):
        op.get_bind().exec_driver_sql(statement)
