"""The outbox: a message is stored in the transaction that caused it, and handled afterwards, at least once.

A worker claims messages with a lease, calls the handlers in one transaction with the mark "done" (so a handler's own
rows and the mark commit together: in effect once), retries with backoff, and buries a message after ``MAX_ATTEMPTS``.
An *effect* reaches outside (an HTTP call); it runs before that transaction, so that no network wait holds the write lock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops.db import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from secops.db import Database

MAX_ATTEMPTS = 8
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A new alert was stored."""

    alert_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried:
    """A message was given up after its last attempt; the service raises an alert on itself."""

    outbox_id: int
    kind: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """A login ended (logout, revocation); relying parties are told by back-channel logout."""

    session_id: str
    account_id: str


Message: TypeAlias = Raised | Buried | SessionEnded
KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Raised, Buried, SessionEnded)}
Handler: TypeAlias = "Callable[[Session, Any, datetime], None]"
Effect: TypeAlias = "Callable[[Any, datetime], None]"


class OutboxRow(Base):
    """A message on its way."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index("ix_outbox_due", "done_at", "dead_at", "due_at"),)

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(50))
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(sa.String(1000), default="")


def publish(tx: Session, message: Message, now: datetime) -> None:
    """Store ``message`` in the caller's transaction."""
    tx.add(OutboxRow(kind=type(message).__name__, body=asdict(message), created_at=now, due_at=now))


def drain(
    database: Database,
    handlers: Mapping[type, list[Handler]],
    now: Callable[[], datetime],
    *,
    limit: int = 100,
    effects: Mapping[type, list[Effect]] | None = None,
    kinds: Collection[type] | None = None,
) -> int:
    """Handle up to ``limit`` due messages and give how many were tried.

    ``kinds`` limits a worker to some kinds, so that slow effects outside never delay the messages inside; a kind that
    this version does not know is everybody's, to be buried.
    """
    names = None if kinds is None else [kind.__name__ for kind in kinds]
    tried = 0
    while tried < limit and (claim := _claim(database, names, now())) is not None:
        tried += 1
        try:
            message = _message(claim)
            for effect in (effects or {}).get(type(message), []):
                effect(message, now())
            with database.begin() as tx:
                _handle(tx, claim, message, handlers, now())
        except Exception as error:  # noqa: BLE001 - the loop guard: one bad message must not stop the others
            with database.begin() as tx:
                _failed(tx, claim, repr(error), now())
    return tried


class _Claim(NamedTuple):
    """A message somebody works on; a higher attempt means that the lease ran out and another worker has it."""

    row_id: int
    kind: str
    body: dict[str, Any]
    attempt: int


def _message(claim: _Claim) -> Message:
    """Read a message back; one from another version of the program fails here, inside the guard, and is buried in the end."""
    if claim.attempt > MAX_ATTEMPTS:
        raise RuntimeError(f"the worker ended during attempt {MAX_ATTEMPTS}")
    return KINDS[claim.kind](**claim.body)


def _claim(database: Database, names: list[str] | None, now: datetime) -> _Claim | None:
    """Lease the oldest due message by moving its due time behind the lease."""
    due = (
        sa.select(OutboxRow)
        .where(OutboxRow.done_at.is_(None), OutboxRow.dead_at.is_(None), OutboxRow.due_at <= now)
        .where(sa.true() if names is None else OutboxRow.kind.in_(names) | OutboxRow.kind.not_in(list(KINDS)))
        .order_by(OutboxRow.due_at, OutboxRow.id)
        .limit(1)
    )
    with database.read() as tx:  # an idle outbox must not take the write lock five times a second
        if tx.scalar(due) is None:
            return None
    with database.begin() as tx:
        row = tx.scalar(due.with_for_update(skip_locked=True))
        if row is None:
            return None
        row.due_at = now + LEASE
        row.attempts += 1
        return _Claim(row.id, row.kind, row.body, row.attempts)


def _handle(
    tx: Session, claim: _Claim, message: Message, handlers: Mapping[type, list[Handler]], now: datetime
) -> None:
    row = tx.get_one(OutboxRow, claim.row_id, with_for_update=True)
    if row.done_at is not None or row.dead_at is not None:
        return
    for handler in handlers.get(type(message), []):
        handler(tx, message, now)
    row.done_at = now


def _failed(tx: Session, claim: _Claim, error: str, now: datetime) -> None:
    row = tx.get_one(OutboxRow, claim.row_id, with_for_update=True)
    if row.done_at is not None or row.dead_at is not None or row.attempts != claim.attempt:
        return  # the lease ran out meanwhile: the message is somebody else's
    row.error = error[:1000]
    if row.attempts >= MAX_ATTEMPTS:
        row.dead_at = now
        if row.kind != Buried.__name__:  # a buried burial stays in the table; announcing it would never end
            publish(tx, Buried(outbox_id=row.id, kind=row.kind, error=row.error), now)
    else:
        row.due_at = now + timedelta(seconds=2**row.attempts)
