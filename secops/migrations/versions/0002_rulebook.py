"""The rulebook: switches, exceptions, versions of rules written in the console, imports, statistics."""

import sqlalchemy as sa
from alembic import op

from secops.db import append_only_ddl

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ["rule_imports", "rule_versions"]


def upgrade() -> None:
    op.create_table('rule_costs',
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('evaluated', sa.BigInteger(), nullable=False),
    sa.Column('cpu_us', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('rule_id', name=op.f('pk_rule_costs'))
    )
    op.create_table('rule_exceptions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('condition', sa.Text(), nullable=False),
    sa.Column('reason', sa.String(length=1000), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_by', sa.String(length=200), nullable=False),
    sa.Column('end_reason', sa.String(length=1000), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule_exceptions')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_rule_exceptions_rule_id', 'rule_exceptions', ['rule_id'], unique=False)
    op.create_table('rule_generation',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('generation', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule_generation'))
    )
    op.create_table('rule_imports',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('source', sa.String(length=1000), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('counts', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule_imports')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index('ix_rule_imports_name_id', 'rule_imports', ['name', 'id'], unique=False)
    op.create_table('rule_stats',
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('hits', sa.BigInteger(), nullable=False),
    sa.Column('excepted', sa.BigInteger(), nullable=False),
    sa.Column('switched_off', sa.BigInteger(), nullable=False),
    sa.Column('last_hit', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('rule_id', 'tenant', name=op.f('pk_rule_stats'))
    )
    op.create_table('rule_switches',
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('reason', sa.String(length=1000), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('rule_id', 'tenant', name=op.f('pk_rule_switches'))
    )
    op.create_table('rule_versions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.String(length=1000), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule_versions')),
    sa.UniqueConstraint('rule_id', 'version', name=op.f('uq_rule_versions_rule_id_version')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, op.get_context().dialect.name):
            op.get_bind().exec_driver_sql(statement)
