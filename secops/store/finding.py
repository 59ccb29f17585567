"""Answering one query: candidates from the shards, confirmed on the events where needed, within a deadline."""

from __future__ import annotations

import heapq
import sqlite3
from bisect import bisect_right
from datetime import UTC, datetime
from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import orjson

from secops import verbatim
from secops.records import EVENT_ID, TENANT, EventId
from secops.store import candidates, columns, mask, needles, plan, stretch
from secops.store import query as language
from secops.store.evaluate import compile_query
from secops.store.index import Page, QuerySyntaxError
from secops.store.log import Look
from secops.store.shard import id_of, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from secops.records import Event
    from secops.store.index import Query
    from secops.store.log import Log
    from secops.store.shard import Chunk, Shard

    Counted: TypeAlias = Collection[tuple[int, int]]  # runs, as numbers of shard and first row

TOTAL_CAP: Final = 500_000  # hits counted at most
CONFIRM: Final = 512  # candidates confirmed between looks at the clock
MAX_LIMIT: Final = 1000
MAX_ROW: Final = 2**63 - 1


class Key(NamedTuple):
    """Where a hit stands: hits are listed by falling key."""

    moment: int  # microseconds since 1970
    row: int


class Cursor(NamedTuple):
    """How far earlier pages went, and what they counted."""

    key: Key
    total: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.key.moment}.{self.key.row}.{self.total}.{int(self.exact)}"

    @classmethod
    def parse(cls, written: str) -> Cursor:
        """Read what ``str`` wrote.

        Raises:
            QuerySyntaxError: it did not.
        """
        parts = written[:100].split(".")
        try:
            moment, row, total, exact = map(int, parts)
        except ValueError as error:
            raise QuerySyntaxError("翻页标记无效，请重新查询", "the page marker is not valid; search again") from error
        return cls(Key(moment, row), total, bool(exact))


class Deadline:
    """When to stop: ``seconds`` from now, or ``grace`` after ``settle`` was called."""

    def __init__(self, clock: Callable[[], float], seconds: float, grace: float) -> None:
        self._clock, self._grace, self.started = clock, grace, clock()
        self._until = self.started + seconds

    def settle(self) -> None:
        """The essential is there: only the grace is left."""
        self._until = min(self._until, self._clock() + self._grace)

    def expired(self) -> bool:
        """Whether to stop."""
        return self._clock() >= self._until

    def took_ms(self) -> float:
        """Milliseconds since the beginning."""
        return round((self._clock() - self.started) * 1000, 3)


class Finder:
    """One query over the shards as they are now."""

    def __init__(
        self,
        shards: Sequence[Shard],
        log: Log,
        query: Query,
        deadline: Deadline,
        owners: Callable[[Chunk], mask.Owners] = mask.owners_of,
    ) -> None:
        node = language.parse(query.text)
        chosen = plan.make(node)
        self._log, self._deadline = log, deadline
        self._shards = [] if query.tenants is not None and not query.tenants else shards
        self._tenants = query.tenants
        self._predicate, needle = compile_query(node), needles.look_for(node)
        self._look_for = None if needle is None else Look(needle)
        conditions = node.items if isinstance(node, language.And) else (node,)
        open_ones = [condition for condition in conditions if not plan.make(condition).exact]
        by_column = [condition for condition in open_ones if mask.columnar(condition)]
        masks = [mask.compile_mask(condition) for condition in by_column]
        if query.tenants is not None:
            masks.insert(0, mask.of_tenants(query.tenants, owners))
        self._mask = mask.all_of(masks) if masks else None
        self._exact = len(open_ones) == len(by_column)  # what the index and its columns say needs no confirmation
        self._match = chosen.match
        self._unconditional = isinstance(node, language.All)
        self._limit = min(max(query.limit, 0), MAX_LIMIT)
        self._before = Cursor.parse(query.before) if query.before else None
        floors = {partition: row_of(EventId(partition, log.first(partition))) for partition in range(log.partitions)}
        self.window = candidates.Window(_micros(query.start), self._end(_micros(query.end)), floors)

    def page(self) -> Page:
        """The hits of a page, newest first."""
        keys: list[Key] = []
        total, complete, settled, floor = 0, True, False, None
        for chunks, upcoming in candidates.stripes(self._shards, self.window):
            if settled and (total >= TOTAL_CAP or self._before or self._deadline.expired()):
                complete = False
                break
            count, found, floor = self._look(chunks, keys_wanted=not settled)
            total += count
            keys = heapq.nlargest(self._limit + 1, [*keys, *found])
            if floor is not None:
                complete = False
                floor = None if settled else self._floor(floor, upcoming)
                break
            if not settled and self._is_settled(keys, upcoming):
                settled = True
                self._deadline.settle()
        return self._page(keys, total, complete=complete, floor=floor)

    @staticmethod
    def _floor(looked_down_to: Key, upcoming: int | None) -> Key:
        return looked_down_to if upcoming is None else max(looked_down_to, Key(upcoming, MAX_ROW))

    def counted(self, field: str) -> tuple[Counted, Iterator[stretch.Counts]]:
        """What is counted beforehand of the field's values among the hits: where, and the counts."""
        if not self._unconditional:
            return frozenset(), iter(())
        covered = [(shard, each) for shard in self._shards for each in shard.stretches() if self.window.covers(each)]
        runs = frozenset(
            (shard.number, chunk.id) for shard in {shard for shard, _ in covered} for chunk in _within(shard, covered)
        )
        return runs, (
            counts
            for shard, each in covered
            for tenant, counts in shard.counted(field, each.id)
            if self._permits(tenant)
        )

    def _permits(self, tenant: columns.Key) -> bool:
        return self._tenants is None or not self._tenants.isdisjoint(stretch.values_of(tenant))

    def visit(self, counted: Counted = frozenset()) -> Iterator[tuple[Chunk, Sequence[int]]]:
        """All hits as ``(run, rows)`` until the deadline, newest runs first; whole runs as a range."""
        try:
            for chunks, _ in candidates.stripes(self._shards, self.window, counted):
                for chunk, rows in self._rows(chunks):
                    hits = rows if self._exact and self.window.covers(chunk) else self._hits(chunk, rows)
                    if self._deadline.expired():
                        return
                    yield chunk, hits
        except sqlite3.OperationalError:
            if not self._deadline.expired():
                raise

    def events(self, rows: Sequence[int]) -> list[Event]:
        """The events of rows, in that order, of permitted tenants only."""
        found = self._log.get([id_of(row) for row in rows])
        return [event for event in found if self._tenants is None or event.get(TENANT) in self._tenants]

    @property
    def decided(self) -> bool:
        """Whether index and columns alone decide, so that looking at all hits twice costs little."""
        return self._exact

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self._deadline.expired()

    def _look(self, chunks: list[Chunk], *, keys_wanted: bool) -> tuple[int, list[Key], Key | None]:
        """``(hits, their keys, the key down to which all was looked at or None for everything)``."""
        try:
            if not keys_wanted and self._exact:
                return self._count(chunks), [], None
            found = self._candidates(chunks)
        except sqlite3.OperationalError:
            if not self._deadline.expired():
                raise
            return 0, [], Key(max(chunk.high for chunk in chunks), MAX_ROW)
        if self._exact or not found:
            return len(found), found, None
        found.sort(reverse=True)
        hits: list[Key] = []
        for start in range(0, len(found), CONFIRM):
            if self._deadline.expired():
                return len(hits), hits, found[start - 1] if start else Key(found[0].moment, MAX_ROW)
            hits += self._confirm(found[start : start + CONFIRM])
        return len(hits), hits, None

    def _count(self, chunks: list[Chunk]) -> int:
        whole = [chunk for chunk in chunks if self.window.covers(chunk)]
        partly = [chunk for chunk in chunks if not self.window.covers(chunk)]
        return self._count_whole(whole) + sum(self._count_partly(chunk, rows) for chunk, rows in self._rows(partly))

    def _count_partly(self, chunk: Chunk, rows: Sequence[int]) -> int:
        times = chunk.shard.times(chunk.id)
        within = self.window.holds
        return sum(within(times[row - chunk.id]) for row in rows)

    def _count_whole(self, chunks: list[Chunk]) -> int:
        if self._match is None and self._mask is not None:
            return sum(self._mask(chunk, range(chunk.id, chunk.id + chunk.count)).bit_count() for chunk in chunks)
        if self._mask is not None:
            candidate = candidates.rows_by_chunk(chunks, self._match, self.window, self._deadline.expired)
            return sum(self._mask(chunk, rows).bit_count() for chunk, rows in candidate)
        if self._match is None:
            return sum(chunk.count for chunk in chunks)
        return sum(
            shard.count(self._match, first, last, self._deadline.expired)
            for shard, first, last, _ in candidates.ranges(chunks)
        )

    def _candidates(self, chunks: list[Chunk]) -> list[Key]:
        found: list[Key] = []
        for chunk, rows in self._rows(chunks):
            times = chunk.shard.times(chunk.id)
            keys = [Key(times[row - chunk.id], row) for row in rows]
            found += keys if self.window.covers(chunk) else [key for key in keys if self.window.holds(key.moment)]
        return found if self._before is None else [key for key in found if key < self._before.key]

    def _rows(self, chunks: list[Chunk]) -> Iterator[tuple[Chunk, Sequence[int]]]:
        """The candidates of each run that the columns let through."""
        for chunk, rows in candidates.rows_by_chunk(chunks, self._match, self.window, self._deadline.expired):
            if self._mask is None:
                yield chunk, rows
                continue
            bits = self._mask(chunk, rows)
            if bits == mask.every(len(rows)):
                yield chunk, rows
                continue
            kept = list(compress(rows, bits.to_bytes(len(rows), "little")))
            if kept:
                yield chunk, kept

    def _confirm(self, keys: list[Key]) -> list[Key]:
        by_id = {id_of(key.row): key for key in keys}
        look = self._look_for
        confirmed = []
        for place, line in self._log.lines(by_id, look).items():
            if look is None or look.test(line):
                event = orjson.loads(line)
                event[EVENT_ID] = str(place)
                verbatim.restore([event])
                if self._predicate(event):
                    confirmed.append(by_id[place])
        return confirmed

    def _hits(self, chunk: Chunk, rows: Sequence[int]) -> list[int]:
        times = chunk.shard.times(chunk.id)
        within = self.window.holds
        if self._exact:
            return [row for row in rows if within(times[row - chunk.id])]
        keys = [Key(times[row - chunk.id], row) for row in rows if within(times[row - chunk.id])]
        hits: list[int] = []
        for start in range(0, len(keys), CONFIRM):
            if self._deadline.expired():
                break
            hits += [key.row for key in self._confirm(keys[start : start + CONFIRM])]
        return hits

    def _end(self, end: int | None) -> int | None:
        """Where to begin looking: a later page begins where the last one ended."""
        if self._before is None:
            return end
        reached = self._before.key.moment + 1
        return reached if end is None else min(end, reached)

    def _is_settled(self, keys: list[Key], upcoming: int | None) -> bool:
        """Whether nothing still to come can stand on this page."""
        return upcoming is None or (len(keys) > self._limit and keys[-1].moment > upcoming)

    def _page(self, keys: list[Key], total: int, *, complete: bool, floor: Key | None) -> Page:
        if self._before is not None:
            total, complete = self._before.total, self._before.exact
        listed = keys[: self._limit]
        following = listed[-1] if listed and len(keys) > self._limit else None
        if floor is not None and (following is None or following < floor):  # not all above it was looked at
            listed = [key for key in listed if key >= floor]
            following = floor if self._before is None or floor < self._before.key else None
        return Page(
            hits=self.events([key.row for key in listed]),
            total=total,
            total_exact=complete,
            next=None if following is None else str(Cursor(following, total, complete)),
            took_ms=self._deadline.took_ms(),
        )


def _within(shard: Shard, covered: Sequence[tuple[Shard, stretch.Stretch]]) -> Iterator[Chunk]:
    spans = sorted((each.id, stretch.follows(each)) for where, each in covered if where is shard)
    starts = [start for start, _ in spans]
    for chunk in shard.chunks():
        number = bisect_right(starts, chunk.id) - 1
        if number >= 0 and chunk.id < spans[number][1]:
            yield chunk


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    since = moment.astimezone(UTC) - columns.EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
