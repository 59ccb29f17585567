"""Counting hits by value and by time, from the index's columns; from the events only for other fields."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from secops.store import columns, stretch
from secops.store.fields import KEYWORD_SET, lookup, scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from secops.store.finding import Finder
    from secops.store.shard import Chunk

MAX_BUCKETS = 1000
BATCH = 512


def facets(finder: Finder, field: str, size: int) -> list[tuple[str, int]]:
    """The commonest values of a field and how many hits have them; equal counts by value."""
    counts: Counter[str] = Counter()
    if field in KEYWORD_SET:
        _count_keywords(finder, field, counts)
    else:
        for _, rows in finder.visit():
            _count_events(finder, rows, field, counts)
    return heapq.nsmallest(max(size, 0), counts.items(), key=lambda item: (-item[1], item[0]))


def _count_keywords(finder: Finder, field: str, counts: Counter[str]) -> None:
    done, beforehand = finder.counted(field)
    for each in beforehand:
        if finder.expired():
            return
        each.add_to(counts)
    for chunk, rows in finder.visit(done):
        _count_column(chunk, rows, field, counts)


def _count_column(chunk: Chunk, rows: Sequence[int], field: str, counts: Counter[str]) -> None:
    found = chunk.shard.keys(field, chunk.id)
    if found is None:
        return
    keys, codes = found
    picked = codes[: chunk.count] if len(rows) == chunk.count else [codes[row - chunk.id] for row in rows]
    for code, count in Counter(picked).items():
        for value in stretch.values_of(keys[code]):
            counts[value] += count


def _count_events(finder: Finder, rows: Sequence[int], field: str, counts: Counter[str]) -> None:
    for start in range(0, len(rows), BATCH):
        if finder.expired():
            return
        for event in finder.events(rows[start : start + BATCH]):
            counts.update(set(scalars(lookup(event, field))))


def histogram(finder: Finder, buckets: int) -> list[tuple[datetime, int]]:
    """Hits in equal spans between the query's bounds; where a bound is open, the outermost hit stands for it."""
    buckets = min(max(buckets, 1), MAX_BUCKETS)
    window, parts = finder.window, list[Part]()
    is_open = window.start is None or window.end is None
    if is_open and not finder.decided:  # what is confirmed on events is bounded by the deadline; it is not done twice
        parts = list(_parts(finder, exactly=True))
    outer = _outermost(parts or _parts(finder, exactly=True)) if is_open else None
    if is_open and outer is None:
        return []
    first, last = (outer[0], outer[1] + 1) if outer else (0, 0)
    first = first if window.start is None else window.start
    last = last if window.end is None else window.end
    spans = Spans(first, max((last - first) / buckets, 1.0), [0] * buckets)
    for part in parts or _parts(finder, exactly=False):
        spans.add(part)
    return [(columns.to_datetime(first + int(n * spans.width)), count) for n, count in enumerate(spans.counts)]


@dataclass(frozen=True, slots=True)
class Part:
    """Hits of one run: so many between two times; the times themselves only where asked for."""

    low: int
    high: int
    count: int
    times: Callable[[], array[int]]


class Spans(NamedTuple):
    """Equal spans of time, and the hits in each."""

    first: int
    width: float
    counts: list[int]

    def number(self, moment: int) -> int:
        """The span of a time."""
        return max(min(int((moment - self.first) / self.width), len(self.counts) - 1), 0)

    def add(self, part: Part) -> None:
        """Count a run's hits; where they all lie within one span, their times are not looked at."""
        lowest, highest = self.number(part.low), self.number(part.high)
        if lowest == highest:
            self.counts[lowest] += part.count
            return
        ordered = sorted(part.times())
        start = 0
        for number in range(lowest, highest + 1):
            end = bisect_right(ordered, number, start, key=self.number)
            self.counts[number] += end - start
            start = end


def _outermost(parts: Iterable[Part]) -> tuple[int, int] | None:
    low = high = None
    for part in parts:
        low = part.low if low is None else min(low, part.low)
        high = part.high if high is None else max(high, part.high)
    return None if low is None or high is None else (low, high)


def _parts(finder: Finder, *, exactly: bool) -> Iterator[Part]:
    """Hits by run; if not ``exactly``, between times that may lie further apart than theirs."""
    for chunk, rows in finder.visit():
        if finder.window.covers(chunk) and rows and (len(rows) == chunk.count or not exactly):
            yield Part(chunk.low, chunk.high, len(rows), partial(_times, chunk, rows))
        elif rows:
            times = _times(chunk, rows)
            yield Part(min(times), max(times), len(times), partial(array, "q", times))


def _times(chunk: Chunk, rows: Sequence[int]) -> array[int]:
    times = chunk.shard.times(chunk.id)
    return times[: chunk.count] if len(rows) == chunk.count else array("q", [times[row - chunk.id] for row in rows])
