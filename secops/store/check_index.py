"""Verifying the embedded index against the log: every run's times, columns, counts and words are those that its events make.

The words are compared as sums of hashes over (word, event), because FTS5 keeps no text to compare with: the expected ones
are made from the events, the stored ones are read through ``fts5vocab``. Each shard is read in one transaction, so the
index role may go on meanwhile.
"""

from __future__ import annotations

import re
import sqlite3
import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

import zstandard

from secops.records import EVENT_ID, EventId
from secops.store import columns, stretch
from secops.store.check import Flaw
from secops.store.fields import KEYWORDS
from secops.store.log import LogCorrupt
from secops.store.shard import SCHEMA, Shard, id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from secops.store.log import Log
    from secops.store.shard import Chunk

WORD: Final = re.compile(rb"[0-9A-Za-z\x80-\xff]+")  # as FTS5's tokenizer "ascii" cuts
LONGEST: Final = 32_768  # bytes of a word that FTS5 keeps
MASK: Final = 2**64 - 1
UNREADABLE: Final = (
    sqlite3.DatabaseError,
    zstandard.ZstdError,
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
)
"""What a changed byte of a shard can come to when it is read."""


def check_index(
    folder: Path, log: Log, progress: Callable[[int, int], None] | None = None, *, words: bool = True
) -> list[Flaw]:
    """Compare every shard with the log; changes nothing. ``progress`` hears (done, of), a thousand for each shard.

    ``words``: those too, which takes most of the time. Events that the log no longer has are not compared.
    """
    flaws: list[Flaw] = []
    reached: dict[int, int] = {}
    paths = sorted(folder.glob("*.idx"))
    for number, path in enumerate(paths):
        try:
            flaws += _shard_flaws(path, log, reached, _part_of(progress, number, len(paths)), words=words)
        except UNREADABLE as error:
            flaws.append(Flaw(str(path), 0, f"it cannot be read: {error}"))
    return flaws


def _part_of(progress: Callable[[int, int], None] | None, number: int, of: int) -> Callable[[int, int], None]:
    def part(done: int, total: int) -> None:
        if progress is not None:
            progress(number * 1000 + (done * 1000 // total if total else 1000), of * 1000)

    return part


def _shard_flaws(
    path: Path, log: Log, reached: dict[int, int], progress: Callable[[int, int], None], *, words: bool
) -> list[Flaw]:
    shard = Shard(path, writable=False)
    try:
        with shard.frozen():
            if shard.schema() != SCHEMA:
                return []  # of another version, or just being made: the index role begins it anew
            if why := _sqlite_flaw(shard):
                return [Flaw(str(path), 0, why)]
            chunks = sorted(shard.chunks(), key=lambda chunk: chunk.id)
            found = [*_gaps(shard, chunks, log, reached), *_runs(shard, chunks, log, progress, words=words)]
            found += [] if found else _stretches(shard, chunks)
            return [Flaw(str(path), 0, why) for why in found]
    finally:
        shard.close()


def _sqlite_flaw(shard: Shard) -> str:
    with shard.connection() as connection:
        (found,) = connection.execute("pragma quick_check(1)").fetchone()
    return "" if found == "ok" else f"SQLite: {found}"


def _gaps(shard: Shard, chunks: Sequence[Chunk], log: Log, reached: dict[int, int]) -> Iterator[str]:
    """Events of the log that lie between two runs, or before the place; ``reached`` is kept from shard to shard."""
    runs = [(id_of(chunk.id), chunk.count) for chunk in chunks]
    places = [(EventId(partition, place), 0) for partition, place in sorted(shard.places().items())]
    for (partition, offset), count in [*runs, *places]:
        start = max(reached.get(partition, log.first(partition)), log.first(partition))
        if offset > log.end(partition):
            yield f"it has partition {partition} up to offset {offset}, the log up to {log.end(partition)}"
        elif offset > start and _offsets(log, partition, start, 1)[0] < offset:
            yield f"events {start} to {offset - 1} of partition {partition} are missing"
        elif not count and offset < start:
            yield f"it goes on at offset {offset} of partition {partition}, though it has events up to {start}"
        reached[partition] = max(start, offset + count)


def _offsets(log: Log, partition: int, start: int, limit: int) -> list[int]:
    try:
        return [EventId.parse(event[EVENT_ID]).offset for event in log.read(partition, start, limit)] or [start]
    except LogCorrupt:
        return [log.end(partition)]  # the log's own check names it


def _runs(
    shard: Shard, chunks: Sequence[Chunk], log: Log, progress: Callable[[int, int], None], *, words: bool
) -> Iterator[str]:
    """What differs in the runs; their words all at once, where every one of them can be compared."""
    total, is_whole = 0, words
    for number, chunk in enumerate(chunks, 1):
        place = id_of(chunk.id)
        found = None if place.offset < log.first(place.partition) else _compare(shard, chunk, log, words=words)
        if isinstance(found, str):
            yield f"events {place} and {chunk.count - 1} following: {found}"
        is_whole = is_whole and isinstance(found, int)
        total += found if isinstance(found, int) else 0
        progress(number, len(chunks))
    if is_whole and _stored_words(shard) != total & MASK:
        yield "its words are not those of its events"


def _compare(shard: Shard, chunk: Chunk, log: Log, *, words: bool) -> str | int | None:
    """What differs in a run; else the sum over its words; None when the log cannot be read there."""
    place = id_of(chunk.id)
    try:
        events = log.read(place.partition, place.offset, chunk.count)
    except LogCorrupt:
        return None  # the log's own check names it
    if place.offset < log.first(place.partition):
        return None  # its beginning has left meanwhile
    if len(events) != chunk.count:
        return f"the log has {len(events)} of {chunk.count}"
    expected = columns.of(events)
    times = shard.times(chunk.id)
    if times != expected.times or (chunk.low, chunk.high) != (min(times), max(times)):
        return "other times than in the log"
    for field, keys in expected.keys.items():
        found = shard.keys(field, chunk.id)
        stored: list[columns.Key] = [None] * chunk.count if found is None else [found[0][code] for code in found[1]]
        if stored != keys:
            return f"other values of {field} than in the log"
    return _words(columns.texts(events, expected), chunk.id) if words else 0


def _stretches(shard: Shard, chunks: Sequence[Chunk]) -> Iterator[str]:
    """What was counted beforehand and is not what the runs, which hold, come to."""
    reached = 0
    for found in sorted(shard.stretches(), key=lambda each: each.id):
        runs = [
            stretch.Stretch(c.id, c.count, c.low, c.high) for c in chunks if found.id <= c.id < stretch.follows(found)
        ]
        outer = (sum(run.count for run in runs), min(r.low for r in runs), max(r.high for r in runs)) if runs else None
        if found.id < reached or (found.count, found.low, found.high) != outer:
            yield f"the stretch at event {id_of(found.id)} does not fit the runs below it"
            continue
        reached = stretch.follows(found)
        expected = dict(stretch.totals_of(lambda number, run: shard.keys(KEYWORDS[number], run), runs))
        for number, field in enumerate(KEYWORDS):
            stored: dict[columns.Key, Counter[str]] = {}
            for key, counts in shard.counted(field, found.id):
                counts.add_to(stored.setdefault(key, Counter()))
            if stored != {key: counts for key, counts in expected.get(number, {}).items() if counts}:
                yield f"counts of {field} from event {id_of(found.id)} on are not those of the events"


def _words(texts: Sequence[str], row: int) -> int:
    total = 0
    for number, text in enumerate(texts, row):
        found = {word[:LONGEST] for word in WORD.findall(text.encode("utf-8", "surrogatepass").lower())}
        total += sum([hash((word, number)) for word in found])
    return total


def _stored_words(shard: Shard) -> int:
    with shard.connection() as connection:
        factory, connection.text_factory = connection.text_factory, bytes
        try:
            connection.execute("pragma query_only = 0")  # the table made here is this connection's own
            connection.execute("create virtual table temp.words using fts5vocab(main, terms, instance)")
            pairs = connection.execute("select term, doc from temp.words")
            total = sum(map(hash, pairs))
            connection.execute("drop table temp.words")
        finally:
            connection.text_factory = factory
    return total & MASK
