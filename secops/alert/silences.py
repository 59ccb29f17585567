"""Silences: made, ended early, listed; every act is audited, and an ended one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import audit
from secops.alert import matchers
from secops.alert.mute import Silence
from secops.alert.queries import subject_of, to_record
from secops.alert.tables import AlertRow, SilenceRow
from secops.alert.words import clean, reason_needed, span_checked
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from secops.records import Alert

LONGEST: Final = timedelta(days=90)
MOST: Final = 1000  # of one tenant, running or to come at one time: each of its alerts is held against all of them
SHOWN: Final = 500
PREVIEWED: Final = 5000
SAMPLES: Final = 20


def add(
    tx: Session,
    *,
    tenant: str,
    matching: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    author: str,
    now: datetime,
    source_ip: str = "",
) -> int:
    """Silence what all of ``matching`` (texts, see ``matchers``) hold of; ``tenant`` "" is every tenant. Gives its id.

    Raises:
        UserError: ``alert.matcher``, ``alert.span`` (not in the future, or longer than 90 days), ``alert.reason``, ``alert.many``.
    """
    read = matchers.read_all(matching)
    span_checked(starts_at, ends_at, now, LONGEST)
    said = reason_needed(reason)
    standing = sa.select(sa.func.count()).where(SilenceRow.ends_at > now, SilenceRow.tenant == tenant)
    if (tx.scalar(standing) or 0) >= MOST:
        raise UserError(
            "alert.many",
            f"未到期的静默已有 {MOST} 条，请先清理。",
            f"{MOST} silences are running or to come; end some first",
        )
    row = SilenceRow(
        tenant=tenant,
        matchers=[str(one) for one in read],
        starts_at=starts_at,
        ends_at=ends_at,
        reason=said,
        author=author[:200],
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    _audit(tx, row, "add", actor=author, reason=said, now=now, source_ip=source_ip)
    return row.id


def end(
    tx: Session,
    silence_id: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> None:
    """End a silence now, or call one off that has not begun.

    Raises:
        UserError: ``silence.unknown``, ``silence.over``, ``alert.reason``.
    """
    row = tx.scalar(sa.select(SilenceRow).where(SilenceRow.id == silence_id, _seen_by(tenants)).with_for_update())
    if row is None:
        raise UserError(
            "silence.unknown",
            f"没有编号为 {silence_id} 的静默，或无权查看。",
            f"there is no silence {silence_id} that you may see",
        )
    if row.ends_at <= now:
        raise UserError("silence.over", f"静默 {silence_id} 已经结束。", f"silence {silence_id} is over already")
    row.end_reason = reason_needed(reason)
    row.ended_at, row.ended_by, row.ends_at = now, actor[:200], now
    row.starts_at = min(row.starts_at, now)
    _audit(tx, row, "end", actor=actor, reason=row.end_reason, now=now, source_ip=source_ip)


def active(tx: Session, now: datetime) -> list[Silence]:
    """Give the silences that hold at ``now``, for decisions."""
    query = sa.select(SilenceRow).where(SilenceRow.ends_at > now, SilenceRow.starts_at <= now).order_by(SilenceRow.id)
    return [decided_by(row) for row in tx.scalars(query)]


def all(tx: Session, *, tenants: frozenset[str] | None = None, limit: int = SHOWN) -> list[SilenceRow]:  # noqa: A001 - read as silences.all
    """Give silences, the newest first, expired ones included; ``tenants`` None sees all."""
    query = sa.select(SilenceRow).where(_seen_by(tenants)).order_by(SilenceRow.id.desc()).limit(limit)
    return list(tx.scalars(query))


@dataclass(frozen=True, slots=True)
class Preview:
    """What a silence would have muted."""

    alerts: int
    events: int
    looked_at: int  # alerts; the newest ``PREVIEWED`` when there were more
    samples: tuple[Alert, ...]


def preview(
    tx: Session, *, tenant: str, matching: Sequence[str], tenants: frozenset[str] | None, now: datetime
) -> Preview:
    """Hold the matchers against the alerts of the last 24 hours that the asker may see.

    Raises:
        UserError: ``alert.matcher``.
    """
    read = matchers.read_all(matching)
    query = sa.select(AlertRow).where(AlertRow.last_seen >= now - timedelta(days=1))
    if tenants is not None:
        query = query.where(AlertRow.tenant.in_(sorted(tenants)))
    if tenant:
        query = query.where(AlertRow.tenant == tenant)
    rows = tx.scalars(query.order_by(AlertRow.id.desc()).limit(PREVIEWED)).all()
    held = [row for row in rows if matchers.all_hold(read, subject_of(row))]
    return Preview(
        len(held), sum(row.count for row in held), len(rows), tuple(to_record(row) for row in held[:SAMPLES])
    )


def decided_by(row: SilenceRow) -> Silence:
    """Give the row as decisions see it."""
    return Silence(
        id=row.id,
        tenant=row.tenant,
        matchers=matchers.from_store(row.matchers),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        author=row.author,
    )


def _seen_by(tenants: frozenset[str] | None) -> sa.ColumnElement[bool]:
    return sa.true() if tenants is None else SilenceRow.tenant.in_(sorted(tenants))


def _audit(tx: Session, row: SilenceRow, verb: str, *, actor: str, reason: str, now: datetime, source_ip: str) -> None:
    audit.record(
        tx,
        at=now,
        actor=actor,
        action=f"silence.{verb}",
        target=f"silence:{row.id}",
        tenant=row.tenant or "city",
        reason=clean(reason),
        source_ip=source_ip,
        detail={
            "matchers": row.matchers,
            "tenant": row.tenant,
            "starts_at": row.starts_at.isoformat(),
            "ends_at": row.ends_at.isoformat(),
        },
    )
