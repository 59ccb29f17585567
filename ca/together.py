"""Short writes of many threads in one transaction: each is durable when its call returns, and they share the disk's work.

The first to come writes its own and what others have asked for meanwhile; who comes while the disk is busy waits for the
next turn. One alone waits for nobody. A write that fails takes back what it wrote, and nothing of the others'.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from ca.requests import Transactions

MOST: Final = 64  # writes in one transaction; what else uses the database must come to its turn as well

T = TypeVar("T")


class _Asked:
    """A write, and what became of it."""

    __slots__ = ("done", "error", "value", "work")

    def __init__(self, work: Callable[[Session], Any]) -> None:
        self.work = work
        self.value: Any = None
        self.error: Exception | None = RuntimeError("whoever wrote for others was broken off")
        self.done = False


class Together:
    """Writes to one database. Safe to use from many threads."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._asked: deque[_Asked] = deque()
        self._turn = threading.Lock()

    def write(self, work: Callable[[Session], T]) -> T:
        """Do ``work`` in a transaction, perhaps with others'; what it wrote is committed when this returns.

        Whatever ``work`` raises is raised here, and so is what befell the transaction.
        """
        mine = _Asked(work)
        self._asked.append(mine)
        with self._turn:
            while not mine.done:
                self._turn_of([self._asked.popleft() for _ in range(min(len(self._asked), MOST))])
        if mine.error is not None:
            raise mine.error
        return cast("T", mine.value)

    def _turn_of(self, asked: Sequence[_Asked]) -> None:
        try:
            written = self._commit(asked)
        except Exception as error:  # noqa: BLE001 - it is raised by every call that it is about
            for each in asked:
                each.error = error
        else:
            for each in written:
                each.error = None
        finally:
            for each in asked:
                each.done = True

    def _commit(self, asked: Sequence[_Asked]) -> list[_Asked]:
        """Those that were written; the others have their errors."""
        with self._database.begin() as tx:
            if len(asked) == 1:
                asked[0].value = asked[0].work(tx)
                return list(asked)
            return [each for each in asked if _one(tx, each)]


def _one(tx: Session, asked: _Asked) -> bool:
    try:
        with tx.begin_nested():
            asked.value = asked.work(tx)
    except Exception as error:  # noqa: BLE001 - it is raised by the call that asked for this
        asked.error = error
        return False
    return True
