"""Tickets, and the append-only events from which everything about them is reckoned."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from secops.db import APPEND_ONLY, Base

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class TicketRow(Base):
    """A ticket as it stands now."""

    __tablename__ = "tickets"
    __table_args__ = (
        sa.Index("ix_tickets_tenant_id", "tenant", "id"),
        sa.Index("ix_tickets_assignee_state", "assignee", "state"),
        sa.Index("ix_tickets_state_priority", "state", "priority"),
        {"sqlite_autoincrement": True},  # an id that evidence names is never given out twice
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    title: Mapped[str] = mapped_column(sa.String(500))
    service: Mapped[str] = mapped_column(sa.String(100))
    priority: Mapped[int] = mapped_column(sa.SmallInteger)
    state: Mapped[str] = mapped_column(sa.String(20))
    assignee: Mapped[str] = mapped_column(sa.String(100), default="")
    opened_at: Mapped[datetime]
    alert_id: Mapped[int | None] = mapped_column(BIG, unique=True)  # one ticket per alert, whoever asks twice


class TicketEventRow(Base):
    """One thing that happened to a ticket."""

    __tablename__ = "ticket_events"
    __table_args__ = (
        sa.Index("ix_ticket_events_ticket_id_id", "ticket_id", "id"),
        {"info": APPEND_ONLY, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(BIG, sa.ForeignKey("tickets.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(sa.String(20))
    actor: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
