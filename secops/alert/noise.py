"""Noise per rule: how much it says, how much of that was wrong, and what could be done about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secops.alert.queries import Disposition
from secops.alert.tables import AlertRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

SAMPLE: Final = 20_000  # alerts, the newest, that group values and times to close are taken from
TOP: Final = 3  # group values shown of a rule
_ENOUGH: Final = 5  # closed alerts (or alerts in all) before anything is suggested
_MOSTLY: Final = 0.5
_MUCH: Final = 0.2  # of all alerts


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What could be done, as a sentence."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRow:
    """One rule in the span; the share is of all alerts there."""

    rule_id: str
    title: str
    title_zh: str
    events: int
    alerts: int
    muted: int  # alerts that are muted still
    storms: int
    closed: int
    false_positive: int
    benign: int
    time_to_close: timedelta | None  # median, of the alerts that are closed
    top: tuple[tuple[str, str, int], ...]  # (field, value, alerts)
    share: float
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def wrong(self) -> float:
        """The share of closed alerts that were false or harmless; 0 when none is closed."""
        return (self.false_positive + self.benign) / self.closed if self.closed else 0.0


@dataclass(slots=True)
class _Sample:
    sizes: int = 0
    values: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # from raised to closed


def report(tx: Session, *, tenants: frozenset[str] | None, start: datetime, end: datetime) -> list[NoiseRow]:
    """Give every rule that raised something from ``start`` (inclusive) to ``end`` (exclusive), the noisiest first."""
    span = [AlertRow.created_at >= start, AlertRow.created_at < end]
    if tenants is not None:
        span.append(AlertRow.tenant.in_(sorted(tenants)))
    counted = list(tx.execute(_counts(span)))
    whole = sum(row.alerts for row in counted)
    samples = _samples(tx, span)
    rows = [_row(row, samples[row.rule_id], whole) for row in counted]
    return sorted(rows, key=lambda row: (-row.alerts, -row.events, row.rule_id))


def by_day(
    tx: Session, *, tenants: frozenset[str] | None, start: datetime, end: datetime, rule_id: str = ""
) -> list[tuple[datetime, int]]:
    """Count alerts of each day (24 hours from ``start``) in the span, days without alerts included."""
    day = timedelta(days=1)
    days = max(1, -(-(end - start) // day))
    query = sa.select(AlertRow.created_at).where(AlertRow.created_at >= start, AlertRow.created_at < end)
    if tenants is not None:
        query = query.where(AlertRow.tenant.in_(sorted(tenants)))
    if rule_id:
        query = query.where(AlertRow.rule_id == rule_id)
    counts = Counter((at - start) // day for at in tx.scalars(query.execution_options(yield_per=5000)))
    return [(start + number * day, counts[number]) for number in range(days)]


def _counts(span: Sequence[sa.ColumnElement[bool]]) -> sa.Executable:
    def number(condition: sa.ColumnElement[bool] | sa.orm.InstrumentedAttribute[bool], name: str) -> sa.Label[Any]:
        return sa.func.sum(sa.case((condition, 1), else_=0)).label(name)

    return (
        sa.select(
            AlertRow.rule_id,
            sa.func.max(AlertRow.title).label("title"),
            sa.func.max(AlertRow.title_zh).label("title_zh"),
            sa.func.count().label("alerts"),
            sa.func.sum(AlertRow.count).label("events"),
            number(AlertRow.muted_kind != "", "muted"),
            number(AlertRow.storm, "storms"),
            number(AlertRow.closed_at.is_not(None), "closed"),
            number(AlertRow.disposition == Disposition.FALSE_POSITIVE.value, "false_positive"),
            number(AlertRow.disposition == Disposition.BENIGN.value, "benign"),
        )
        .where(*span)
        .group_by(AlertRow.rule_id)
    )


def _samples(tx: Session, span: Sequence[sa.ColumnElement[bool]]) -> defaultdict[str, _Sample]:
    found: defaultdict[str, _Sample] = defaultdict(_Sample)
    columns = (AlertRow.rule_id, AlertRow.group, AlertRow.created_at, AlertRow.closed_at)
    query = sa.select(*columns).where(*span, ~AlertRow.storm).order_by(AlertRow.id.desc()).limit(SAMPLE)
    for rule_id, group, created_at, closed_at in tx.execute(query):
        sample = found[rule_id]
        sample.sizes += 1
        sample.values.update((name, str(value)) for name, value in group.items() if value)
        if closed_at is not None:
            sample.seconds.append((closed_at - created_at).total_seconds())
    return found


def _row(row: sa.Row[Any], sample: _Sample, whole: int) -> NoiseRow:
    top = sorted(sample.values.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    plain = NoiseRow(
        rule_id=row.rule_id,
        title=row.title,
        title_zh=row.title_zh,
        events=int(row.events),
        alerts=row.alerts,
        muted=int(row.muted),
        storms=int(row.storms),
        closed=int(row.closed),
        false_positive=int(row.false_positive),
        benign=int(row.benign),
        time_to_close=timedelta(seconds=median(sample.seconds)) if sample.seconds else None,
        top=tuple((name, value, number) for (name, value), number in top),
        share=row.alerts / whole,
    )
    return replace(plain, suggestions=tuple(advise(plain, sample.sizes)))


def advise(row: NoiseRow, sampled: int) -> list[Suggestion]:
    """Say what could be done about a rule; ``sampled`` is how many alerts its top values were counted over. Pure."""
    found = []
    dominant = row.top[0] if row.top and sampled >= _ENOUGH and row.top[0][2] >= sampled * _MOSTLY else None
    mostly_wrong = row.closed >= _ENOUGH and row.wrong >= _MOSTLY
    if mostly_wrong and dominant is not None:
        name, value, number = dominant
        found.append(
            Suggestion(
                f"已关闭的告警中 {row.wrong:.0%} 为误报或无害，且 {number}/{sampled} 条的 {name} 是 {value[:80]}：建议为该值加例外（写明原因和到期日）。",
                f"{row.wrong:.0%} of the closed alerts were false or harmless, and {number} of {sampled} have {name} {value[:80]}: add an exception for it, with reason and expiry.",
            )
        )
    elif mostly_wrong:
        found.append(
            Suggestion(
                f"已关闭的告警中 {row.wrong:.0%} 为误报或无害，且分散在不同对象：建议收紧规则条件或提高阈值。",
                f"{row.wrong:.0%} of the closed alerts were false or harmless, spread over many: tighten the rule or raise its threshold.",
            )
        )
    if row.storms:
        found.append(
            Suggestion(
                f"出现过 {row.storms} 次规则风暴：建议按更粗的字段分组，或提高阈值。",
                f"it made {row.storms} storms: group it by fewer fields, or raise its threshold.",
            )
        )
    elif row.share >= _MUCH and row.alerts >= _ENOUGH * 10:
        found.append(
            Suggestion(
                f"占全部告警的 {row.share:.0%}：建议加长合并窗口或提高阈值。",
                f"it makes {row.share:.0%} of all alerts: lengthen its window, or raise its threshold.",
            )
        )
    return found
