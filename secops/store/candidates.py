"""Walking the candidates of a query from the newest run of events to the oldest, in growing stripes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.store.shard import id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from secops.store.shard import Chunk, Shard
    from secops.store.stretch import Stretch

MAX_STRIPE: Final = 64  # runs: bounds what one step holds in memory


@dataclass(frozen=True, slots=True)
class Window:
    """Times from ``start`` (inclusive) to ``end`` (exclusive), microseconds; None is open.

    ``floors`` (partition -> row): what lies below is no longer in the log, and is not looked at.
    """

    start: int | None
    end: int | None
    floors: Mapping[int, int]

    def floor(self, chunk: Chunk | Stretch) -> int:
        """The lowest row of the run's partition that is still in the log."""
        return self.floors.get(id_of(chunk.id).partition, 0)

    def overlaps(self, chunk: Chunk) -> bool:
        """Whether some event of the run may lie within."""
        if chunk.id + chunk.count <= self.floor(chunk):
            return False
        return (self.start is None or chunk.high >= self.start) and (self.end is None or chunk.low < self.end)

    def covers(self, chunk: Chunk | Stretch) -> bool:
        """Whether all events of the run lie within."""
        if chunk.id < self.floor(chunk):
            return False
        return (self.start is None or chunk.low >= self.start) and (self.end is None or chunk.high < self.end)

    def holds(self, moment: int) -> bool:
        """Whether a time lies within."""
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


def stripes(
    shards: Sequence[Shard], window: Window, without: Collection[tuple[int, int]] = frozenset()
) -> Iterator[tuple[list[Chunk], int | None]]:
    """Runs by falling ``high``, 1, 2, 4, ... at a time (not those in ``without``), each time with the highest ``high`` still to come, or None."""
    by_age = sorted(
        (
            chunk
            for shard in shards
            for chunk in shard.chunks()
            if window.overlaps(chunk) and (shard.number, chunk.id) not in without
        ),
        key=lambda chunk: (chunk.high, chunk.id),
        reverse=True,
    )
    start, size = 0, 1
    while start < len(by_age):
        end = start + size
        yield by_age[start:end], by_age[end].high if end < len(by_age) else None
        start, size = end, min(size * 2, MAX_STRIPE)


def ranges(chunks: Sequence[Chunk]) -> Iterator[tuple[Shard, int, int, list[Chunk]]]:
    """``(shard, first row, last row, runs)`` of runs that follow one another."""
    pending: list[Chunk] = []
    for chunk in sorted(chunks, key=lambda chunk: (chunk.shard.number, chunk.id)):
        if pending and (chunk.shard is not pending[-1].shard or pending[-1].id + pending[-1].count != chunk.id):
            yield _range(pending)
            pending = []
        pending.append(chunk)
    if pending:
        yield _range(pending)


def _range(chunks: list[Chunk]) -> tuple[Shard, int, int, list[Chunk]]:
    return chunks[0].shard, chunks[0].id, chunks[-1].id + chunks[-1].count - 1, chunks


def rows_by_chunk(
    chunks: Sequence[Chunk], match: str | None, window: Window, expired: Callable[[], bool]
) -> Iterator[tuple[Chunk, Sequence[int]]]:
    """Each run with its candidates (none: left out)."""
    for shard, first, last, runs in ranges(chunks):
        rows = shard.rows(match, first, last, expired)
        for chunk in runs:
            part = rows[
                bisect_left(rows, max(chunk.id, window.floor(chunk))) : bisect_left(rows, chunk.id + chunk.count)
            ]
            if part:
                yield chunk, part
