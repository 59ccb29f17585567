"""Maintenance windows: announced work, once or repeated, under a change ticket; audited, and kept when they are over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING, Final

from secops.alert.mute import Maintenance
from secops.alert.schedule import Repeat, Schedule
from secops.alert.standing import SHOWN, Kind
from secops.alert.tables import MaintenanceRow
from secops.alert.words import clean, reason_needed, span_checked
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

LONGEST_ONCE: Final = timedelta(days=14)
LONGEST: Final = timedelta(days=366)
MOST_HOSTS: Final = 100
DAYS: Final = {Repeat.ONCE: 0, Repeat.WEEKLY: 7, Repeat.MONTHLY: 31}
KIND: Final = Kind(
    row=MaintenanceRow,
    code="maintenance",
    zh="维护窗口",
    en="maintenance window",
    audited=("change", "hosts", "repeat", "days", "opens", "closes"),
)


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
    return KIND.add(tx, _checked(plan, author, now), now=now, source_ip=source_ip)


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
    row = KIND.get(tx, window_id, tenants)
    KIND.end(tx, row, actor=actor, reason=reason, now=now, source_ip=source_ip)


def get(tx: Session, window_id: int, *, tenants: frozenset[str] | None = None) -> MaintenanceRow:
    """Give a window; ``tenants`` None sees all.

    Raises:
        UserError: ``maintenance.unknown``.
    """
    return KIND.get(tx, window_id, tenants)


def active(tx: Session, now: datetime) -> list[Maintenance]:
    """Give the windows within whose bounds ``now`` lies; whether one is open is its schedule's business."""
    return [decided_by(row) for row in KIND.active(tx, now)]


def all(tx: Session, *, tenants: frozenset[str] | None = None, limit: int = SHOWN) -> list[MaintenanceRow]:  # noqa: A001 - read as maintenance.all
    """Give windows, the newest first, those that are over included; ``tenants`` None sees all."""
    return KIND.all(tx, tenants, limit)


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
