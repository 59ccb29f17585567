"""The embedded index: shards of SQLite with FTS5, in one directory, over the event log.

The index holds what is needed to find events, never the events: those are read from the log, and every hit of a query
that the index alone cannot decide is confirmed on the event (``plan``, ``evaluate``). It may be deleted at any time;
it is then built anew from the log.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.records import EventId
from secops.store import aggregate, durable
from secops.store.finding import Deadline, Finder
from secops.store.mask import owners_of
from secops.store.shard import SCHEMA, Shard, id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.records import Event
    from secops.store.index import Page, Query
    from secops.store.log import Log
    from secops.store.shard import Chunk

SHARD_EVENTS: Final = 1_000_000
PAGE_SECONDS: Final = 5.0  # to find a page's hits
COUNT_SECONDS: Final = 0.3  # to count on after the page is found, where hits must be confirmed
OWNERS: Final = 8192  # runs whose events' tenants are remembered: some 40 MB at most
SUFFIX: Final = ".idx"


def _is_gone(chunk: Chunk, firsts: Mapping[int, int]) -> bool:
    place = id_of(chunk.id)
    return place.offset + chunk.count <= firsts.get(place.partition, 0)


class SqliteIndex:
    """``Index`` over SQLite; ``writable`` in one process, read-only in any number and from any thread."""

    def __init__(
        self,
        directory: Path,
        log: Log,
        *,
        writable: bool = False,
        shard_events: int = SHARD_EVENTS,
        page_seconds: float = PAGE_SECONDS,
        count_seconds: float = COUNT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._log, self._writable, self._shard_events = directory, log, writable, shard_events
        self._page_seconds, self._count_seconds, self._clock = page_seconds, count_seconds, clock
        self._owners = lru_cache(OWNERS)(owners_of)
        self._shards: dict[int, Shard] = {}
        self._listing = threading.Lock()
        self._filled = 0  # events in the newest shard
        if writable:
            directory.mkdir(parents=True, exist_ok=True)
            self._open_for_writing()

    def search(self, query: Query) -> Page:
        """See ``Index.search``."""
        return self._finder(query).page()

    def histogram(self, query: Query, buckets: int) -> list[tuple[datetime, int]]:
        """See ``Index.histogram``. What is not counted within the deadline is missing."""
        return aggregate.histogram(self._finder(query), buckets)

    def facets(self, query: Query, field: str, size: int) -> list[tuple[str, int]]:
        """See ``Index.facets``. What is not counted within the deadline is missing."""
        return aggregate.facets(self._finder(query), field, size)

    def add(self, partition: int, events: Sequence[Event]) -> None:
        """See ``Index.add``; fastest with some thousand events at a time."""
        expected = self.position(partition)
        offsets = [EventId.parse(event["event.id"]).offset for event in events]
        start = 0
        while start < len(events):
            end = start + 1
            while end < len(events) and offsets[end] == offsets[end - 1] + 1:
                end += 1
            skip = max(expected - offsets[start], 0)
            if start + skip < end:
                self._add_run(partition, offsets[start] + skip, events[start + skip : end])
            start = end

    def position(self, partition: int) -> int:
        """See ``Index.position``."""
        shards = self._list()
        return shards[-1].place(partition) if shards else 0

    def drop(self, firsts: Mapping[int, int]) -> int:
        """See ``Index.drop``: shards go whole, and the newest stays."""
        gone = [shard for shard in self._list()[:-1] if all(_is_gone(chunk, firsts) for chunk in shard.chunks())]
        for shard in gone:
            self._remove(shard)
        return len(gone)

    def compact(self) -> bool:
        """Compact one shard that gets no more events; False when there is none left. Takes seconds."""
        for shard in self._list()[:-1]:
            if not shard.compacted():
                shard.compact()
                return True
        return False

    def rebuild(self) -> None:
        """Forget everything; ``position`` is then 0 for each partition and the consumer starts again."""
        self._start_over(self._list())

    def close(self) -> None:
        """Close all files; a writer first moves its write-ahead log into the file."""
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def _finder(self, query: Query) -> Finder:
        deadline = Deadline(self._clock, self._page_seconds, self._count_seconds)
        return Finder(self._list(), self._log, query, deadline, self._owners)

    def _list(self) -> list[Shard]:
        """All shards, oldest first; none but the newest grows."""
        with self._listing:
            paths = {int(path.stem): path for path in self._directory.glob(f"*{SUFFIX}")}
            for number in self._shards.keys() - paths.keys():
                self._shards.pop(number).close()
            for number in paths.keys() - self._shards.keys():
                self._shards[number] = Shard(paths[number], writable=self._writable)
            shards = [self._shards[number] for number in sorted(self._shards)]
            for shard in shards[:-1]:
                if shard.sealed is None:
                    shard.sealed = shard.chunks()
            return shards

    def _open_for_writing(self) -> None:
        shards = self._list()
        if not shards or any(shard.schema() != SCHEMA for shard in shards):
            self._start_over(shards)
        newest = self._list()[-1]
        newest.upgrade()
        self._filled = newest.events()

    def _start_over(self, shards: list[Shard]) -> None:
        for shard in shards:
            self._shards.pop(shard.number, None)
            shard.close()
        start_over(self._directory)
        self._filled = 0

    def _begin(self, number: int, places: dict[int, int]) -> None:
        _begin(self._directory, number, places)
        self._filled = 0

    def _add_run(self, partition: int, first: int, events: Sequence[Event]) -> None:
        newest = self._list()[-1]
        if self._filled >= self._shard_events:
            self._begin(newest.number + 1, newest.places())
            newest = self._list()[-1]
        newest.add(partition, first, events)
        self._filled += len(events)

    def _remove(self, shard: Shard) -> None:
        self._shards.pop(shard.number, None)
        shard.close()
        _unlink(shard.path)


def start_over(directory: Path) -> None:
    """Begin an empty shard in place of all others, whatever they hold; nobody may be writing.

    Its number is new, so that readers do not take it for a removed one.
    """
    old = sorted(directory.glob(f"*{SUFFIX}"))
    _begin(directory, int(old[-1].stem) + 1 if old else 1, {})
    for path in old:
        _unlink(path)


def _begin(directory: Path, number: int, places: dict[int, int]) -> None:
    draft = Shard(directory / f"{number:08}.new", writable=True)
    _unlink(draft.path)
    draft.create(places)
    draft.close()
    draft.path.rename(draft.path.with_suffix(SUFFIX))
    durable.sync_directory(directory)


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
