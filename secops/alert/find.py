"""Finding alerts: filters, text search and order of the list; and what joined a storm."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secops.alert.queries import MOST, to_record
from secops.alert.tables import AlertEventRow, AlertRow
from secops.records import Alert, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from secops.records import AlertStatus

DEEPEST: Final = 100_000  # alerts a page may skip


class Order(StrEnum):
    """How the list is sorted."""

    NEWEST = "newest"
    SEVERITY = "severity"
    LAST_SEEN = "last_seen"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is looked for; every part that is given must hold."""

    tenants: frozenset[str] | None = None  # whom the asker may see; None: all
    tenant: str = ""
    status: AlertStatus | None = None
    level: Level | None = None
    severity: Level | None = None
    rule_id: str = ""
    muted: bool | None = None
    tags: Sequence[str] = ()  # any of these, or a sub-technique of one, such as attack.t1110
    text: str = ""  # in title, rule, hosts, group values; every word must be there


def search(
    tx: Session,
    asked: Filter,
    *,
    order: Order = Order.NEWEST,
    limit: int = 50,
    before: int | None = None,
    skip: int = 0,
) -> list[Alert]:
    """Give the alerts that fit, in ``order``; the next page comes by ``before`` (newest first) or by ``skip``."""
    query = sa.select(AlertRow).where(*_conditions(asked)).limit(max(1, min(limit, MOST)))
    if before is not None:
        query = query.where(AlertRow.id < before)
    query = query.order_by(*_ORDERS[order]).offset(max(0, min(skip, DEEPEST)))
    return [to_record(row) for row in tx.scalars(query)]


def storm_parts(
    tx: Session, alert_id: int, *, text: str = "", limit: int = 200, before: int | None = None
) -> list[dict[str, Any]]:
    """Give what joined a storm alert, the newest line of its history first; ``text`` must stand in a part.

    Each part: ``group``, ``hosts``, ``count``, ``first``, ``last``, ``event_ids`` and ``line`` (for ``before``).
    """
    query = sa.select(AlertEventRow).where(AlertEventRow.alert_id == alert_id, AlertEventRow.kind == "storm")
    if before is not None:
        query = query.where(AlertEventRow.id < before)
    if text:
        query = query.where(_said(text))
    found: list[dict[str, Any]] = []
    for line in tx.scalars(query.order_by(AlertEventRow.id.desc()).limit(limit)):
        found += [{**part, "line": line.id} for part in line.data["parts"] if text.lower() in str(part).lower()]
        if len(found) >= limit:
            break
    return found


def _conditions(asked: Filter) -> list[sa.ColumnElement[bool]]:
    exact: list[tuple[sa.orm.InstrumentedAttribute[Any], Any]] = [
        (AlertRow.tenant, asked.tenant),
        (AlertRow.rule_id, asked.rule_id),
        (AlertRow.status, asked.status),
        (AlertRow.level, asked.level),
        (AlertRow.severity, asked.severity),
    ]
    found: list[sa.ColumnElement[bool]] = [column == str(value) for column, value in exact if value]
    if asked.tenants is not None:
        found.append(AlertRow.tenant.in_(sorted(asked.tenants)))
    if asked.muted is not None:
        found.append((AlertRow.muted_kind != "") if asked.muted else (AlertRow.muted_kind == ""))
    if asked.tags:
        found.append(sa.or_(*(_tagged(tag) for tag in asked.tags)))
    found += [_mentions(word) for word in asked.text.lower().split()]
    return found


def _tagged(tag: str) -> sa.ColumnElement[bool]:
    """Tags are stored as JSON text; a sub-technique carries its technique's tag and a dot."""
    written = sa.cast(AlertRow.tags, sa.Text)
    return written.contains(f'"{tag}"', autoescape=True) | written.contains(f'"{tag}.', autoescape=True)


def _mentions(word: str) -> sa.ColumnElement[bool]:
    """Look at the alert's own text, and for a storm at what joined it."""
    parts = sa.select(AlertEventRow.id).where(
        AlertEventRow.alert_id == AlertRow.id, AlertEventRow.kind == "storm", _said(word)
    )
    return AlertRow.search.contains(word, autoescape=True) | (AlertRow.storm & parts.exists())


def _said(word: str) -> sa.ColumnElement[bool]:
    """JSON is stored with everything but ASCII escaped."""
    escaped = json.dumps(word.lower())[1:-1]
    return sa.func.lower(sa.cast(AlertEventRow.data, sa.Text)).contains(escaped, autoescape=True)


_RANK: Final = sa.case({level.value: level.rank for level in Level}, value=AlertRow.severity)
_ORDERS: Final[dict[Order, tuple[Any, ...]]] = {
    Order.NEWEST: (AlertRow.id.desc(),),
    Order.SEVERITY: (_RANK.desc(), AlertRow.id.desc()),
    Order.LAST_SEEN: (AlertRow.last_seen.desc(), AlertRow.id.desc()),
    Order.COUNT: (AlertRow.count.desc(), AlertRow.id.desc()),
}
