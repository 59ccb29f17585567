"""A rule storm: a rule that raises more alerts an hour than anybody could read gets one alert for all further ones.

The first ``limit`` alerts of a rule and tenant within an hour stand alone; what follows joins the storm alert, which is
announced once and counts on. Nothing is lost: every match that joined is a part in the storm alert's history, with its
group values and the ids of its events. The hour is that of the detector's clock, so that neither a backlog nor invented
times in messages can raise more. Alerts that a silence or a window mutes are counted, and gathered, apart from the
others: they must not use up the room of those that somebody should hear of.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secops.alert.grouping import KEPT_EVENT_IDS, fingerprint, keep
from secops.alert.tables import AlertEventRow, AlertRow
from secops.records import AlertStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from sqlalchemy.orm import Session

    Key: TypeAlias = tuple[str, str, str]  # rule, tenant, what mutes it

HOUR: Final = timedelta(hours=1)
LIFE: Final = timedelta(hours=24)  # a storm alert takes no more after it; then another begins
PARTS: Final = 200  # parts in one line of the history
_FIELD: Final = "secops.storm"


@dataclass(slots=True)
class Storm:
    """A storm alert, new or standing, and what joined it in this batch."""

    row: AlertRow
    is_new: bool
    parts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Events that joined."""
        return sum(part["count"] for part in self.parts)

    def lines(self, now: datetime, actor: str) -> Iterator[AlertEventRow]:
        """Give the history's lines about what joined; the row must have its id."""
        for start in range(0, len(self.parts), PARTS):
            some = self.parts[start : start + PARTS]
            yield AlertEventRow(
                alert_id=self.row.id,
                at=now,
                kind="storm",
                actor=actor,
                count=sum(part["count"] for part in some),
                data={"parts": some},
            )


def fold(tx: Session, rows: Sequence[AlertRow], limit: int, now: datetime) -> tuple[list[AlertRow], list[Storm]]:
    """Give the new rows that may stand alone, and the storms that take the others; ``limit`` 0: all stand alone."""
    if not limit or not rows:
        return list(rows), []
    by_key: defaultdict[Key, list[AlertRow]] = defaultdict(list)
    for row in rows:
        by_key[_key(row)].append(row)
    recent = _recent(tx, by_key, now)
    alone: list[AlertRow] = []
    over: dict[Key, list[AlertRow]] = {}
    for key, some in by_key.items():
        room = max(limit - recent.get(key, 0), 0)
        alone += some[:room]
        if some[room:]:
            over[key] = some[room:]
    return alone, _gather(tx, over, now)


def _key(row: AlertRow) -> Key:
    return row.rule_id, row.tenant, row.muted_by if row.muted_kind in {"silence", "maintenance"} else ""


def _recent(tx: Session, keys: defaultdict[Key, list[AlertRow]], now: datetime) -> dict[Key, int]:
    muted = sa.case((AlertRow.muted_kind.in_(["silence", "maintenance"]), AlertRow.muted_by), else_="")
    query = (
        sa.select(AlertRow.rule_id, AlertRow.tenant, muted, sa.func.count())
        .where(
            AlertRow.created_at > now - HOUR, AlertRow.rule_id.in_(sorted({key[0] for key in keys})), ~AlertRow.storm
        )
        .group_by(AlertRow.rule_id, AlertRow.tenant, muted)
    )
    return {(rule_id, tenant, by): number for rule_id, tenant, by, number in tx.execute(query)}


def _gather(tx: Session, over: dict[Key, list[AlertRow]], now: datetime) -> list[Storm]:
    if not over:
        return []
    marks = {key: fingerprint(key[0], key[1], [(_FIELD, key[2])]) for key in over}
    query = (
        sa.select(AlertRow)
        .where(
            AlertRow.fingerprint.in_(list(marks.values())),
            AlertRow.status != AlertStatus.CLOSED.value,
            AlertRow.created_at > now - LIFE,
        )
        .order_by(AlertRow.id)
        .with_for_update()
    )
    standing = {row.fingerprint: row for row in tx.scalars(query)}
    return [_take(standing.get(marks[key]), marks[key], rows, now) for key, rows in over.items()]


def _take(row: AlertRow | None, mark: str, parts: list[AlertRow], now: datetime) -> Storm:
    storm = Storm(row or _new(mark, parts[0], now), is_new=row is None)
    event_ids = list(storm.row.event_ids)
    for part in parts:
        storm.row.first_seen = min(storm.row.first_seen, part.first_seen)
        storm.row.last_seen = max(storm.row.last_seen, part.last_seen)
        storm.row.count += part.count
        keep(event_ids, part.event_ids)
        storm.parts.append(_part(part))
    storm.row.event_ids = event_ids[:KEPT_EVENT_IDS]
    return storm


def _part(row: AlertRow) -> dict[str, Any]:
    return {
        "group": row.group,
        "hosts": row.hosts,
        "count": row.count,
        "first": row.first_seen.isoformat(),
        "last": row.last_seen.isoformat(),
        "event_ids": row.event_ids,
    }


def _new(mark: str, like: AlertRow, now: datetime) -> AlertRow:
    """Make the storm alert of a rule and tenant, in the likeness of the first alert it takes."""
    return AlertRow(
        tenant=like.tenant,
        rule_id=like.rule_id,
        title=f"Rule storm: {like.title}"[:500],
        title_zh=f"规则风暴：{like.title_zh or like.title}"[:500],
        level=like.level,
        severity=like.severity,
        severity_reasons=like.severity_reasons,
        status=AlertStatus.OPEN.value,
        fingerprint=mark,
        first_seen=like.first_seen,
        last_seen=like.last_seen,
        created_at=now,
        count=0,
        group={},
        event_ids=[],
        hosts=[],
        fields={},
        search=f"rule storm 规则风暴 {like.title} {like.title_zh} {like.rule_id}".lower(),
        tags=like.tags,
        clauses=like.clauses,
        runbook="alert-noise.md",
        service=like.service,
        disposition="",
        resolution="",
        muted_kind=like.muted_kind,
        muted_by=like.muted_by,
        muted_zh=like.muted_zh,
        muted_en=like.muted_en,
        storm=True,
    )
