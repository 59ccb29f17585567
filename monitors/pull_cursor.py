"""Where a pull is: which span of time comes next, and which of its entries are stored already.

Trails arrive late, so the newest minutes are asked for again and again. What is stored is known by a digest of its id; the
digests lie in the log with the records themselves, in the same durable write, so that a kill at any moment loses and
repeats nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_SEEN: Final = 50_000  # digests kept; beyond it the oldest are forgotten and an entry may be stored twice
SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=6)
_PLACE: Final = struct.Struct(">8sI")  # digest, second of the entry's time
_FEW: Final = 5
_MANY: Final = 20
_EDGE: Final = timedelta(seconds=2)  # far ends disagree whether a span holds its last second


class Window(NamedTuple):
    """A span of time to ask for, aware, UTC."""

    start: datetime
    end: datetime


class Item(NamedTuple):
    """One entry of a trail."""

    id: str  # the far end's own; "" when it has none: its content is its id
    at: datetime | None  # when it happened, as far as that can be read
    raw: bytes


class Cursor:
    """The next span's start, and the entries at or after it that are stored."""

    def __init__(self, start: datetime, seen: Mapping[bytes, int] | None = None) -> None:
        self.start = start
        self.seen: dict[bytes, int] = dict(seen or {})  # digest -> second
        self.span = timedelta(minutes=30)

    @classmethod
    def load(cls, position: object, begin: datetime) -> Cursor:
        """Read what ``dump`` gave; a position that cannot be read is as good as none: start at ``begin``."""
        if not isinstance(position, dict):
            return cls(begin)
        try:
            start = datetime.fromisoformat(position["from"])
            seen = dict(_PLACE.iter_unpack(base64.b64decode(position["seen"], validate=True)))
        except (KeyError, TypeError, ValueError, binascii.Error, struct.error):
            return cls(begin)
        return cls(start if start.tzinfo is not None else start.replace(tzinfo=UTC), seen)

    def dump(self, more: Mapping[bytes, int]) -> dict[str, Any]:
        """The position once ``more`` is stored too."""
        seen = {**self.seen, **more}
        newest = list(seen.items())[-MOST_SEEN:]
        packed = b"".join(_PLACE.pack(digest, second) for digest, second in newest)
        return {"from": self.start.isoformat(), "seen": base64.b64encode(packed).decode()}

    def window(self, now: datetime, late: timedelta) -> Window:
        """The next span: up to now when that is near, so that its newest part is asked for again until it is settled."""
        end = self.start + self.span
        return Window(min(self.start, now), now if end >= now - late else end)

    def fresh(self, items: Iterable[Item], window: Window) -> dict[bytes, tuple[int, Item]]:
        """Those of ``items`` that are not stored: digest -> (second, item)."""
        found: dict[bytes, tuple[int, Item]] = {}
        for item in items:
            digest = hashlib.sha256(item.id.encode() if item.id else b"\0" + item.raw).digest()[:8]
            if digest not in self.seen:
                at = min(max(item.at or window.end, window.start), window.end)
                found.setdefault(digest, (int(at.timestamp()), item))
        return found

    def add(self, stored: Mapping[bytes, int]) -> None:
        """Remember what is durable now."""
        self.seen.update(stored)
        while len(self.seen) > MOST_SEEN:
            del self.seen[next(iter(self.seen))]

    def finish(self, window: Window, now: datetime, late: timedelta, pages: int) -> bool:
        """Go on behind ``window``, all of which is stored; say whether there is more to ask for at once."""
        self.start = max(self.start, min(window.end, now - late))
        settled = int((self.start - _EDGE).timestamp())
        self.seen = {digest: second for digest, second in self.seen.items() if second >= settled}
        if pages > _MANY:
            self.span = max(SHORTEST, self.span / 2)
        elif pages <= _FEW:
            self.span = min(LONGEST, self.span * 2)
        return window.end < now - late
