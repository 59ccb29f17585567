"""What silences and maintenance windows have alike: they stand for a while, so many at a time, and are ended, never deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import sqlalchemy as sa

from secops import audit
from secops.alert.tables import MaintenanceRow, SilenceRow
from secops.alert.words import clean, reason_needed
from secops.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST: Final = 1000  # of a kind and tenant, running or to come: each alert of the tenant is held against all of them
SHOWN: Final = 500

Row = TypeVar("Row", SilenceRow, MaintenanceRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[Row]):
    """Either of the two: its table and its names."""

    row: type[Row]
    code: str  # in errors and in the audit trail
    zh: str
    en: str
    audited: tuple[str, ...]  # columns that the audit trail repeats, beside the span

    def add(self, tx: Session, row: Row, *, now: datetime, source_ip: str) -> int:
        """Store ``row`` and give its id.

        Raises:
            UserError: ``alert.many``.
        """
        standing = sa.select(sa.func.count()).where(self.row.ends_at > now, self.row.tenant == row.tenant)
        if (tx.scalar(standing) or 0) >= MOST:
            raise UserError(
                "alert.many",
                f"未到期的{self.zh}已有 {MOST} 条，请先清理。",
                f"{MOST} {self.en}s are running or to come; end some first",
            )
        tx.add(row)
        tx.flush()
        self._audit(tx, row, "add", actor=row.author, reason=row.reason, now=now, source_ip=source_ip)
        return row.id

    def get(self, tx: Session, number: int, tenants: frozenset[str] | None) -> Row:
        """Give one that the asker may see, locked until the transaction ends; ``tenants`` None sees all.

        Raises:
            UserError: ``silence.unknown``, ``maintenance.unknown``.
        """
        row = tx.scalar(sa.select(self.row).where(self.row.id == number, self._seen_by(tenants)).with_for_update())
        if row is None:
            raise UserError(
                f"{self.code}.unknown",
                f"没有编号为 {number} 的{self.zh}，或无权查看。",
                f"there is no {self.en} {number} that you may see",
            )
        return row

    def end(self, tx: Session, row: Row, *, actor: str, reason: str, now: datetime, source_ip: str) -> None:
        """End it now, or call it off if it has not begun.

        Raises:
            UserError: ``silence.over``, ``maintenance.over``, ``alert.reason``.
        """
        if row.ends_at <= now:
            raise UserError(
                f"{self.code}.over",
                f"{self.zh} {row.id} 已经结束。",
                f"{self.en} {row.id} is over already",
            )
        row.end_reason = reason_needed(reason)
        row.ended_at, row.ended_by, row.ends_at = now, actor[:200], now
        row.starts_at = min(row.starts_at, now)
        self._audit(tx, row, "end", actor=actor, reason=row.end_reason, now=now, source_ip=source_ip)

    def active(self, tx: Session, now: datetime) -> list[Row]:
        """Give those within whose span ``now`` lies."""
        query = sa.select(self.row).where(self.row.ends_at > now, self.row.starts_at <= now)
        return list(tx.scalars(query.order_by(self.row.id)))

    def all(self, tx: Session, tenants: frozenset[str] | None, limit: int) -> list[Row]:
        """Give the newest first, those that are over included; ``tenants`` None sees all."""
        query = sa.select(self.row).where(self._seen_by(tenants))
        return list(tx.scalars(query.order_by(self.row.id.desc()).limit(limit)))

    def _seen_by(self, tenants: frozenset[str] | None) -> sa.ColumnElement[bool]:
        return sa.true() if tenants is None else self.row.tenant.in_(sorted(tenants))

    def _audit(
        self, tx: Session, row: Row, verb: str, *, actor: str, reason: str, now: datetime, source_ip: str
    ) -> None:
        audit.record(
            tx,
            at=now,
            actor=actor,
            action=f"{self.code}.{verb}",
            target=f"{self.code}:{row.id}",
            tenant=row.tenant or "city",
            reason=clean(reason),
            source_ip=source_ip,
            detail={
                **{name: getattr(row, name) for name in self.audited},
                "tenant": row.tenant,
                "starts_at": row.starts_at.isoformat(),
                "ends_at": row.ends_at.isoformat(),
            },
        )
