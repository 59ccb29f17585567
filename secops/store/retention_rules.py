"""Who decided how long a tenant's events are kept: an append-only table, whose last row for a tenant counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops import audit
from secops.db import APPEND_ONLY, Base
from secops.errors import UserError
from secops.store.retention import Retention, check_days

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REASON = 1000


class RetentionRow(Base):
    """One decision about one tenant."""

    __tablename__ = "retention_rules"
    __table_args__ = {"info": APPEND_ONLY, "sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100), index=True)
    days: Mapped[int]
    reason: Mapped[str] = mapped_column(sa.String(MAX_REASON))
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A decision as it was made."""

    tenant: str
    days: int
    reason: str
    actor: str
    at: datetime


def decide(tx: Session, *, tenant: str, days: int, reason: str, actor: str, now: datetime) -> None:
    """Keep ``tenant``'s events for ``days`` from now on, and audit it; what has left already does not come back.

    Raises:
        TooShort: below the legal minimum, or beyond a hundred years.
        UserError: no tenant or no reason was given.
    """
    check_days(days)
    if not tenant.strip() or not reason.strip():
        raise UserError(
            "retention.reason",
            "请写明单位和调整留存期限的理由。",
            "Name the organisation and the reason for this retention.",
        )
    row = RetentionRow(
        tenant=tenant.strip()[:100], days=days, reason=reason.strip()[:MAX_REASON], actor=actor[:200], at=now
    )
    tx.add(row)
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="retention.set",
        target=f"retention:{row.tenant}",
        tenant=row.tenant,
        reason=row.reason,
        detail={"days": days},
    )


def in_force(tx: Session) -> list[Rule]:
    """The last decision for every tenant that has one, by tenant."""
    latest = sa.select(sa.func.max(RetentionRow.id)).group_by(RetentionRow.tenant)
    rows: Sequence[RetentionRow] = tx.scalars(
        sa.select(RetentionRow).where(RetentionRow.id.in_(latest)).order_by(RetentionRow.tenant)
    ).all()
    return [Rule(tenant=row.tenant, days=row.days, reason=row.reason, actor=row.actor, at=row.at) for row in rows]


def retention(tx: Session, days: int) -> Retention:
    """What is in force, with ``days`` for tenants without a decision."""
    return Retention(days, {rule.tenant: rule.days for rule in in_force(tx)})
