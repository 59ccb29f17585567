"""What a correlation remembers of one group key, and what it makes of each further hit.

Rules of every window here:

* time is the event's own, in whole microseconds; the window is half open: of two hits exactly one timespan apart only
  one is inside (``end - span < time <= end``);
* a window ends at some hit; a hit that arrives out of order is put in its place and every window it lies in is looked
  at again, so the order of arrival (within the lateness) does not change the verdict;
* what is kept is bounded by ``limit`` hits; the oldest are dropped and counted.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from secops.match.correlations import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secops.match.rule import Correlation, CorrelationType

NEVER: Final = -(1 << 62)  # before every time
MICROSECONDS: Final = 1_000_000
_SPARE: Final = 64  # entries out of every window that may stay in the lists until these are cut


class Entry(NamedTuple):
    """One hit inside a window."""

    time: int  # microseconds since 1970
    value: Any  # what the kind looks at: 0, a text, a number, or the position of a rule
    event_id: str


class Window:
    """Hits of one key, in order of event time; hits of one instant in order of arrival."""

    kinds: ClassVar[tuple[CorrelationType, ...]] = ()
    kept: ClassVar[int] = 1024  # hits kept of a key at least
    most_kept: ClassVar[int] = MAX_COUNT  # and at most, whatever the rule asks for
    counts: ClassVar[bool] = False  # whether ``most`` tells what the measure cannot exceed

    __slots__ = ("_entries", "_head", "_rising", "_times", "body", "compare", "dropped", "limit", "span")

    def __init__(self, body: Correlation, entries: Sequence[Entry] = ()) -> None:
        self.body = body
        self.span = int(body.timespan.total_seconds() * MICROSECONDS)
        asked = 4 * int(max((number for _, number in body.conditions), default=0))
        self.limit = min(max(self.kept, asked), self.most_kept)
        self.dropped = 0
        self.compare = comparison(body.conditions)  # whether a measure satisfies every condition of the rule
        self._rising = self.counts and all(name in {"gt", "gte"} for name, _ in body.conditions)
        self._times: list[int] = []
        self._entries: list[Entry] = []
        self._head = 0  # entries before it are out of every window that can still be asked about
        self.reset()
        for entry in entries:
            self.push(entry)

    def __len__(self) -> int:
        return len(self._times) - self._head

    def push(self, entry: Entry) -> None:
        """Put a hit at the end, which none of the others is after."""
        self._times.append(entry.time)
        self._entries.append(entry)
        self.enter(entry)

    @property
    def newest(self) -> int:
        """Time of the latest hit; ``NEVER`` when there is none."""
        return self._times[-1] if self._times else NEVER

    def entries(self) -> list[Entry]:
        """What is kept, by time."""
        return self._entries[self._head :]

    def inside(self, end: int) -> list[Entry]:
        """Hits of the window that ends at a time."""
        return self._entries[bisect_right(self._times, end - self.span, self._head) : bisect_right(self._times, end)]

    def add(self, entry: Entry, lateness: int, after: int = NEVER) -> int | None:
        """Take a hit; returns the end, not before ``after``, of a window that holds it and satisfies the rule, or None."""
        times = self._times
        time = entry.time
        if not times or time >= times[-1]:
            times.append(time)
            self._entries.append(entry)
            self.enter(entry)
            size = len(times) - self._head
            if size > self.limit or (size > _SPARE and times[self._head + _SPARE] <= time - self.span - lateness):
                self._forget(time - self.span - lateness)
            return time if time >= after and self.satisfied() else None
        at = bisect_right(times, time)
        times.insert(at, time)
        self._entries.insert(at, entry)
        self._head += at < self._head  # among those given up for want of room
        self.inserted(entry, at)
        self._forget(times[-1] - self.span - lateness)
        return self._end_around(time, after)

    def _end_around(self, time: int, after: int) -> int | None:
        """The first end, not before ``after``, of a window that a hit out of order lies in and that satisfies the rule.

        All these windows are gone through once, sliding; where the rule only asks for much, not even that when there
        cannot be as much.
        """
        times, first = self._times, max(time, after)
        low, high = bisect_right(times, time - self.span, self._head), bisect_left(times, time + self.span)
        if first > times[-1] or (self._rising and not self.compare(self.most(low, high))):
            return None
        slid = type(self)(self.body)
        for at in range(low, high):
            entry = self._entries[at]
            slid.push(entry)
            if entry.time >= first and (at + 1 == high or times[at + 1] != entry.time) and slid.satisfied():
                return entry.time
        return None

    def most(self, low: int, high: int) -> float:
        """What the measure of any window of the hits from ``low`` to ``high`` cannot exceed."""
        return high - low

    def _forget(self, horizon: int) -> None:
        """Drop what no window can need any more, and what exceeds the limit."""
        times, head = self._times, self._head
        while times[head] <= horizon:
            head += 1
        if len(times) - head > self.limit:
            head += 1
            self.dropped += 1
        if head != self._head:
            self._head = head
            self.trimmed()
            if head > _SPARE + len(times) // 2:
                del times[:head], self._entries[:head]
                self._head = 0
                self.shifted(head)

    def inserted(self, entry: Entry, at: int) -> None:  # noqa: ARG002 - see _Sliding
        """A hit out of order was put in its place: bring what was computed up to date, by default from the beginning."""
        self.reset()
        for each in self.entries():
            self.enter(each)

    def reset(self) -> None:
        """Forget what was computed along the way."""

    def trimmed(self) -> None:
        """Entries before ``_head`` are gone for good."""

    def shifted(self, count: int) -> None:
        """The first entries, all before the head, were removed from the lists."""

    def enter(self, entry: Entry) -> None:
        """A hit not older than all others came in."""

    def satisfied(self) -> bool:
        """Whether the window that ends at the newest hit satisfies the rule."""
        return self.holds(self.inside(self.newest))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether these hits, the content of one window, satisfy the rule."""
        raise NotImplementedError


def comparison(conditions: Sequence[tuple[str, float]]) -> Callable[[float], bool]:
    """The function that says whether a measure satisfies all conditions: one call for the usual one of them."""
    tests = tuple((COMPARE[name], number) for name, number in conditions)
    if len(tests) == 1:
        return partial(_SWAPPED[conditions[0][0]], conditions[0][1])
    return lambda measure: all(compares(measure, number) for compares, number in tests)


COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "eq": operator.eq, "neq": operator.ne,
}  # fmt: skip
_SWAPPED: Final[Mapping[str, Callable[[float, float], bool]]] = {  # the number first: what ``partial`` can bind
    "lt": operator.gt, "lte": operator.ge, "gt": operator.lt, "gte": operator.le, "eq": operator.eq, "neq": operator.ne,
}  # fmt: skip
