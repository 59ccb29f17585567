"""Who is logged in to the demo system: in memory, bounded, forgotten at restart."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime, timedelta

MOST: Final = 10_000
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person who is logged in."""

    claims: dict[str, Any]  # of the ID token
    id_token: str
    since: datetime  # logged in to this system


class Shelf(Generic[Value]):
    """Keeps values by the hash of a secret name, each for ``lifetime``; when full, the oldest goes."""

    def __init__(self, lifetime: timedelta, most: int = MOST) -> None:
        self._lifetime = lifetime
        self._most = most
        self._values: OrderedDict[str, tuple[datetime, Value]] = OrderedDict()

    def put(self, name: str, value: Value, now: datetime) -> None:
        """Keep ``value``."""
        while self._values and (len(self._values) >= self._most or self._over(next(iter(self._values.values())), now)):
            self._values.popitem(last=False)
        self._values[digest(name)] = (now, value)

    def get(self, name: str, now: datetime) -> Value | None:
        """Look."""
        kept = self._values.get(digest(name))
        return kept[1] if kept is not None and not self._over(kept, now) else None

    def take(self, name: str, now: datetime) -> Value | None:
        """Look and forget."""
        value = self.get(name, now)
        self._values.pop(digest(name), None)
        return value

    def values(self) -> list[tuple[str, Value]]:
        """Give everything with its hashed name."""
        return [(name, value) for name, (_, value) in self._values.items()]

    def drop(self, hashed: str) -> None:
        """Forget by hashed name."""
        self._values.pop(hashed, None)

    def _over(self, kept: tuple[datetime, Value], now: datetime) -> bool:
        return now - kept[0] >= self._lifetime


class Visitors(Shelf[Visitor]):
    """The logged-in people; a login that the issuer ended does not come back."""

    def __init__(self, lifetime: timedelta) -> None:
        super().__init__(lifetime)
        self._ended: Shelf[bool] = Shelf(lifetime)

    def end(self, claims: dict[str, Any], now: datetime) -> int:
        """End what a logout token names: one login (``sid``), or all of a person (``sub``); give how many ended."""
        if "sid" in claims:
            self._ended.put(str(claims["sid"]), True, now)
        name = "sid" if "sid" in claims else "sub"
        gone = [key for key, visitor in self.values() if visitor.claims.get(name) == claims[name]]
        for key in gone:
            self.drop(key)
        return len(gone)

    def ended(self, sid: str, now: datetime) -> bool:
        """Tell whether the issuer ended this login already."""
        return self._ended.get(sid, now) is not None


def digest(name: str) -> str:
    """Give the name under which a secret is kept."""
    return hashlib.sha256(name.encode()).hexdigest()
