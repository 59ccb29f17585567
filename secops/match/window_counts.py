"""Windows that count or measure: event_count, value_count, and the sums, means, percentiles of a field."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any, Final

from secops.match.rule import Correlation, CorrelationType
from secops.match.window import Entry, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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


class _Numeric(_Sliding):
    """A numeric field."""

    kept = 8192
    most_kept = 65_536
    counts = True

    __slots__ = ()

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self.compare(measure(self.body, sorted(entry.value for entry in entries)))


class Summed(_Numeric):
    """Sum or average; the exact sum is kept as a whole number of the smallest fractions there are, hit by hit."""

    kinds = (CorrelationType.VALUE_SUM, CorrelationType.VALUE_AVG)

    __slots__ = ("_count", "_sum")

    def clear(self) -> None:
        """See _Sliding."""
        self._sum = self._count = 0

    def include(self, value: float) -> None:
        """See _Sliding."""
        self._sum += _scaled(value)
        self._count += 1

    def exclude(self, value: float) -> None:
        """See _Sliding."""
        self._sum -= _scaled(value)
        self._count -= 1

    def satisfied(self) -> bool:
        """See Window."""
        found = _unscaled(self._sum)
        return self.compare(found if self.body.type is CorrelationType.VALUE_SUM else found / self._count)

    def most(self, low: int, high: int) -> float:
        """See Window: what is positive, all together; no average exceeds the largest value."""
        values = [entry.value for entry in self._entries[low:high]]
        if self.body.type is CorrelationType.VALUE_AVG:
            return _a_little_above(max(values))
        return total(values if min(values) >= 0 else [value for value in values if value > 0])


class Ranked(_Numeric):
    """Percentile or median; the window's values are kept sorted."""

    kinds = (CorrelationType.VALUE_PERCENTILE, CorrelationType.VALUE_MEDIAN)

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

    def most(self, low: int, high: int) -> float:
        """See Window: no percentile exceeds the largest value, but for rounding, which small numbers below 0 may make large."""
        values = [entry.value for entry in self._entries[low:high]]
        return _a_little_above(max(values)) if min(values) >= 0 else math.inf


_UNIT: Final = 1 << 1074  # the smallest fraction of a float is one of so many


def _a_little_above(value: float) -> float:
    """A bound that rounding leaves above what it bounds."""
    return value + abs(value) * 1e-12


def _scaled(value: float) -> int:
    """A float, exactly, in the smallest fractions there are."""
    above, below = value.as_integer_ratio()
    return above * (_UNIT // below)


def _unscaled(scaled: int) -> float:
    """The float nearest to an exact sum; infinite when that is beyond what a float holds."""
    try:
        return scaled / _UNIT
    except OverflowError:
        return math.inf if scaled > 0 else -math.inf


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
