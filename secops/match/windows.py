"""What a correlation remembers of one group key, and what it makes of each further hit.

Rules of every window here:

* time is the event's own, in whole microseconds; the window is half open: of two hits exactly one timespan apart only
  one is inside (``end - span < time <= end``);
* a window ends at some hit; a hit that arrives out of order is put in its place and every window it lies in is looked
  at again, so the order of arrival (within the lateness) does not change the verdict;
* what is kept is bounded by ``limit`` hits; the oldest are dropped and counted.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right, insort
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeAlias

from secops.match.correlations import MAX_COUNT
from secops.match.rule import Correlation, CorrelationType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from secops.match.rule import Alternative

Alternatives: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Like ``Alternative``, rules written as their positions in the correlation."""
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
    counts: ClassVar[bool] = False  # whether the measure never exceeds the number of hits

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

        All these windows are gone through once, sliding; where the rule only asks for many, not even that when there
        cannot be as many.
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

    def most(self, low: int, high: int) -> int:
        """What a count over any window of the hits from ``low`` to ``high`` cannot exceed."""
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


class EventCount(Window):
    """How many hits."""

    kinds = (CorrelationType.EVENT_COUNT,)
    counts = True

    __slots__ = ()

    def inserted(self, entry: Entry, at: int) -> None:
        """See Window; nothing is computed along the way."""

    def satisfied(self) -> bool:
        """See Window."""
        times = self._times
        return self.compare(len(times) - bisect_right(times, times[-1] - self.span, self._head))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(len(entries))


class _Sliding(Window):
    """Keeps a summary of the newest window up to date, hit by hit."""

    __slots__ = ("_oldest",)

    def reset(self) -> None:
        """See Window."""
        self._oldest = self._head  # first entry that the summary holds
        self.clear()

    def enter(self, entry: Entry) -> None:
        """See Window."""
        self.include(entry.value)
        start, times = entry.time - self.span, self._times
        while times[self._oldest] <= start:
            self.exclude(self._entries[self._oldest].value)
            self._oldest += 1

    def inserted(self, entry: Entry, at: int) -> None:  # noqa: ARG002 - see Window
        """See Window."""
        if entry.time > self.newest - self.span:
            self.include(entry.value)
        else:
            self._oldest += 1

    def trimmed(self) -> None:
        """See Window."""
        while self._oldest < self._head:
            self.exclude(self._entries[self._oldest].value)
            self._oldest += 1

    def shifted(self, count: int) -> None:
        """See Window."""
        self._oldest -= count

    def clear(self) -> None:
        """Empty the summary."""
        raise NotImplementedError

    def include(self, value: Any) -> None:  # noqa: ANN401 - see Entry
        """Add a value to the summary."""
        raise NotImplementedError

    def exclude(self, value: Any) -> None:  # noqa: ANN401 - see Entry
        """Take a value out of the summary."""
        raise NotImplementedError


class ValueCount(_Sliding):
    """How many different values."""

    kinds = (CorrelationType.VALUE_COUNT,)
    kept = 32_768
    counts = True

    __slots__ = ("_counts",)

    def clear(self) -> None:
        """See _Sliding."""
        self._counts: dict[str, int] = {}

    def enter(self, entry: Entry) -> None:
        """See Window; the same as in _Sliding, without a call for each step: the hot path of a value_count."""
        counts, value = self._counts, entry.value
        counts[value] = counts.get(value, 0) + 1
        start, times, oldest = entry.time - self.span, self._times, self._oldest
        while times[oldest] <= start:
            value = self._entries[oldest].value
            left = counts[value] - 1
            if left:
                counts[value] = left
            else:
                del counts[value]
            oldest += 1
        self._oldest = oldest

    def include(self, value: str) -> None:
        """See _Sliding."""
        self._counts[value] = self._counts.get(value, 0) + 1

    def exclude(self, value: str) -> None:
        """See _Sliding."""
        left = self._counts[value] - 1
        if left:
            self._counts[value] = left
        else:
            del self._counts[value]

    def most(self, low: int, high: int) -> int:
        """See Window: what the newest window holds, and at most one value for each hit before it."""
        return min(high - low, len(self._counts) + max(0, self._oldest - low))

    def satisfied(self) -> bool:
        """See Window."""
        return self.compare(len(self._counts))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(len({entry.value for entry in entries}))


class Numeric(_Sliding):
    """Sum, average, percentile or median of a numeric field; the window's values are kept sorted."""

    kinds = (
        CorrelationType.VALUE_SUM,
        CorrelationType.VALUE_AVG,
        CorrelationType.VALUE_PERCENTILE,
        CorrelationType.VALUE_MEDIAN,
    )
    kept = 8192
    most_kept = 65_536  # each is looked at again at every hit

    __slots__ = ("_sorted",)

    def clear(self) -> None:
        """See _Sliding."""
        self._sorted: list[float] = []

    def include(self, value: float) -> None:
        """See _Sliding."""
        insort(self._sorted, value)

    def exclude(self, value: float) -> None:
        """See _Sliding."""
        del self._sorted[bisect_left(self._sorted, value)]

    def satisfied(self) -> bool:
        """See Window."""
        return self.compare(measure(self.body, self._sorted))

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(measure(self.body, sorted(entry.value for entry in entries)))


def measure(body: Correlation, numbers: Sequence[float]) -> float:
    """What a value_sum, _avg, _percentile or _median rule compares; numbers are sorted, at least one."""
    if body.type is CorrelationType.VALUE_SUM:
        return total(numbers)
    if body.type is CorrelationType.VALUE_AVG:
        return total(numbers) / len(numbers)
    return percentile(numbers, 50.0 if body.type is CorrelationType.VALUE_MEDIAN else body.percentile)


def total(numbers: Iterable[float]) -> float:
    """The sum, without loss; infinite when it is beyond what a number holds."""
    try:
        return math.fsum(numbers)
    except OverflowError:
        return sum(numbers)


def percentile(numbers: Sequence[float], share: float) -> float:
    """Percentile of sorted numbers, interpolated linearly between neighbours."""
    place = (len(numbers) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)


class Temporal(Window):
    """Hits of all the rules, in any order; a condition, when there is one, is on how many of the rules, or on which."""

    kinds = (CorrelationType.TEMPORAL,)

    __slots__ = ("_latest",)

    def reset(self) -> None:
        """See Window."""
        self._latest: dict[int, int] = {}

    def enter(self, entry: Entry) -> None:
        """See Window."""
        self._latest[entry.value] = entry.time

    def inserted(self, entry: Entry, at: int) -> None:  # noqa: ARG002 - see Window
        """See Window."""
        self._latest[entry.value] = max(entry.time, self._latest.get(entry.value, NEVER))

    def satisfied(self) -> bool:
        """See Window."""
        start = self._times[-1] - self.span
        return self._enough({rule for rule, time in self._latest.items() if time > start})

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self._enough({entry.value for entry in entries})

    def _enough(self, rules: set[int]) -> bool:
        if self.body.alternatives:
            return any(rules.issuperset(hit) and rules.isdisjoint(missing) for hit, missing in positions(self.body))
        return self.compare(len(rules)) if self.body.conditions else len(rules) == len(self.body.rules)


@lru_cache(maxsize=1024)
def _positions(rules: tuple[str, ...], alternatives: tuple[Alternative, ...]) -> tuple[Alternatives, ...]:
    place = {rule: at for at, rule in enumerate(rules)}
    return tuple((tuple(map(place.__getitem__, hit)), tuple(map(place.__getitem__, no))) for hit, no in alternatives)


def positions(body: Correlation) -> tuple[Alternatives, ...]:
    """The alternatives of a correlation, its rules written as their positions."""
    return _positions(body.rules, body.alternatives)


class TemporalOrdered(Window):
    """Hits of all the rules in the order they are written; hits of one instant are in order of arrival.

    With alternatives, of the rules of one of them, in the order in which that names them, and of none that it excludes.
    """

    kinds = (CorrelationType.TEMPORAL_ORDERED,)

    __slots__ = ("_starts",)

    def reset(self) -> None:
        """``_starts[i]`` is the latest start of a chain over the rules up to i."""
        self._starts = [NEVER] * len(self.body.rules)

    def enter(self, entry: Entry) -> None:
        """See Window."""
        _extend(self._starts, entry)

    def satisfied(self) -> bool:
        """See Window."""
        if self.body.alternatives:
            return self.holds(self.inside(self.newest))
        return self._times[-1] - self._starts[-1] < self.span

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        if self.body.alternatives:
            rules = [entry.value for entry in entries]
            return any(_in_order(hit, rules) and not set(rules).intersection(no) for hit, no in positions(self.body))
        starts = [NEVER] * len(self.body.rules)
        for entry in entries:
            _extend(starts, entry)
        return starts[-1] != NEVER


def _in_order(wanted: Sequence[int], found: Sequence[int]) -> bool:
    """Whether the wanted ones occur one after the other among the found ones."""
    rest = iter(found)
    return all(each in rest for each in wanted)


def _extend(starts: list[int], entry: Entry) -> None:
    """A hit of the first rule starts a chain; one of another rule prolongs the chain that ends at the rule before."""
    position: int = entry.value
    starts[position] = starts[position - 1] if position else entry.time


def window_of(body: Correlation, entries: Sequence[Entry] = ()) -> Window:
    """A window of the correlation's kind."""
    kinds: tuple[type[Window], ...] = (EventCount, ValueCount, Temporal, TemporalOrdered, Numeric)
    return next(kind for kind in kinds if body.type in kind.kinds)(body, entries)
