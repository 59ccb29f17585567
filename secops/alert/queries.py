"""What people do with alerts: look at them, acknowledge and close them, take them into evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

from secops import audit
from secops.alert.matchers import Subject
from secops.alert.tables import AlertEventRow, AlertRow
from secops.alert.words import clean
from secops.errors import UserError
from secops.records import Alert, AlertStatus, Exhibit, Level

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST: Final = 500  # rows of one page


class Disposition(StrEnum):
    """What a closed alert turned out to be."""

    TRUE_POSITIVE = "true_positive"  # 属实: it happened and mattered
    BENIGN = "benign"  # 属实但无害: it happened and was meant to
    FALSE_POSITIVE = "false_positive"  # 误报: the rule was wrong
    DUPLICATE = "duplicate"  # 重复: another alert or ticket has it


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """A line of an alert's history."""

    at: datetime
    kind: str  # raised, muted, unmuted, joined, storm, acknowledged, closed
    actor: str
    count: int  # events that came with it
    reason: str
    reason_en: str = ""  # where the service itself gave the reason


def get(tx: Session, alert_id: int, *, tenants: frozenset[str] | None = None) -> Alert:
    """Give one alert; ``tenants`` None sees all.

    Raises:
        UserError: ``alert.unknown``, also when it belongs to a tenant that is not among ``tenants``.
    """
    return to_record(_row(tx, alert_id, tenants))


def overlapping(
    tx: Session, *, tenants: frozenset[str] | None, start: datetime, end: datetime, limit: int = MOST
) -> list[Alert]:
    """Give alerts that saw something from ``start`` (inclusive) to ``end`` (exclusive), oldest first."""
    query = _seen_by(sa.select(AlertRow), tenants).where(AlertRow.first_seen < end, AlertRow.last_seen >= start)
    return [to_record(row) for row in tx.scalars(query.order_by(AlertRow.id).limit(limit))]


def counts(tx: Session, *, tenants: frozenset[str] | None = None) -> dict[tuple[AlertStatus, Level], int]:
    """Count alerts that are not muted by status and severity; pairs without alerts are absent."""
    columns = (AlertRow.status, AlertRow.severity, sa.func.count())
    query = _seen_by(sa.select(*columns).where(AlertRow.muted_kind == ""), tenants)
    query = query.group_by(AlertRow.status, AlertRow.severity)
    return {(AlertStatus(status), Level(level)): number for status, level, number in tx.execute(query)}


def history(tx: Session, alert_id: int, *, limit: int = MOST) -> list[AlertEvent]:
    """Give what happened to an alert, oldest first; the first ``limit`` lines."""
    query = sa.select(AlertEventRow).where(AlertEventRow.alert_id == alert_id).order_by(AlertEventRow.id).limit(limit)
    return [
        AlertEvent(at=e.at, kind=e.kind, actor=e.actor, count=e.count, reason=e.reason, reason_en=e.data.get("en", ""))
        for e in tx.scalars(query)
    ]


def acknowledge(
    tx: Session,
    alert_id: int,
    *,
    actor: str,
    reason: str = "",
    now: datetime,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> Alert:
    """Say that somebody looks after an open alert; audited.

    Raises:
        UserError: ``alert.unknown``, or ``alert.status`` when it is not open.
    """
    row = _row(tx, alert_id, tenants, lock=True)
    if row.status != AlertStatus.OPEN:
        raise UserError(
            "alert.status",
            f"告警 {alert_id} 不是未处理状态，不能确认",
            f"alert {alert_id} is not open, so it cannot be acknowledged",
        )
    row.status = AlertStatus.ACKNOWLEDGED.value
    _note(tx, row, "acknowledged", actor=actor, reason=reason, now=now, source_ip=source_ip)
    return to_record(row)


def close(
    tx: Session,
    alert_id: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    disposition: Disposition = Disposition.TRUE_POSITIVE,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> Alert:
    """Close an alert with a reason and what it turned out to be; the next match raises a new one. Audited.

    Raises:
        UserError: ``alert.unknown``, ``alert.status`` when it is closed already, ``alert.reason`` without a reason.
    """
    row = _row(tx, alert_id, tenants, lock=True)
    if row.status == AlertStatus.CLOSED:
        raise UserError("alert.status", f"告警 {alert_id} 已关闭", f"alert {alert_id} is closed already")
    if not clean(reason):
        raise UserError("alert.reason", "关闭告警须写明原因", "closing an alert needs a reason")
    row.status = AlertStatus.CLOSED.value
    row.disposition = disposition.value
    row.resolution = clean(reason)
    row.closed_at = now
    _note(tx, row, "closed", actor=actor, reason=reason, now=now, source_ip=source_ip)
    return to_record(row)


def exhibits(tx: Session, alert_id: int) -> list[Exhibit]:
    """Give the alert and its whole history as files for an evidence pack.

    Raises:
        UserError: ``alert.unknown``.
    """
    alert = get(tx, alert_id)
    lines = history(tx, alert_id, limit=1_000_000)
    found = [
        _exhibit(alert, "alert.json", asdict(alert)),
        _exhibit(alert, "history.json", [asdict(line) for line in lines]),
    ]
    if alert.storm:
        joined = sa.select(AlertEventRow.data).where(AlertEventRow.alert_id == alert_id, AlertEventRow.kind == "storm")
        parts = [part for data in tx.scalars(joined.order_by(AlertEventRow.id)) for part in data["parts"]]
        found.append(_exhibit(alert, "joined.json", parts))
    return found


def to_record(row: AlertRow) -> Alert:
    """Give the row as the record that other stages see."""
    return Alert(
        id=row.id,
        tenant=row.tenant,
        rule_id=row.rule_id,
        title=row.title,
        title_zh=row.title_zh,
        level=Level(row.level),
        status=AlertStatus(row.status),
        fingerprint=row.fingerprint,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        created_at=row.created_at,
        count=row.count,
        group=row.group,
        event_ids=tuple(row.event_ids),
        tags=tuple(row.tags),
        clauses=tuple(row.clauses),
        runbook=row.runbook,
        service=row.service,
        disposition=row.disposition or "",
        resolution=row.resolution or "",
        severity=Level(row.severity),
        severity_reasons=tuple(row.severity_reasons or ()),
        hosts=tuple(row.hosts or ()),
        fields=row.fields or {},
        muted_kind=row.muted_kind,
        muted_by=row.muted_by,
        muted_zh=row.muted_zh,
        muted_en=row.muted_en,
        announced_at=row.announced_at,
        closed_at=row.closed_at,
        storm=row.storm,
    )


def subject_of(row: AlertRow) -> Subject:
    """Give what decisions look at."""
    return Subject(
        rule_id=row.rule_id,
        tenant=row.tenant,
        level=Level(row.level),
        severity=Level(row.severity),
        tags=tuple(row.tags),
        group=row.group,
        hosts=tuple(row.hosts),
    )


def subject_of_record(alert: Alert) -> Subject:
    """Give what decisions look at, of an alert as other stages see it."""
    return Subject(
        rule_id=alert.rule_id,
        tenant=alert.tenant,
        level=alert.level,
        severity=alert.severity or alert.level,
        tags=alert.tags,
        group=alert.group,
        hosts=alert.hosts,
    )


def _seen_by(query: Any, tenants: frozenset[str] | None) -> Any:  # noqa: ANN401 - sa.Select of whatever columns
    return query if tenants is None else query.where(AlertRow.tenant.in_(sorted(tenants)))


def _row(tx: Session, alert_id: int, tenants: frozenset[str] | None, *, lock: bool = False) -> AlertRow:
    query = _seen_by(sa.select(AlertRow).where(AlertRow.id == alert_id), tenants)
    row: AlertRow | None = tx.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise UserError(
            "alert.unknown",
            f"没有编号为 {alert_id} 的告警，或无权查看",
            f"there is no alert {alert_id} that you may see",
        )
    return row


def _note(tx: Session, row: AlertRow, kind: str, *, actor: str, reason: str, now: datetime, source_ip: str) -> None:
    data = {"disposition": row.disposition} if kind == "closed" else {}
    tx.add(AlertEventRow(alert_id=row.id, at=now, kind=kind, actor=actor[:200], reason=clean(reason), data=data))
    audit.record(
        tx,
        at=now,
        actor=actor,
        action=f"alert.{'acknowledge' if kind == 'acknowledged' else 'close'}",
        target=f"alert:{row.id}",
        tenant=row.tenant,
        reason=clean(reason),
        source_ip=source_ip,
        detail=data,
    )


def _exhibit(alert: Alert, name: str, content: dict[str, Any] | Sequence[dict[str, Any]]) -> Exhibit:
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)
    return Exhibit(tenant=alert.tenant, path=f"alerts/{alert.id}/{name}", media_type="application/json", content=body)
