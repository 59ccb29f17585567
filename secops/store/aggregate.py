"""Counting hits by value and by time, from the index's columns; from the events only for other fields."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from typing import TYPE_CHECKING

from secops.store import columns
from secops.store.fields import KEYWORD_SET, lookup, scalars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from secops.store.finding import Finder
    from secops.store.shard import Chunk

MAX_BUCKETS = 1000
BATCH = 512


def facets(finder: Finder, field: str, size: int) -> list[tuple[str, int]]:
    """The commonest values of a field and how many hits have them; equal counts by value."""
    counts: Counter[columns.Key] = Counter()
    for chunk, rows in finder.visit():
        if field in KEYWORD_SET:
            counts.update(_column_counts(chunk, rows, field))
        else:
            _count_events(finder, rows, field, counts)
    values: Counter[str] = Counter()
    for key, count in counts.items():
        for value in (key,) if isinstance(key, str) else dict.fromkeys(key or ()):
            values[value] += count
    return heapq.nsmallest(max(size, 0), values.items(), key=lambda item: (-item[1], item[0]))


def _column_counts(chunk: Chunk, rows: Sequence[int], field: str) -> dict[columns.Key, int]:
    found = chunk.shard.keys(field, chunk.id)
    if found is None:
        return {}
    dictionary, codes = found
    picked: Iterable[int] = codes if len(rows) == chunk.count else [codes[row - chunk.id] for row in rows]
    return {dictionary[code]: count for code, count in Counter(picked).items()}


def _count_events(finder: Finder, rows: Sequence[int], field: str, counts: Counter[columns.Key]) -> None:
    for start in range(0, len(rows), BATCH):
        if finder.expired():
            return
        for event in finder.events(rows[start : start + BATCH]):
            counts.update(set(scalars(lookup(event, field))))


def histogram(finder: Finder, buckets: int) -> list[tuple[datetime, int]]:
    """Hits in equal spans between the query's bounds; where a bound is open, the outermost hit stands for it."""
    buckets = min(max(buckets, 1), MAX_BUCKETS)
    parts = [part for part in (_times(chunk, rows) for chunk, rows in finder.visit()) if part]
    window = finder.window
    if not parts and (window.start is None or window.end is None):
        return []
    first = min(map(min, parts)) if window.start is None else window.start
    last = max(map(max, parts)) + 1 if window.end is None else window.end
    width = max((last - first) / buckets, 1.0)
    spans = [0] * buckets
    for part in parts:
        lowest, highest = (min(int((moment - first) / width), buckets - 1) for moment in (min(part), max(part)))
        if lowest == highest:  # the usual case: a run of events is short
            spans[lowest] += len(part)
            continue
        for moment, count in Counter(part).items():
            spans[min(int((moment - first) / width), buckets - 1)] += count
    return [(columns.to_datetime(first + int(number * width)), count) for number, count in enumerate(spans)]


def _times(chunk: Chunk, rows: Sequence[int]) -> Sequence[int]:
    times = chunk.shard.times(chunk.id)
    return times[: chunk.count] if len(rows) == chunk.count else array("q", [times[row - chunk.id] for row in rows])
