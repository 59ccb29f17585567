"""Counts changes of switches and exceptions: the matcher looks at one number and reads the rest only when it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from secops.rulebook.tables import GenerationRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ONLY = 1


def current(tx: Session) -> int:
    """Give the number of changes so far."""
    return tx.scalar(sa.select(GenerationRow.generation).where(GenerationRow.id == _ONLY)) or 0


def bump(tx: Session) -> None:
    """Count one more change, in the transaction that makes it."""
    row = tx.get(GenerationRow, _ONLY, with_for_update=True)
    if row is None:
        tx.add(GenerationRow(id=_ONLY, generation=1))
    else:
        row.generation += 1
    tx.flush()
