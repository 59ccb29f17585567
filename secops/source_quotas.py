"""How much a tenant may send: events a second and bytes a day, and how much it did send, day by day.

The settings give everybody's quota (``ingest.events_per_second``, ``ingest.bytes_per_day``); a row here gives a tenant its
own. 0 stands for no bound. The ingest role reads both every second, so a change holds at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops import audit
from secops.db import Base
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEPT_DAYS: Final = 400
MOST: Final = 10**15


class QuotaRow(Base):
    """A tenant's own quota."""

    __tablename__ = "source_quotas"

    tenant: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    events_per_second: Mapped[int] = mapped_column(sa.BigInteger)
    bytes_per_day: Mapped[int] = mapped_column(sa.BigInteger)
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]


class UsageRow(Base):
    """What a tenant sent on one day (UTC)."""

    __tablename__ = "source_usage"

    tenant: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    events: Mapped[int] = mapped_column(sa.BigInteger)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    slowed: Mapped[int] = mapped_column(sa.BigInteger)  # submissions that had to wait, or were asked to come again
    dropped: Mapped[int] = mapped_column(sa.BigInteger)  # datagrams that were not taken


@dataclass(frozen=True, slots=True)
class Quota:
    """0 stands for no bound."""

    events_per_second: int = 0
    bytes_per_day: int = 0


@dataclass(slots=True)
class Usage:
    """What a tenant sent since the last look."""

    events: int = 0
    bytes: int = 0
    slowed: int = 0
    dropped: int = 0


def quotas(tx: Session) -> dict[str, Quota]:
    """The quotas of those tenants that have one of their own."""
    return {row.tenant: Quota(row.events_per_second, row.bytes_per_day) for row in tx.scalars(sa.select(QuotaRow))}


def set_quota(tx: Session, tenant: str, quota: Quota | None, *, actor: str, now: datetime) -> None:
    """Give a tenant its own quota; None takes it away, and the settings hold again.

    Raises:
        UserError: a bound is negative or beyond all measure.
    """
    before = tx.get(QuotaRow, tenant)
    detail: dict[str, object] = {"before": _words(before), "after": _words(quota)}
    if quota is None:
        if before is not None:
            tx.delete(before)
    else:
        if not (0 <= quota.events_per_second <= MOST and 0 <= quota.bytes_per_day <= MOST):
            raise UserError(
                "quota.number",
                f"配额须为 0 到 {MOST} 的整数，0 表示不限。",
                f"A quota is a whole number from 0 (no bound) to {MOST}.",
            )
        row = before or QuotaRow(tenant=tenant)
        row.events_per_second, row.bytes_per_day = quota.events_per_second, quota.bytes_per_day
        row.actor, row.at = actor, now
        tx.add(row)
    audit.record(tx, at=now, actor=actor, action="source.quota", target=tenant, tenant=tenant, detail=detail)


def add_usage(tx: Session, usage: Mapping[str, Usage], day: date) -> None:
    """Add what tenants sent to their rows of ``day``; rows older than ``KEPT_DAYS`` go."""
    for tenant, one in usage.items():
        row = tx.get(UsageRow, (tenant, day))
        if row is None:
            tx.execute(sa.delete(UsageRow).where(UsageRow.day < day - timedelta(days=KEPT_DAYS)))
            row = UsageRow(tenant=tenant, day=day, events=0, bytes=0, slowed=0, dropped=0)
            tx.add(row)
        row.events += one.events
        row.bytes += one.bytes
        row.slowed += one.slowed
        row.dropped += one.dropped


def usage_of(tx: Session, day: date, *, tenants: frozenset[str] | None = None) -> Sequence[UsageRow]:
    """What tenants sent on ``day``."""
    query = sa.select(UsageRow).where(UsageRow.day == day).order_by(UsageRow.tenant)
    return tx.scalars(query if tenants is None else query.where(UsageRow.tenant.in_(tenants))).all()


def summary(tx: Session, usual: Quota, day: date, tenants: Sequence[str]) -> list[dict[str, str | int]]:
    """Quota of each of ``tenants`` (``usual`` for those without their own) and what it sent on ``day``."""
    own, used = quotas(tx), {row.tenant: row for row in usage_of(tx, day, tenants=frozenset(tenants))}
    rows: list[dict[str, str | int]] = []
    for tenant in tenants:
        quota, one = own.get(tenant, usual), used.get(tenant)
        row: dict[str, str | int] = {
            "tenant": tenant,
            "own": int(tenant in own),
            "events_per_second": quota.events_per_second,
            "bytes_per_day": quota.bytes_per_day,
            "events": one.events if one else 0,
            "bytes": one.bytes if one else 0,
            "slowed": one.slowed if one else 0,
            "dropped": one.dropped if one else 0,
        }
        rows.append(row)
    return rows


def _words(quota: QuotaRow | Quota | None) -> str:
    return "" if quota is None else f"{quota.events_per_second}/s, {quota.bytes_per_day} B/d"
