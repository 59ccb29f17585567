"""Per rule: hits, when last, by tenant, what was excepted or switched off, and what evaluating it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from secops.rulebook.tables import CostRow, StatRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Tally(Protocol):
    """What the matcher counted of one rule and tenant since it was last asked."""

    @property
    def hits(self) -> int:
        """Hits that counted."""

    @property
    def last_us(self) -> int:
        """Event time of the last of them, microseconds since 1970; 0 for none."""

    @property
    def excepted(self) -> int:
        """Hits that an exception took out."""

    @property
    def switched_off(self) -> int:
        """Hits that a switch took out."""


@dataclass(slots=True, kw_only=True)
class RuleStat:
    """What is known of one rule; costs are reckoned from samples."""

    hits: int = 0
    last_hit: datetime | None = None
    by_tenant: dict[str, int] = field(default_factory=dict)
    last_by_tenant: dict[str, datetime] = field(default_factory=dict)
    excepted: int = 0
    switched_off: int = 0
    evaluated: int = 0
    cpu_us: int = 0


def add(tx: Session, tally: Mapping[tuple[str, str], Tally], now: datetime) -> None:
    """Add what was counted of each ``(rule id, tenant)``; a last hit in the future is taken to be now."""
    rows = [
        {
            "rule_id": rule_id[:200],
            "tenant": tenant[:100],
            "hits": one.hits,
            "excepted": one.excepted,
            "switched_off": one.switched_off,
            "last_hit": min(_EPOCH + timedelta(microseconds=one.last_us), now)
            if one.hits and one.last_us > 0
            else None,
        }
        for (rule_id, tenant), one in sorted(tally.items())
    ]
    if not rows:
        return
    statement = _insert(tx, StatRow)
    new = statement.excluded
    later = sa.case(
        (new.last_hit.is_(None), StatRow.last_hit),
        (sa.func.coalesce(StatRow.last_hit, _LONG_AGO) > new.last_hit, StatRow.last_hit),
        else_=new.last_hit,
    )
    changed = {name: getattr(StatRow, name) + getattr(new, name) for name in ("hits", "excepted", "switched_off")}
    tx.execute(
        statement.on_conflict_do_update(index_elements=["rule_id", "tenant"], set_={**changed, "last_hit": later}), rows
    )


def add_costs(tx: Session, costs: Mapping[str, tuple[int, int]]) -> None:
    """Add ``rule id -> (evaluations, CPU microseconds)``, already scaled up from the sample."""
    rows = [
        {"rule_id": rule_id[:200], "evaluated": evaluated, "cpu_us": cpu_us}
        for rule_id, (evaluated, cpu_us) in sorted(costs.items())
    ]
    if rows:
        statement = _insert(tx, CostRow)
        changed = {name: getattr(CostRow, name) + getattr(statement.excluded, name) for name in ("evaluated", "cpu_us")}
        tx.execute(statement.on_conflict_do_update(index_elements=["rule_id"], set_=changed), rows)


def all(tx: Session) -> dict[str, RuleStat]:  # noqa: A001 - read as stats.all(tx)
    """Give what is known, by rule id; a rule that never came up is not in it."""
    found: dict[str, RuleStat] = {}
    for row in tx.scalars(sa.select(StatRow).order_by(StatRow.rule_id, StatRow.tenant)):
        stat = found.setdefault(row.rule_id, RuleStat())
        stat.hits += row.hits
        stat.excepted += row.excepted
        stat.switched_off += row.switched_off
        stat.by_tenant[row.tenant] = row.hits
        if row.last_hit is not None:
            stat.last_by_tenant[row.tenant] = row.last_hit
            stat.last_hit = max(stat.last_hit or row.last_hit, row.last_hit)
    for cost in tx.scalars(sa.select(CostRow)):
        stat = found.setdefault(cost.rule_id, RuleStat())
        stat.evaluated, stat.cpu_us = cost.evaluated, cost.cpu_us
    return found


def visible(stat: RuleStat, tenants: frozenset[str] | None) -> RuleStat:
    """Give the part of ``stat`` that somebody who sees ``tenants`` (None: all) may see; the cost is the rule's, whole."""
    if tenants is None:
        return stat
    by_tenant = {tenant: hits for tenant, hits in stat.by_tenant.items() if tenant in tenants}
    last = {tenant: at for tenant, at in stat.last_by_tenant.items() if tenant in tenants}
    return RuleStat(
        hits=sum(by_tenant.values()),
        last_hit=max(last.values(), default=None),
        by_tenant=by_tenant,
        last_by_tenant=last,
        evaluated=stat.evaluated,
        cpu_us=stat.cpu_us,
    )


def _insert(tx: Session, table: type[StatRow | CostRow]) -> Any:  # noqa: ANN401 - one of two dialects' statements
    make = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    return make(table)
