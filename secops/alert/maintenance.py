"""Maintenance windows: announced work, once or repeated, under a change ticket; audited, and kept when they are over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import audit
from secops.alert.mute import Maintenance
from secops.alert.schedule import Repeat, Schedule
from secops.alert.tables import MaintenanceRow
from secops.alert.words import clean, reason_needed, span_checked
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

LONGEST_ONCE: Final = timedelta(days=14)
LONGEST: Final = timedelta(days=366)
MOST: Final = 1000  # of one tenant, open or to come
MOST_HOSTS: Final = 100
SHOWN: Final = 500
DAYS: Final = {Repeat.ONCE: 0, Repeat.WEEKLY: 7, Repeat.MONTHLY: 31}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for; ``opens`` and ``closes`` are HH:MM in Asia/Shanghai and, like ``days``, only for what repeats."""

    tenant: str  # "": every tenant
    hosts: Sequence[str]
    change: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    repeat: Repeat = Repeat.ONCE
    days: Sequence[int] = ()
    opens: str = ""
    closes: str = ""


def add(tx: Session, plan: Plan, *, author: str, now: datetime, source_ip: str = "") -> int:
    """Announce work and give its id.

    Raises:
        UserError: ``maintenance.change`` (no change ticket), ``maintenance.days``, ``maintenance.hosts``, ``alert.span``,
            ``alert.reason``, ``alert.many``.
    """
    row = _checked(plan, author, now)
    standing = sa.select(sa.func.count()).where(MaintenanceRow.ends_at > now, MaintenanceRow.tenant == plan.tenant)
    if (tx.scalar(standing) or 0) >= MOST:
        raise UserError(
            "alert.many",
            f"未到期的维护窗口已有 {MOST} 条，请先清理。",
            f"{MOST} windows are open or to come; end some first",
        )
    tx.add(row)
    tx.flush()
    _audit(tx, row, "add", actor=author, reason=row.reason, now=now, source_ip=source_ip)
    return row.id


def end(
    tx: Session,
    window_id: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> None:
    """End a window now, or call it off.

    Raises:
        UserError: ``maintenance.unknown``, ``maintenance.over``, ``alert.reason``.
    """
    query = sa.select(MaintenanceRow).where(MaintenanceRow.id == window_id, _seen_by(tenants))
    row = tx.scalar(query.with_for_update())
    if row is None:
        raise UserError(
            "maintenance.unknown",
            f"没有编号为 {window_id} 的维护窗口，或无权查看。",
            f"there is no maintenance window {window_id} that you may see",
        )
    if row.ends_at <= now:
        raise UserError("maintenance.over", f"维护窗口 {window_id} 已经结束。", f"window {window_id} is over already")
    row.end_reason = reason_needed(reason)
    row.ended_at, row.ended_by, row.ends_at = now, actor[:200], now
    row.starts_at = min(row.starts_at, now)
    _audit(tx, row, "end", actor=actor, reason=row.end_reason, now=now, source_ip=source_ip)


def active(tx: Session, now: datetime) -> list[Maintenance]:
    """Give the windows within whose bounds ``now`` lies; whether one is open is its schedule's business."""
    query = sa.select(MaintenanceRow).where(MaintenanceRow.ends_at > now, MaintenanceRow.starts_at <= now)
    return [decided_by(row) for row in tx.scalars(query.order_by(MaintenanceRow.id))]


def all(tx: Session, *, tenants: frozenset[str] | None = None, limit: int = SHOWN) -> list[MaintenanceRow]:  # noqa: A001 - read as maintenance.all
    """Give windows, the newest first, those that are over included; ``tenants`` None sees all."""
    query = sa.select(MaintenanceRow).where(_seen_by(tenants))
    return list(tx.scalars(query.order_by(MaintenanceRow.id.desc()).limit(limit)))


def decided_by(row: MaintenanceRow) -> Maintenance:
    """Give the row as decisions see it."""
    return Maintenance(
        id=row.id,
        tenant=row.tenant,
        hosts=tuple(row.hosts),
        change=row.change,
        schedule=Schedule(
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            repeat=Repeat(row.repeat),
            days=tuple(row.days),
            opens=time.fromisoformat(row.opens or "00:00"),
            closes=time.fromisoformat(row.closes or "00:00"),
        ),
        reason=row.reason,
        author=row.author,
    )


def _checked(plan: Plan, author: str, now: datetime) -> MaintenanceRow:
    change = clean(plan.change)[:100]
    if not change:
        raise UserError("maintenance.change", "须填写变更单号。", "the change ticket's number is needed")
    once = plan.repeat is Repeat.ONCE
    span_checked(plan.starts_at, plan.ends_at, now, LONGEST_ONCE if once else LONGEST)
    days = sorted(set(plan.days))
    if not once and not (days and days[0] >= 1 and days[-1] <= DAYS[plan.repeat]):
        raise UserError(
            "maintenance.days",
            f"须选择 1 到 {DAYS[plan.repeat]} 之间的日子。",
            f"choose days from 1 to {DAYS[plan.repeat]}",
        )
    hosts = [clean(host)[:200] for host in plan.hosts if clean(host)]
    if len(hosts) > MOST_HOSTS:
        raise UserError(
            "maintenance.hosts", f"主机最多 {MOST_HOSTS} 项，可用通配符。", f"{MOST_HOSTS} hosts at most; use *"
        )
    return MaintenanceRow(
        tenant=plan.tenant,
        hosts=hosts,
        change=change,
        reason=reason_needed(plan.reason),
        repeat=plan.repeat.value,
        days=[] if once else days,
        opens="" if once else _time(plan.opens),
        closes="" if once else _time(plan.closes),
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
        author=author[:200],
        created_at=now,
    )


def _time(text: str) -> str:
    try:
        return f"{time.fromisoformat(text.strip()):%H:%M}"
    except ValueError:
        raise UserError(
            "maintenance.days", f"时刻 {text[:20]!r} 应写作 22:00。", f"time {text[:20]!r} should be written 22:00"
        ) from None


def _seen_by(tenants: frozenset[str] | None) -> sa.ColumnElement[bool]:
    return sa.true() if tenants is None else MaintenanceRow.tenant.in_(sorted(tenants))


def _audit(
    tx: Session, row: MaintenanceRow, verb: str, *, actor: str, reason: str, now: datetime, source_ip: str
) -> None:
    audit.record(
        tx,
        at=now,
        actor=actor,
        action=f"maintenance.{verb}",
        target=f"maintenance:{row.id}",
        tenant=row.tenant or "city",
        reason=clean(reason),
        source_ip=source_ip,
        detail={
            "change": row.change,
            "tenant": row.tenant,
            "hosts": row.hosts,
            "repeat": row.repeat,
            "days": row.days,
            "opens": row.opens,
            "closes": row.closes,
            "starts_at": row.starts_at.isoformat(),
            "ends_at": row.ends_at.isoformat(),
        },
    )
