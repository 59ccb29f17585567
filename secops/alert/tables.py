"""Alerts, and the append-only history of what happened to each."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from secops.db import APPEND_ONLY, Base

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class AlertRow(Base):
    """One alert as it stands now."""

    __tablename__ = "alerts"
    __table_args__ = (
        sa.Index("ix_alerts_fingerprint_last_seen", "fingerprint", "last_seen"),
        sa.Index("ix_alerts_tenant_id", "tenant", "id"),
        sa.Index("ix_alerts_status_level", "status", "level"),
        sa.Index("ix_alerts_created_at_rule_id", "created_at", "rule_id"),
        {"sqlite_autoincrement": True},  # an id that evidence names is never given out twice
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    rule_id: Mapped[str] = mapped_column(sa.String(200), index=True)
    title: Mapped[str] = mapped_column(sa.String(500))
    title_zh: Mapped[str] = mapped_column(sa.String(500))
    level: Mapped[str] = mapped_column(sa.String(20))
    status: Mapped[str] = mapped_column(sa.String(20))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    created_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(sa.BigInteger)
    group: Mapped[dict[str, Any]] = mapped_column("group_values", sa.JSON)
    event_ids: Mapped[list[str]] = mapped_column(sa.JSON)
    tags: Mapped[list[str]] = mapped_column(sa.JSON)
    clauses: Mapped[list[str]] = mapped_column(sa.JSON)
    runbook: Mapped[str] = mapped_column(sa.String(200))
    service: Mapped[str] = mapped_column(sa.String(100))
    disposition: Mapped[str] = mapped_column(sa.String(30), default="")
    resolution: Mapped[str] = mapped_column(sa.String(1000), default="")
    severity: Mapped[str] = mapped_column(sa.String(20))
    severity_reasons: Mapped[list[dict[str, str]]] = mapped_column(sa.JSON, default=list)
    hosts: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    fields: Mapped[dict[str, str]] = mapped_column("matched_fields", sa.JSON, default=dict)
    search: Mapped[str] = mapped_column(sa.Text, default="")  # what the text search looks at, in lower case
    muted_kind: Mapped[str] = mapped_column(
        sa.String(20), default=""
    )  # silence, maintenance, inhibition; "": not muted
    muted_by: Mapped[str] = mapped_column(sa.String(200), default="")
    muted_zh: Mapped[str] = mapped_column(sa.String(1000), default="")
    muted_en: Mapped[str] = mapped_column(sa.String(1000), default="")
    announced_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    storm: Mapped[bool] = mapped_column(default=False)


class AlertEventRow(Base):
    """One thing that happened to an alert: raised, muted, unmuted, joined (a batch), storm, acknowledged, closed."""

    __tablename__ = "alert_events"
    __table_args__ = (
        sa.Index("ix_alert_events_alert_id_id", "alert_id", "id"),
        {"info": APPEND_ONLY, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    alert_id: Mapped[int] = mapped_column(BIG, sa.ForeignKey("alerts.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(sa.String(20))
    actor: Mapped[str] = mapped_column(sa.String(200))
    count: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # events behind it
    reason: Mapped[str] = mapped_column(sa.String(1000), default="")
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)


class SilenceRow(Base):
    """Alerts that somebody does not want to hear of for a while; kept for good once it is over."""

    __tablename__ = "silences"
    __table_args__ = (sa.Index("ix_silences_ends_at", "ends_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))  # "": every tenant
    matchers: Mapped[list[str]] = mapped_column(sa.JSON)  # as matchers.read takes them
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]  # moved forward when it is ended early
    reason: Mapped[str] = mapped_column(sa.String(1000))
    author: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(sa.String(200), default="")
    end_reason: Mapped[str] = mapped_column(sa.String(1000), default="")


class MaintenanceRow(Base):
    """Announced work on hosts, once or again and again, under a change ticket."""

    __tablename__ = "maintenance_windows"
    __table_args__ = (sa.Index("ix_maintenance_windows_ends_at", "ends_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))  # "": every tenant
    hosts: Mapped[list[str]] = mapped_column(sa.JSON)  # globs; []: every host of the tenant
    change: Mapped[str] = mapped_column(sa.String(100))  # the change ticket's number
    reason: Mapped[str] = mapped_column(sa.String(1000))
    repeat: Mapped[str] = mapped_column(sa.String(10))
    days: Mapped[list[int]] = mapped_column(sa.JSON)
    opens: Mapped[str] = mapped_column(sa.String(5))  # HH:MM in Asia/Shanghai; "" when it does not repeat
    closes: Mapped[str] = mapped_column(sa.String(5))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    author: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(sa.String(200), default="")
    end_reason: Mapped[str] = mapped_column(sa.String(1000), default="")
