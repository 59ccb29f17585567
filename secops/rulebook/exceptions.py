"""Exceptions to rules: which events a rule is not to report, why, on whose word and until when.

They are kept by the rule's id and not in its file, so an update of the rules leaves them in force. The condition is kept
as its author wrote it; whoever adds one has it read first, and the matcher reads it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import audit
from secops.errors import UserError
from secops.rulebook import generation
from secops.rulebook.said import reason_of, rule_of
from secops.rulebook.tables import ExceptionRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

MAX_CONDITION: Final = 16_384  # characters
MAX_OF_RULE: Final = 1000  # in force at once for one tenant, so that none uses up the room of another


@dataclass(frozen=True, slots=True, kw_only=True)
class Excepted:
    """One exception as it stands."""

    id: int
    rule_id: str
    tenant: str  # "": all
    condition: str
    reason: str
    actor: str
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    end_reason: str

    def active(self, now: datetime) -> bool:
        """Whether it is in force."""
        return self.ended_at is None and (self.expires_at is None or now < self.expires_at)


def add(
    tx: Session,
    *,
    rule_id: str,
    tenant: str,
    condition: str,
    reason: str,
    actor: str,
    now: datetime,
    expires_at: datetime | None,
    source_ip: str = "",
) -> int:
    """Except what ``condition`` describes from a rule, for ``tenant`` ("": for all); give its id, and audit it.

    Raises:
        UserError: no reason, an expiry that has passed, a condition that is empty or too long, or too many already.
    """
    said = reason_of(reason)
    _check(tx, (rule_of(rule_id), tenant), condition, expires_at, now)
    row = ExceptionRow(
        rule_id=rule_id,
        tenant=tenant,
        condition=condition,
        reason=said,
        actor=actor[:200],
        created_at=now,
        expires_at=expires_at,
        ended_at=None,
    )
    tx.add(row)
    tx.flush()
    generation.bump(tx)
    expiry = expires_at.isoformat() if expires_at else None
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="rule.except",
        target=f"rule:{rule_id}",
        tenant=tenant,
        reason=said,
        source_ip=source_ip,
        detail={"exception": row.id, "condition": condition[:2000], "expires_at": expiry},
    )
    return row.id


def _check(tx: Session, of_whom: tuple[str, str], condition: str, expires_at: datetime | None, now: datetime) -> None:
    if not condition.strip() or len(condition) > MAX_CONDITION:
        raise UserError(
            "exception.condition",
            f"请给出例外条件（字段: 值），不超过 {MAX_CONDITION} 个字符。",
            f"Say what is excepted (field: value), in at most {MAX_CONDITION} characters.",
        )
    if expires_at is not None and expires_at <= now:
        raise UserError(
            "exception.expiry", "到期时间已过，请填写将来的时间。", "The expiry has passed; give a later one."
        )
    rule_id, tenant = of_whom
    if sum(each.active(now) and each.tenant == tenant for each in of(tx, rule_id)) >= MAX_OF_RULE:
        raise UserError(
            "exception.many",
            f"规则 {rule_id} 已有 {MAX_OF_RULE} 条有效例外；请合并，或修改规则。",
            f"Rule {rule_id} has {MAX_OF_RULE} exceptions in force; join some, or change the rule.",
        )


def end(tx: Session, exception_id: int, *, actor: str, reason: str, now: datetime, source_ip: str = "") -> None:
    """End an exception before its time, and audit it.

    Raises:
        UserError: there is none, it has ended already, or no reason was given.
    """
    said = reason_of(reason)
    row = tx.get(ExceptionRow, exception_id, with_for_update=True)
    if row is None or row.ended_at is not None:
        raise UserError(
            "exception.unknown",
            f"没有有效的例外 {exception_id}；secops rules exceptions 可列出。",
            f"No exception {exception_id} is in force; secops rules exceptions lists them.",
        )
    row.ended_at, row.ended_by, row.end_reason = now, actor[:200], said
    tx.flush()
    generation.bump(tx)
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="rule.unexcept",
        target=f"rule:{row.rule_id}",
        tenant=row.tenant,
        reason=said,
        source_ip=source_ip,
        detail={"exception": row.id},
    )


def get(tx: Session, exception_id: int) -> Excepted:
    """Give one exception, in force or not.

    Raises:
        UserError: there is none.
    """
    row = tx.get(ExceptionRow, exception_id)
    if row is None:
        raise UserError("exception.unknown", f"没有例外 {exception_id}。", f"There is no exception {exception_id}.")
    return _excepted(row)


def active(tx: Session, now: datetime) -> list[Excepted]:
    """Give those in force, by rule and age."""
    standing = sa.and_(
        ExceptionRow.ended_at.is_(None), sa.or_(ExceptionRow.expires_at.is_(None), ExceptionRow.expires_at > now)
    )
    rows = tx.scalars(sa.select(ExceptionRow).where(standing).order_by(ExceptionRow.rule_id, ExceptionRow.id))
    return [_excepted(row) for row in rows]


def of(tx: Session, rule_id: str) -> list[Excepted]:
    """Give all that a rule has or had, the newest first."""
    rows = tx.scalars(sa.select(ExceptionRow).where(ExceptionRow.rule_id == rule_id).order_by(ExceptionRow.id.desc()))
    return [_excepted(row) for row in rows]


def all(tx: Session) -> list[Excepted]:  # noqa: A001 - read as exceptions.all(tx)
    """Give every exception there is or was, the newest first."""
    return [_excepted(row) for row in tx.scalars(sa.select(ExceptionRow).order_by(ExceptionRow.id.desc()))]


def orphans(excepted: Iterable[Excepted], rule_ids: Collection[str]) -> list[Excepted]:
    """Give those whose rule is not among ``rule_ids``: they wait for its return, and somebody should know."""
    return [each for each in excepted if each.rule_id not in rule_ids]


def _excepted(row: ExceptionRow) -> Excepted:
    return Excepted(
        id=row.id,
        rule_id=row.rule_id,
        tenant=row.tenant,
        condition=row.condition,
        reason=row.reason,
        actor=row.actor,
        created_at=row.created_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        end_reason=row.end_reason,
    )
