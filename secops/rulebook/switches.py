"""Rules switched off, for one tenant or for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from secops import audit
from secops.rulebook import generation
from secops.rulebook.said import reason_of, rule_of
from secops.rulebook.tables import SwitchRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The last word on whether a rule runs for a tenant ("": for all)."""

    rule_id: str
    tenant: str
    enabled: bool
    reason: str
    actor: str
    at: datetime


def set_enabled(
    tx: Session,
    *,
    rule_id: str,
    tenant: str,
    enabled: bool,
    reason: str,
    actor: str,
    now: datetime,
    source_ip: str = "",
) -> None:
    """Switch a rule on or off for ``tenant`` ("": for all) and audit it.

    A rule that is off for all runs for nobody, whatever is said of a single tenant.

    Raises:
        UserError: no reason was given.
    """
    said = reason_of(reason)
    row = SwitchRow(rule_id=rule_of(rule_id), tenant=tenant, enabled=enabled, reason=said, actor=actor[:200], at=now)
    tx.merge(row)
    generation.bump(tx)
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="rule.enable" if enabled else "rule.disable",
        target=f"rule:{rule_id}",
        tenant=tenant,
        reason=said,
        source_ip=source_ip,
    )


def all(tx: Session) -> list[Switch]:  # noqa: A001 - read as switches.all(tx)
    """Give every switch that was ever set, by rule and tenant."""
    rows = tx.scalars(sa.select(SwitchRow).order_by(SwitchRow.rule_id, SwitchRow.tenant))
    return [_switch(row) for row in rows]


def off(tx: Session) -> frozenset[tuple[str, str]]:
    """Give ``(tenant, rule id)`` of what is off now."""
    rows = tx.execute(sa.select(SwitchRow.tenant, SwitchRow.rule_id).where(SwitchRow.enabled.is_(False)))
    return frozenset((tenant, rule_id) for tenant, rule_id in rows)


def of(tx: Session, rule_id: str) -> list[Switch]:
    """Give the switches of one rule, by tenant."""
    rows = tx.scalars(sa.select(SwitchRow).where(SwitchRow.rule_id == rule_id).order_by(SwitchRow.tenant))
    return [_switch(row) for row in rows]


def _switch(row: SwitchRow) -> Switch:
    return Switch(
        rule_id=row.rule_id, tenant=row.tenant, enabled=row.enabled, reason=row.reason, actor=row.actor, at=row.at
    )
