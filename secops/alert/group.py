"""Matches become alerts: one alert per fingerprint and window, however many matches there are.

A batch is aggregated in memory first; the database then sees one look-up for all fingerprints, one update per alert that
grew and one insert per alert that is new. What is new is weighed (``severity``), may be muted (``mute``) or join a storm
(``storm``); what is neither is announced with ``outbox.Raised`` in the same transaction. A muted alert that goes on
matching is decided upon again at each batch, and announced once when nothing mutes it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import outbox
from secops.alert.controls import Controls, Judge, mark
from secops.alert.grouping import KEPT_EVENT_IDS, Run, by_key, fingerprint, keep, runs, shown
from secops.alert.queries import to_record
from secops.alert.storm import Storm, fold
from secops.alert.tables import AlertEventRow, AlertRow
from secops.records import Alert, AlertStatus, Level, Match, RuleInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

    from secops.alert.grouping import Key

_PARAMETERS: Final = 5000  # fingerprints per look-up; SQLite takes 32,766 parameters, PostgreSQL 65,535
_LOCK: Final = 0x5EC0_0002  # PostgreSQL advisory lock: two detectors must not both find no alert and raise one each
_SEARCHED: Final = 4000  # characters of an alert that the text search looks at
DETECTOR: Final = "secops.detect"
NO_CONTROLS: Final = Controls()

BURIED_RULE: Final = RuleInfo(
    id="secops-outbox-buried",
    title="A message of the service itself could not be delivered",
    title_zh="本系统的一条内部消息多次处理失败，已放弃",
    level=Level.HIGH,
    tags=("secops.self",),
    runbook="outbox-buried.md",
    group_by=("secops.outbox.kind",),
)


@dataclass(slots=True)
class Batch:
    """What a batch of matches comes to."""

    fresh: list[AlertRow] = field(default_factory=list)
    joined: dict[int, tuple[AlertRow, int]] = field(default_factory=dict)  # by id, with the events that joined

    def join(self, row: AlertRow, count: int) -> None:
        """Note what joined; rows without an id are fresh themselves."""
        if row.id is not None:
            self.joined[row.id] = (row, self.joined.get(row.id, (row, 0))[1] + count)


def raise_alerts(
    tx: Session,
    matches: Sequence[Match],
    rules: Mapping[str, RuleInfo],
    now: datetime,
    controls: Controls = NO_CONTROLS,
) -> list[Alert]:
    """Let every match join an alert, and give the alerts that are new; those that nothing mutes are announced.

    A match joins the open or acknowledged alert of its fingerprint (rule, tenant, group values) when it lies within the
    rule's window of what that alert has seen. Matches of a rule that only feeds a correlation raise nothing; a rule that
    ``rules`` no longer has still raises, under its id and at medium level.
    """
    grouped = by_key(matches, rules)
    if not grouped:
        return []
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    prints = {fingerprint(*key): key for key in grouped}
    standing = _standing(tx, prints, grouped, rules)
    judge, batch = Judge(tx, controls, now), Batch()
    for mark_, key in prints.items():
        rule = _rule(rules, key[0])
        born: list[AlertRow] = []
        for run in runs(grouped[key], rule.window):
            if (row := _joinable(born + standing[mark_], run, rule.window)) is None:
                born.insert(0, _new(key, mark_, rule, run, judge))
                continue
            _join(row, run)
            batch.join(row, run.count)
        batch.fresh.extend(reversed(born))
    return _store(tx, batch, judge)


def raise_for_buried(tx: Session, message: outbox.Buried, now: datetime) -> None:
    """Handle ``outbox.Buried``: raise an alert of the root tenant on the service itself."""
    match = Match(
        tenant="city",
        rule_id=BURIED_RULE.id,
        at=now,
        event_ids=(),
        group=(("secops.outbox.kind", message.kind),),
        fields={"secops.outbox.id": message.outbox_id, "error.message": message.error},
    )
    raise_alerts(tx, [match], {BURIED_RULE.id: BURIED_RULE}, now)


def _rule(rules: Mapping[str, RuleInfo], rule_id: str) -> RuleInfo:
    return rules.get(rule_id) or RuleInfo(id=rule_id, title=rule_id, title_zh=rule_id, level=Level.MEDIUM)


def _standing(
    tx: Session, prints: Mapping[str, Key], grouped: Mapping[Key, list[Match]], rules: Mapping[str, RuleInfo]
) -> dict[str, list[AlertRow]]:
    """Give the unclosed alerts, latest first, that matches of each fingerprint could join."""
    standing: dict[str, list[AlertRow]] = {mark: [] for mark in prints}
    earliest = min(min(match.at for match in grouped[key]) - _rule(rules, key[0]).window for key in prints.values())
    marks = list(prints)
    for start in range(0, len(marks), _PARAMETERS):
        some = (
            sa.select(AlertRow)
            .where(
                AlertRow.fingerprint.in_(marks[start : start + _PARAMETERS]),
                AlertRow.last_seen >= earliest,
                AlertRow.status != AlertStatus.CLOSED.value,
            )
            .order_by(AlertRow.last_seen.desc(), AlertRow.id.desc())
            .with_for_update()
        )
        for row in tx.scalars(some):
            standing[row.fingerprint].append(row)
    return standing


def _joinable(rows: list[AlertRow], run: Run, window: timedelta) -> AlertRow | None:
    """Give the latest alert the run touches; events that come late may lie before what the alert has seen."""
    for row in rows:
        if row.first_seen - window <= run.last and run.first <= row.last_seen + window:
            return row
    return None


def _join(row: AlertRow, run: Run) -> None:
    row.first_seen = min(row.first_seen, run.first)
    row.last_seen = max(row.last_seen, run.last)
    row.count += run.count
    if len(row.event_ids) < KEPT_EVENT_IDS:
        kept = list(row.event_ids)  # a JSON column only notices a new value
        keep(kept, run.event_ids)
        row.event_ids = kept


def _new(key: Key, mark_: str, rule: RuleInfo, run: Run, judge: Judge) -> AlertRow:
    group = {name: shown(value) for name, value in key[2]}
    row = AlertRow(
        tenant=key[1],
        rule_id=rule.id,
        title=rule.title[:500],
        title_zh=rule.title_zh[:500],
        level=rule.level.value,
        status=AlertStatus.OPEN.value,
        fingerprint=mark_,
        first_seen=run.first,
        last_seen=run.last,
        created_at=judge.now,
        count=run.count,
        group=group,
        event_ids=run.event_ids,
        tags=list(rule.tags),
        clauses=list(rule.clauses),
        runbook=rule.runbook,
        service=rule.service,
        disposition="",
        resolution="",
        hosts=run.hosts,
        fields=run.fields,
        search=_searched(rule, [*group.values(), *run.hosts]),
        storm=False,
    )
    judge.weigh(row, run.addresses)
    mark(row, judge.quiet(row))
    return row


def _searched(rule: RuleInfo, values: Iterable[str]) -> str:
    text = "\n".join([rule.title, rule.title_zh, rule.id, *values])
    return text.lower().replace("\x00", "\ufffd")[:_SEARCHED]


def _store(tx: Session, batch: Batch, judge: Judge) -> list[Alert]:
    """Write new alerts, the history of all, and the announcements."""
    alone, storms = fold(tx, batch.fresh, judge.controls.storm_alerts, judge.now)
    new = [*alone, *(storm.row for storm in storms if storm.is_new)]
    unsettled = [row for row in alone if not row.muted_kind and judge.aimed(row)]
    later = {id(row) for row in unsettled}
    for row in new:
        if not row.muted_kind and id(row) not in later:
            row.announced_at = judge.now
    tx.add_all(new)
    tx.flush()  # gives the ids
    waiting = [row for row, _ in batch.joined.values() if row.announced_at is None and not row.storm]
    before = {row.id: row.muted_by for row in waiting}
    judge.settle([*unsettled, *waiting])
    tx.add_all(_history(batch, alone, storms, judge.now))
    tx.add_all(line for row in waiting if (line := _changed(row, before[row.id], judge.now)) is not None)
    for row in [*new, *waiting]:
        if row.announced_at is not None:
            outbox.publish(tx, outbox.Raised(alert_id=row.id), judge.now)
    tx.flush()
    return [to_record(row) for row in new]


def _history(batch: Batch, alone: list[AlertRow], storms: list[Storm], now: datetime) -> Iterable[AlertEventRow]:
    for row in [*alone, *(storm.row for storm in storms if storm.is_new)]:
        yield _event(row, "raised", 0 if row.storm else row.count, now)
        if row.muted_kind:
            yield _event(row, "muted", 0, now, reason=row.muted_zh)
    for row, count in batch.joined.values():
        yield _event(row, "joined", count, now)
    for storm in storms:
        yield from storm.lines(now, DETECTOR)


def _changed(row: AlertRow, before: str, now: datetime) -> AlertEventRow | None:
    """Give the line that says that something else, or nothing, mutes the alert now."""
    if not row.muted_kind:
        return _event(row, "unmuted", 0, now)
    return _event(row, "muted", 0, now, reason=row.muted_zh) if row.muted_by != before else None


def _event(row: AlertRow, kind: str, count: int, now: datetime, reason: str = "") -> AlertEventRow:
    data = {"by": row.muted_by, "zh": row.muted_zh, "en": row.muted_en} if kind == "muted" else {}
    return AlertEventRow(alert_id=row.id, at=now, kind=kind, actor=DETECTOR, count=count, reason=reason, data=data)
