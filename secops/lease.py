"""Who may work on something that one process at a time may work on, however many machines there are.

A lease has an epoch that grows whenever it changes hands. What its holder stores, it stores in a transaction that also
holds the lease: the row is locked, its epoch is that of the holder, or nothing is stored. So a process that was cut off,
stopped or simply slow can do no harm when it comes back, whatever the clocks say; clocks only decide how soon another takes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from secops.db import Base

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

TERM: Final = timedelta(seconds=15)  # without a word from its holder; then another may take over
RENEW: Final = timedelta(seconds=3)


class LeaseRow(Base):
    """Who holds a lease, since which change of hands, until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(200))
    epoch: Mapped[int] = mapped_column(sa.BigInteger)
    until: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a holder shows whenever it stores something."""

    name: str
    holder: str
    epoch: int


class LeaseLost(RuntimeError):  # noqa: N818 - what happened, not what kind of error
    """Another process has taken over; nothing of the transaction may be stored."""


def take(tx: Session, name: str, holder: str, now: datetime, *, assigned: bool = False) -> Lease | None:
    """Take the lease if it is free, expired or was this holder's; None while another holds it.

    ``assigned``: take it from whoever holds it, because somebody else has decided that it is ours.
    """
    _bound(tx)
    _insert(tx, name, now)
    free = sa.true() if assigned else sa.or_(LeaseRow.holder == holder, LeaseRow.until <= now)
    changed = tx.execute(
        sa.update(LeaseRow)
        .where(LeaseRow.name == name, free)
        .values(holder=holder, epoch=LeaseRow.epoch + 1, until=now + TERM)
        .returning(LeaseRow.epoch)
    ).scalar()
    return None if changed is None else Lease(name, holder, changed)


def keep(tx: Session, lease: Lease, now: datetime) -> None:
    """Hold the lease until this transaction ends, and for another term.

    Raises:
        LeaseLost: it has changed hands.
    """
    _bound(tx)
    kept = tx.execute(
        sa.update(LeaseRow)
        .where(LeaseRow.name == lease.name, LeaseRow.epoch == lease.epoch, LeaseRow.holder == lease.holder)
        .values(until=now + TERM)
        .returning(LeaseRow.epoch)
    ).scalar()
    if kept is None:
        raise LeaseLost(f"{lease.name} is no longer {lease.holder}'s (epoch {lease.epoch})")


def give_back(tx: Session, lease: Lease, now: datetime) -> None:
    """Let another take over at once; one that was lost is not touched."""
    tx.execute(sa.update(LeaseRow).where(LeaseRow.name == lease.name, LeaseRow.epoch == lease.epoch).values(until=now))


def holder(tx: Session, name: str) -> str:
    """Who held it last; empty when nobody ever did."""
    row = tx.get(LeaseRow, name)
    return row.holder if row else ""


def _bound(tx: Session) -> None:
    """Let PostgreSQL end this transaction if its process is frozen in the middle: the row's lock would keep others waiting."""
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text(f"SET LOCAL idle_in_transaction_session_timeout = {int(TERM.total_seconds() * 1000)}"))


def _insert(tx: Session, name: str, now: datetime) -> None:
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415 - one of two, chosen by the live connection

    make = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = make(LeaseRow).values(name=name, holder="", epoch=0, until=now)
    tx.execute(row.on_conflict_do_nothing(index_elements=["name"]))
