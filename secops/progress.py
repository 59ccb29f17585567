"""How far a consumer of the event log has come, and the state it needs to go on, in the caller's transaction.

Matching stores alerts, correlation state and offset together: after a crash it goes on from exactly there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops.db import Base

if TYPE_CHECKING:
    from collections.abc import Mapping


class CursorRow(Base):
    """The next offset a consumer will read in a partition."""

    __tablename__ = "log_cursors"

    consumer: Mapped[str] = mapped_column(sa.String(50), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int] = mapped_column(sa.BigInteger)


class StateRow(Base):
    """One entry of a consumer's state."""

    __tablename__ = "consumer_state"

    consumer: Mapped[str] = mapped_column(sa.String(50), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(700), primary_key=True)
    value: Mapped[bytes]


def cursor(tx: Session, consumer: str, partition: int) -> int:
    """Give the next offset to read; 0 for a consumer that has not begun."""
    row = tx.get(CursorRow, (consumer, partition))
    return row.next_offset if row else 0


def advance(tx: Session, consumer: str, partition: int, next_offset: int) -> None:
    """Store the next offset to read."""
    tx.merge(CursorRow(consumer=consumer, partition=partition, next_offset=next_offset))


def state(tx: Session, consumer: str) -> dict[str, bytes]:
    """Give the consumer's whole state."""
    rows = tx.execute(sa.select(StateRow.key, StateRow.value).where(StateRow.consumer == consumer))
    return {key: value for key, value in rows}  # noqa: C416 - rows are Row objects, not tuples, to mypy


def save_state(tx: Session, consumer: str, changes: Mapping[str, bytes | None]) -> None:
    """Store changed entries and delete those that became None."""
    gone = [key for key, value in changes.items() if value is None]
    for start in range(0, len(gone), 500):
        part = gone[start : start + 500]
        tx.execute(sa.delete(StateRow).where(StateRow.consumer == consumer, StateRow.key.in_(part)))
    kept: list[dict[str, object]] = [
        {"consumer": consumer, "key": k, "value": v} for k, v in changes.items() if v is not None
    ]
    if kept:
        _upsert(tx, kept)


def _upsert(tx: Session, rows: list[dict[str, object]]) -> None:
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415 - one of two, chosen by the live connection

    make = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = make(StateRow)
    tx.execute(
        statement.on_conflict_do_update(index_elements=["consumer", "key"], set_={"value": statement.excluded.value}),
        rows,
    )
