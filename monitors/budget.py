from __future__ import annotations

from typing import Final

_MOST_ACCOUNTS: Final = 1000


class Budget:
    """Requests of one account at a far end: a slot every so often, and none while the far end asked to be left alone."""

    def __init__(self) -> None:
        self._free = 0.0  # when the next request may go, on the caller's clock

    def reserve(self, now: float, per_second: float) -> float:
        """Take the next slot; give the seconds to wait for it."""
        slot = max(now, self._free)
        self._free = slot + 1 / per_second
        return slot - now

    def hold(self, until: float) -> None:
        """Give out no slot before ``until``."""
        self._free = max(self._free, until)


class Budgets:
    """Budgets by account, shared by every collector that asks in an account's name, whatever its region."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}

    def of(self, account: str) -> Budget:
        """The budget of ``account``; beyond a thousand accounts all share one."""
        if account not in self._budgets and len(self._budgets) >= _MOST_ACCOUNTS:
            account = ""
        return self._budgets.setdefault(account, Budget())
