"""Alerts know their severity, what mutes them and what made them; silences and maintenance windows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEW = {  # column of alerts -> its type and the value in rows that are there; a default stays out of the schema
    "severity": (sa.String(20), "'medium'"),
    "severity_reasons": (sa.JSON(), "'[]'"),
    "hosts": (sa.JSON(), "'[]'"),
    "matched_fields": (sa.JSON(), "'{}'"),
    "search": (sa.Text(), "''"),
    "muted_kind": (sa.String(20), "''"),
    "muted_by": (sa.String(200), "''"),
    "muted_zh": (sa.String(1000), "''"),
    "muted_en": (sa.String(1000), "''"),
    "storm": (sa.Boolean(), "false"),
}


def upgrade() -> None:
    for name, (kind, value) in NEW.items():
        op.add_column("alerts", sa.Column(name, kind, nullable=False, server_default=sa.text(value)))
    for name in ("announced_at", "closed_at"):
        op.add_column("alerts", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    fill()
    op.create_index("ix_alerts_created_at_rule_id", "alerts", ["created_at", "rule_id"], unique=False)
    op.create_table(
        "silences",
        sa.Column("id", BIG, nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        *span_and_words(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"], unique=False)
    op.create_table(
        "maintenance_windows",
        sa.Column("id", BIG, nullable=False),
        sa.Column("tenant", sa.String(100), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("change", sa.String(100), nullable=False),
        sa.Column("repeat", sa.String(10), nullable=False),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.Column("opens", sa.String(5), nullable=False),
        sa.Column("closes", sa.String(5), nullable=False),
        *span_and_words(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_maintenance_windows_ends_at", "maintenance_windows", ["ends_at"], unique=False)


def span_and_words() -> list[sa.Column]:
    return [
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(200), nullable=False),
        sa.Column("end_reason", sa.String(1000), nullable=False),
    ]


def fill() -> None:
    """What was there was announced when it was raised, weighs what its rule says, and can be searched by its title."""
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE alerts SET severity = level, announced_at = created_at,"
            " closed_at = (SELECT max(at) FROM alert_events WHERE alert_id = alerts.id AND kind = 'closed')"
        )
    )
    alerts = sa.table(
        "alerts",
        sa.column("id", sa.BigInteger),
        *(sa.column(name, sa.Text) for name in ("title", "title_zh", "rule_id", "search")),
        sa.column("group_values", sa.JSON),
        sa.column("hosts", sa.JSON),
    )
    last = 0
    while rows := connection.execute(sa.select(alerts).where(alerts.c.id > last).order_by(alerts.c.id).limit(1000)).all():
        last = rows[-1].id
        filled = [
            {
                "row": row.id,
                "said": searched(row),
                "named": [row.group_values["host.name"]] if row.group_values.get("host.name") else [],
            }
            for row in rows
        ]
        connection.execute(
            sa.update(alerts)
            .where(alerts.c.id == sa.bindparam("row"))
            .values(search=sa.bindparam("said"), hosts=sa.bindparam("named", type_=sa.JSON)),
            filled,
        )


def searched(row: sa.Row) -> str:
    text = "\n".join([row.title, row.title_zh, row.rule_id, *(str(value) for value in row.group_values.values())])
    return text.lower().replace("\x00", "\ufffd")[:4000]
