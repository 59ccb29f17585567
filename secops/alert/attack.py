"""MITRE ATT&CK: what a rule's Sigma tags say in tactics and techniques, and which tactics the running rules cover."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops.alert.tables import AlertRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from secops.records import Level, RuleInfo

PREFIX: Final = "attack."
_TECHNIQUE: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)  # a tag is short and ours


@dataclass(frozen=True, slots=True)
class Tactic:
    """A column of the matrix."""

    id: str  # TA0006
    tag: str  # credential-access
    zh: str
    en: str
    older: tuple[str, ...] = ()  # tags that it bore before

    @property
    def tags(self) -> tuple[str, ...]:
        """How rules write it: with hyphens, or (older ones) with underscores, or by an earlier name."""
        names = (self.tag, *self.older)
        return tuple(dict.fromkeys(f"{PREFIX}{one}" for name in names for one in (name, name.replace("-", "_"))))


@dataclass(frozen=True, slots=True)
class Technique:
    """What a technique is called."""

    id: str  # T1110 or T1110.001
    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the running rules have of a tactic."""

    tactic: Tactic
    rules: int
    levels: Mapping[Level, int]  # rules by level; levels without rules are absent
    techniques: tuple[tuple[str, int], ...]  # id -> rules, the most covered first
    alerts: int  # in the span looked at


def tactics_of(tags: Iterable[str], tactics: Sequence[Tactic]) -> list[Tactic]:
    """Give the tactics that tags name, in the order of the matrix."""
    said = {tag.lower() for tag in tags}
    return [tactic for tactic in tactics if said & set(tactic.tags)]


def techniques_of(tags: Iterable[str]) -> list[str]:
    """Give the ids of the techniques that tags name, such as T1110.001."""
    return [found[1].upper() for tag in tags if (found := _TECHNIQUE.fullmatch(tag))]


def name_of(technique: str, known: Mapping[str, Technique]) -> Technique | None:
    """Give what a technique is called, a sub-technique without a name of its own by that of its technique."""
    return known.get(technique) or known.get(technique.partition(".")[0])


def coverage(
    rules: Iterable[RuleInfo], alerts: Iterable[tuple[Sequence[str], int]], tactics: Sequence[Tactic]
) -> list[Coverage]:
    """Count rules, their techniques and alerts (tags -> number) by tactic; a rule of two tactics counts in both. Pure."""
    levels: dict[str, Counter[Level]] = {tactic.id: Counter() for tactic in tactics}
    techniques: dict[str, Counter[str]] = {tactic.id: Counter() for tactic in tactics}
    raised: Counter[str] = Counter()
    for rule in rules:
        for tactic in tactics_of(rule.tags, tactics):
            levels[tactic.id][rule.level] += 1
            techniques[tactic.id].update(techniques_of(rule.tags))
    for tags, number in alerts:
        raised.update({tactic.id: number for tactic in tactics_of(tags, tactics)})
    return [
        Coverage(
            tactic=tactic,
            rules=levels[tactic.id].total(),
            levels=dict(levels[tactic.id]),
            techniques=tuple(sorted(techniques[tactic.id].items(), key=lambda item: (-item[1], item[0]))),
            alerts=raised[tactic.id],
        )
        for tactic in tactics
    ]


def raised_by_tags(tx: Session, *, tenants: frozenset[str] | None, since: datetime) -> list[tuple[list[str], int]]:
    """Count alerts created from ``since`` on by what their tags are."""
    counted: Counter[tuple[str, ...]] = Counter()
    query = (
        sa.select(sa.func.min(AlertRow.id).label("first"), sa.func.count().label("number"))
        .where(AlertRow.created_at >= since)
        .group_by(AlertRow.rule_id, sa.cast(AlertRow.tags, sa.Text))
    )
    if tenants is not None:
        query = query.where(AlertRow.tenant.in_(sorted(tenants)))
    numbers: dict[int, int] = {row.first: row.number for row in tx.execute(query)}
    for row in tx.scalars(sa.select(AlertRow).where(AlertRow.id.in_(numbers))):
        counted[tuple(row.tags)] += numbers[row.id]
    return [(list(tags), number) for tags, number in counted.items()]
