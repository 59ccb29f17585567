"""Matches become alerts: one alert per fingerprint and window, however many matches there are.

A batch is aggregated in memory first; the database then sees one look-up for all fingerprints, one update per alert that
grew and one insert per alert that is new.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import outbox
from secops.alert.queries import to_record
from secops.alert.tables import AlertEventRow, AlertRow
from secops.records import Alert, AlertStatus, Level, Match, RuleInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import TypeAlias

    from sqlalchemy.orm import Session

    Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]

KEPT_EVENT_IDS: Final = 100
_SHOWN_VALUE: Final = 1000  # characters of a group value that are stored; the fingerprint covers all of it
_PARAMETERS: Final = 5000  # fingerprints per look-up; SQLite takes 32,766 parameters, PostgreSQL 65,535
_LOCK: Final = 0x5EC0_0002  # PostgreSQL advisory lock: two detectors must not both find no alert and raise one each
DETECTOR: Final = "secops.detect"

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
class Run:
    """Matches of one fingerprint that lie no further apart than the rule's window."""

    first: datetime
    last: datetime
    count: int = 0
    event_ids: list[str] = field(default_factory=list)

    def take(self, match: Match) -> None:
        """Count one more match, which is not older than the last."""
        self.last = match.at
        self.count += match.count
        _keep(self.event_ids, match.event_ids)


def raise_alerts(tx: Session, matches: Sequence[Match], rules: Mapping[str, RuleInfo], now: datetime) -> list[Alert]:
    """Let every match join an alert, and give the alerts that are new; each is announced with ``outbox.Raised``.

    A match joins the open or acknowledged alert of its fingerprint (rule, tenant, group values) when it lies within the
    rule's window of what that alert has seen. Matches of a rule that only feeds a correlation raise nothing; a rule that
    ``rules`` no longer has still raises, under its id and at medium level.
    """
    grouped = _by_key(matches, rules)
    if not grouped:
        return []
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    prints = {fingerprint(*key): key for key in grouped}
    standing = _standing(tx, prints, grouped, rules)
    fresh: list[AlertRow] = []
    joined: dict[int, tuple[AlertRow, int]] = {}
    for mark, key in prints.items():
        rule = _rule(rules, key[0])
        born: list[AlertRow] = []
        for run in _runs(grouped[key], rule.window):
            if (row := _joinable(born + standing[mark], run, rule.window)) is None:
                born.insert(0, _new(key, mark, rule, run, now))
                continue
            _join(row, run)
            if row.id is not None:
                joined[row.id] = (row, joined.get(row.id, (row, 0))[1] + run.count)
        fresh.extend(reversed(born))
    return _store(tx, fresh, list(joined.values()), now)


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


def fingerprint(rule_id: str, tenant: str, group: Iterable[tuple[str, str]]) -> str:
    """Give the SHA-256 (hex) of rule, tenant and group values; the order of the group's fields does not matter."""
    said = json.dumps([rule_id, tenant, sorted(group)])  # ASCII escapes: a lone surrogate in a log must not stop us
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def _rule(rules: Mapping[str, RuleInfo], rule_id: str) -> RuleInfo:
    return rules.get(rule_id) or RuleInfo(id=rule_id, title=rule_id, title_zh=rule_id, level=Level.MEDIUM)


def _by_key(matches: Iterable[Match], rules: Mapping[str, RuleInfo]) -> dict[Key, list[Match]]:
    grouped: defaultdict[Key, list[Match]] = defaultdict(list)
    silent = {rule.id for rule in rules.values() if not rule.alert}
    for match in matches:
        if match.rule_id not in silent:
            grouped[match.rule_id, match.tenant, match.group].append(match)
    return grouped


def _runs(matches: list[Match], window: timedelta) -> Iterator[Run]:
    """Cut matches of one key where more than ``window`` lies between two of them."""
    matches.sort(key=attrgetter("at"))
    run = Run(matches[0].at, matches[0].at)
    for match in matches:
        if match.at - run.last > window:
            yield run
            run = Run(match.at, match.at)
        run.take(match)
    yield run


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
        _keep(kept, run.event_ids)
        row.event_ids = kept


def _keep(kept: list[str], event_ids: Sequence[str]) -> None:
    """Add ids until there are a hundred, none twice."""
    for event_id in event_ids[: KEPT_EVENT_IDS if len(kept) < KEPT_EVENT_IDS else 0]:
        if len(kept) < KEPT_EVENT_IDS and event_id not in kept:
            kept.append(event_id)


def _new(key: Key, mark: str, rule: RuleInfo, run: Run, now: datetime) -> AlertRow:
    return AlertRow(
        tenant=key[1],
        rule_id=rule.id,
        title=rule.title[:500],
        title_zh=rule.title_zh[:500],
        level=rule.level.value,
        status=AlertStatus.OPEN.value,
        fingerprint=mark,
        first_seen=run.first,
        last_seen=run.last,
        created_at=now,
        count=run.count,
        group={name: _shown(value) for name, value in key[2]},
        event_ids=run.event_ids,
        tags=list(rule.tags),
        clauses=list(rule.clauses),
        runbook=rule.runbook,
        service=rule.service,
    )


def _shown(value: str) -> str:
    """Bound a group value, and replace lone surrogates, which no JSON file of an evidence pack could hold."""
    return value[:_SHOWN_VALUE].encode("utf-8", "replace").decode()


def _store(tx: Session, fresh: list[AlertRow], joined: list[tuple[AlertRow, int]], now: datetime) -> list[Alert]:
    """Write new alerts, the history of all, and the announcements."""
    tx.add_all(fresh)
    tx.flush()  # gives the ids
    tx.add_all(_event(row, "raised", row.count, now) for row in fresh)
    tx.add_all(_event(row, "joined", count, now) for row, count in joined)
    for row in fresh:
        outbox.publish(tx, outbox.Raised(alert_id=row.id), now)
    tx.flush()
    return [to_record(row) for row in fresh]


def _event(row: AlertRow, kind: str, count: int, now: datetime) -> AlertEventRow:
    return AlertEventRow(alert_id=row.id, at=now, kind=kind, actor=DETECTOR, count=count)
