"""What decides about new alerts in one transaction: the files' rules, the silences and windows of now, standing alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops.alert import maintenance, silences
from secops.alert.matchers import all_hold
from secops.alert.mute import Inhibition, Maintenance, Muted, Silence, Sources, Standing, decide
from secops.alert.queries import subject_of
from secops.alert.schedule import opening
from secops.alert.severity import Weights, weigh
from secops.alert.tables import AlertRow
from secops.records import AlertStatus, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

    from secops.alert.matchers import Subject

MOST_STANDING: Final = 2000  # sources looked at, the newest first; beyond it an alert is announced rather than muted


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What files and settings say; made once by the composition root."""

    inhibitions: tuple[Inhibition, ...] = ()
    weights: Weights = field(default_factory=Weights)
    storm_alerts: int = 0  # alerts of one rule and tenant an hour before a storm is made of them; 0: never


@dataclass
class Judge:
    """Decides for the rows of one transaction; what it needs of the database is read once, when it is needed."""

    tx: Session
    controls: Controls
    now: datetime
    _near: dict[tuple[str, str], list[Silence]] = field(default_factory=dict)

    @cached_property
    def _silences(self) -> Sequence[Silence]:
        return silences.active(self.tx, self.now)

    def silences(self, subject: Subject) -> Sequence[Silence]:
        """The silences of now that may be about alerts of the subject's rule and tenant."""
        key = subject.rule_id, subject.tenant
        if key not in self._near:
            self._near[key] = [one for one in self._silences if one.may_hold(subject)]
        return self._near[key]

    @cached_property
    def windows(self) -> Sequence[Maintenance]:
        """The maintenance windows that are open now."""
        return [one for one in maintenance.active(self.tx, self.now) if opening(one.schedule, self.now) is not None]

    def weigh(self, row: AlertRow, addresses: Sequence[str]) -> None:
        """Give a new row its severity."""
        found = weigh(
            Level(row.level),
            tenant=row.tenant,
            tags=row.tags,
            hosts=row.hosts,
            addresses=addresses,
            weights=self.controls.weights,
        )
        row.severity = found.level.value
        row.severity_reasons = [{"zh": one.zh, "en": one.en} for one in found.reasons]

    def quiet(self, row: AlertRow) -> Muted | None:
        """Decide by silences and maintenance windows."""
        subject = subject_of(row)
        return decide(subject, self.now, self.silences(subject), self.windows)

    def settle(self, rows: Sequence[AlertRow]) -> None:
        """Decide by everything, the gravest first: what is announced may explain the lesser ones. Rows must have ids."""
        sources = Sources(self.controls.inhibitions, self.standing(rows))
        for row in sorted(rows, key=lambda row: (-Level(row.severity).rank, row.id)):
            subject = subject_of(row)
            mark(row, decide(subject, self.now, self.silences(subject), self.windows, sources))
            if not row.muted_kind:
                row.announced_at = self.now
                sources.add(stands(row))

    def standing(self, targets: Iterable[AlertRow]) -> list[Standing]:
        """Give the announced, unclosed alerts that could explain one of ``targets``; one look-up, none if nothing could."""
        wanted = [(row.tenant, rule.within) for row in targets for rule in self.aimed(row)]
        if not wanted:
            return []
        return standing_alerts(
            self.tx, tenants={tenant for tenant, _ in wanted}, now=self.now, within=max(span for _, span in wanted)
        )

    def aimed(self, row: AlertRow) -> list[Inhibition]:
        """Give the inhibitions that could mute ``row`` if their source stood."""
        subject = subject_of(row)
        return [rule for rule in self.controls.inhibitions if all_hold(rule.target, subject)]


def standing_alerts(tx: Session, *, tenants: set[str], now: datetime, within: timedelta) -> list[Standing]:
    """Give the newest announced, unclosed alerts of ``tenants`` that were seen ``within`` before ``now``."""
    query = (
        sa.select(AlertRow)
        .where(
            AlertRow.tenant.in_(sorted(tenants)),
            AlertRow.status != AlertStatus.CLOSED.value,
            AlertRow.announced_at.is_not(None),
            AlertRow.last_seen > now - within,
        )
        .order_by(AlertRow.id.desc())
        .limit(MOST_STANDING)
    )
    return [stands(row) for row in tx.scalars(query)]


def stands(row: AlertRow) -> Standing:
    """Give the row as something that may explain others."""
    return Standing(id=row.id, title=row.title, title_zh=row.title_zh, last_seen=row.last_seen, subject=subject_of(row))


def mark(row: AlertRow, muted: Muted | None) -> None:
    """Write the decision into the row."""
    row.muted_kind = muted.kind if muted else ""
    row.muted_by = muted.by[:200] if muted else ""
    row.muted_zh = muted.zh[:1000] if muted else ""
    row.muted_en = muted.en[:1000] if muted else ""
