"""What a correlation remembers of one group key, and what it makes of each further hit.

Rules of every window here:
* time is the event's own, in whole microseconds; the window is half open: of two hits exactly one timespan apart only
  one is inside (``end - span < time <= end``);
* a window ends at some hit; a hit that arrives out of order is put in its place and every window it lies in is looked
  at again, so the order of arrival (within the lateness) does not change the verdict;
* what is kept is bounded by ``limit`` hits; the oldest are dropped and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from secops.match.rule import Correlation, CorrelationType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from secops.match.windows import Window as AnyWindow

LIMIT: Final = 4096  # hits kept per key at least; more when the rule counts further


class Entry(NamedTuple):
    """One hit inside a window."""

    time: int  # microseconds since 1970
    value: Any  # what the kind looks at: None, a text, a number, or the position of a rule
    event_id: str


class Window:
    """Hits of one key, in order of event time."""

    kinds: ClassVar[tuple[CorrelationType, ...]] = ()

    def __init__(self, body: Correlation, entries: Sequence[Entry] = ()) -> None:
        self.body = body
        self.span = int(body.timespan.total_seconds() * 1_000_000)
        self.limit = max(LIMIT, 2 * int(max((number for _, number in body.conditions), default=0)))
        self.dropped = 0
        self._times: list[int] = []
        self._entries: list[Entry] = []
        self._head = 0  # entries before it are out of every window that can still be asked about
        self.reset()
        for entry in entries:
            self._append(entry)

    def __len__(self) -> int:
        return len(self._times) - self._head

    @property
    def newest(self) -> int:
        """Time of the latest hit; only for a window that has one."""
        return self._times[-1]

    def entries(self) -> list[Entry]:
        """What is kept, by time."""
        return self._entries[self._head :]

    def inside(self, end: int) -> list[Entry]:
        """Hits of the window that ends at a time."""
        return self._entries[bisect_right(self._times, end - self.span, self._head) : bisect_right(self._times, end)]

    def add(self, entry: Entry, lateness: int) -> int | None:
        """Take a hit; returns the end of a window that holds it and satisfies the rule, or None."""
        if not self._times or entry.time >= self._times[-1]:
            self._append(entry)
            self._forget(lateness)
            return entry.time if self.satisfied() else None
        at = bisect_right(self._times, entry.time)
        self._times.insert(at, entry.time)
        self._entries.insert(at, entry)
        self._forget(lateness)
        self._rebuild()
        return next((end for end in self._ends(entry.time) if self.holds(self.inside(end))), None)

    def _ends(self, time: int) -> Iterator[int]:
        """Ends of the windows that a hit lies in, each once."""
        first, last = bisect_left(self._times, time, self._head), bisect_left(self._times, time + self.span)
        yield from dict.fromkeys(self._times[first:last])

    def _append(self, entry: Entry) -> None:
        self._times.append(entry.time)
        self._entries.append(entry)
        self.enter(entry)

    def _forget(self, lateness: int) -> None:
        """Drop what no window can need any more, and what exceeds the limit."""
        horizon = self._times[-1] - self.span - lateness
        while self._times[self._head] <= horizon:
            self._head += 1
        if len(self._times) - self._head > self.limit:
            self._head += 1
            self.dropped += 1
        if self._head > len(self._times) // 2 + 16:
            del self._times[: self._head]
            del self._entries[: self._head]
            self.compacted(self._head)
            self._head = 0

    def _rebuild(self) -> None:
        self.reset()
        for entry in self.entries():
            self.enter(entry)

    def reset(self) -> None:
        """Forget what was computed along the way."""

    def compacted(self, count: int) -> None:
        """The first entries were removed from the lists."""

    def enter(self, entry: Entry) -> None:
        """A hit newer than all others came in."""

    def satisfied(self) -> bool:
        """Whether the window that ends at the newest hit satisfies the rule."""
        return self.holds(self.inside(self.newest))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether these hits, the content of one window, satisfy the rule."""
        raise NotImplementedError

    def compare(self, measure: float) -> bool:
        """Whether the measure satisfies every condition of the rule."""
        return all(_COMPARE[operator](measure, number) for operator, number in self.body.conditions)


_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "lt": lambda measure, number: measure < number,
    "lte": lambda measure, number: measure <= number,
    "gt": lambda measure, number: measure > number,
    "gte": lambda measure, number: measure >= number,
    "eq": lambda measure, number: measure == number,
    "neq": lambda measure, number: measure != number,
}


class EventCount(Window):
    """How many hits."""

    kinds = (CorrelationType.EVENT_COUNT,)

    def satisfied(self) -> bool:
        """See Window."""
        times = self._times
        return self.compare(len(times) - bisect_right(times, times[-1] - self.span, self._head))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(len(entries))


class ValueCount(Window):
    """How many different values; the counts of the newest window are kept up to date hit by hit."""

    kinds = (CorrelationType.VALUE_COUNT,)

    def reset(self) -> None:
        """See Window."""
        self._counts = Counter[str]()
        self._oldest = self._head

    def compacted(self, count: int) -> None:
        """See Window."""
        self._oldest = max(0, self._oldest - count)

    def enter(self, entry: Entry) -> None:
        """See Window."""
        counts = self._counts
        counts[entry.value] += 1
        start = entry.time - self.span
        while self._times[self._oldest] <= start:
            value = self._entries[self._oldest].value
            if counts[value] == 1:
                del counts[value]
            else:
                counts[value] -= 1
            self._oldest += 1

    def satisfied(self) -> bool:
        """See Window."""
        return self.compare(len(self._counts))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(len({entry.value for entry in entries}))


class Temporal(Window):
    """Hits of all the rules, in any order; a condition, when there is one, is on how many of the rules."""

    kinds = (CorrelationType.TEMPORAL,)

    def reset(self) -> None:
        """See Window."""
        self._latest: dict[int, int] = {}

    def enter(self, entry: Entry) -> None:
        """See Window."""
        self._latest[entry.value] = entry.time

    def satisfied(self) -> bool:
        """See Window."""
        start = self._times[-1] - self.span
        return self._enough(sum(time > start for time in self._latest.values()))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self._enough(len({entry.value for entry in entries}))

    def _enough(self, rules: int) -> bool:
        return self.compare(rules) if self.body.conditions else rules == len(self.body.rules)


class TemporalOrdered(Window):
    """Hits of all the rules in the order they are written; hits of one instant count as being in order."""

    kinds = (CorrelationType.TEMPORAL_ORDERED,)

    def reset(self) -> None:
        """See Window."""
        self._starts: list[int | None] = [None] * len(self.body.rules)
        self._complete = False

    def enter(self, entry: Entry) -> None:
        """Extend chains: ``_starts[i]`` is the latest start of a chain over the rules up to i."""
        self._complete = _extend(self._starts, entry, self.span)

    def satisfied(self) -> bool:
        """See Window."""
        return self._complete

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        starts: list[int | None] = [None] * len(self.body.rules)
        return any([_extend(starts, entry, self.span) for entry in entries])  # noqa: C419 - every entry must be taken in, not only up to the first that completes


def _extend(starts: list[int | None], entry: Entry, span: int) -> bool:
    position: int = entry.value
    if position == 0:
        starts[0] = entry.time
    else:
        start = starts[position - 1]
        if start is None or entry.time - start >= span:
            return False
        starts[position] = start
    return position == len(starts) - 1


class Numeric(Window):
    """Sum, average, percentile or median of a numeric field."""

    kinds = (
        CorrelationType.VALUE_SUM,
        CorrelationType.VALUE_AVG,
        CorrelationType.VALUE_PERCENTILE,
        CorrelationType.VALUE_MEDIAN,
    )

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        numbers = sorted(entry.value for entry in entries)
        return bool(numbers) and self.compare(self._measure(numbers))

    def _measure(self, numbers: list[float]) -> float:
        kind = self.body.type
        if kind is CorrelationType.VALUE_SUM:
            return sum(numbers)
        if kind is CorrelationType.VALUE_AVG:
            return sum(numbers) / len(numbers)
        return percentile(numbers, 50.0 if kind is CorrelationType.VALUE_MEDIAN else self.body.percentile)


def percentile(numbers: Sequence[float], share: float) -> float:
    """Percentile of sorted numbers, interpolated linearly between neighbours."""
    place = (len(numbers) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)


def window_of(body: Correlation, entries: Sequence[Entry] = ()) -> AnyWindow:
    """A window of the correlation's kind."""
    kinds: tuple[type[Window], ...] = (EventCount, ValueCount, Temporal, TemporalOrdered, Numeric)
    return next(kind for kind in kinds if body.type in kind.kinds)(body, entries)
