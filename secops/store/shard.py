"""One file of the index: a run of the log of bounded size, so that expiry removes whole files.

Row number = partition * 2**40 + offset, so nothing is kept to find an event again. Tables:

* ``terms``: FTS5 without content, ``detail=none`` (which events have a token, not where in them).
* ``chunk``: runs of consecutive events with their times; ``field``: the same runs' keyword columns, for facets.
* ``stretch``, ``counted``: the keyword values of many runs, counted beforehand (``stretch.py``).
* ``place``: the next offset of each partition, moved in the transaction that indexes.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.records import EventId
from secops.store import columns, stretch
from secops.store.fields import KEYWORDS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from secops.records import Event

SCHEMA: Final = 1  # raise it when tokens or columns change: the index is then rebuilt from the log
CHUNK: Final = 4096
SHIFT: Final = 40
OFFSET: Final = 2**SHIFT - 1
BUSY_SECONDS: Final = 30.0
COMPACT: Final = 0x5EC0  # application_id of a file that was compacted
TICK: Final = 20_000  # virtual machine steps between looks at the deadline

_TABLES: Final = f"""
create virtual table terms using fts5(text, content='', detail=none, columnsize=0, tokenize='ascii');
create table chunk(id integer primary key, count integer not null, low integer not null, high integer not null,
                   times blob not null);
create table field(number integer not null, chunk integer not null, data blob not null,
                   primary key (number, chunk)) without rowid;
create table place(partition integer primary key, next integer not null);
{stretch.TABLES}
pragma user_version = {SCHEMA};
"""


_STRETCHES: Final = "select id, count, low, high from stretch"
_COUNTED: Final = "select data from counted where number = ? and stretch = ?"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of events: rows ``id`` to ``id + count - 1``, times between ``low`` and ``high``."""

    shard: Shard
    id: int
    count: int
    low: int
    high: int


def row_of(place: EventId) -> int:
    """Row number of an event."""
    return place.partition << SHIFT | place.offset


def id_of(row: int) -> EventId:
    """The event of a row number."""
    return EventId(row >> SHIFT, row & OFFSET)


class Shard:
    """A shard's file; connections are lent to one thread at a time."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        self.number = int(path.stem)
        self.sealed: list[Chunk] | None = None  # the chunks, once no more can come
        self._writable = writable
        self._idle: list[sqlite3.Connection] = []

    @contextlib.contextmanager
    def connection(self, expired: Callable[[], bool] | None = None) -> Iterator[sqlite3.Connection]:
        """Borrow a connection; what it runs is interrupted once ``expired`` says so."""
        lent = self._idle.pop() if self._idle else self._connect()
        try:
            lent.set_progress_handler(expired, TICK)
            yield lent
        finally:
            lent.set_progress_handler(None, 0)
            self._idle.append(lent)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """See the file as of one moment, whatever is written meanwhile; for a shard of one's own, used by one thread."""
        with self.connection() as connection:
            connection.execute("begin")
        try:
            yield
        finally:
            with self.connection() as connection:
                connection.execute("rollback")

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def chunks(self) -> list[Chunk]:
        """All runs of events in this shard."""
        if self.sealed is not None:
            return self.sealed
        with self.connection() as connection:
            return [Chunk(self, *row) for row in connection.execute("select id, count, low, high from chunk")]

    def rows(
        self, match: str | None, first: int, last: int, expired: Callable[[], bool] | None = None
    ) -> Sequence[int]:
        """Candidate rows between two row numbers, inclusive, ascending; every number when ``match`` is None."""
        if match is None:
            return range(first, last + 1)
        with self.connection(expired) as connection:
            found = connection.execute(
                "select rowid from terms where terms match ? and rowid between ? and ?", (match, first, last)
            )
            return [row for (row,) in found]

    def count(self, match: str, first: int, last: int, expired: Callable[[], bool] | None = None) -> int:
        """How many ``rows`` there are."""
        with self.connection(expired) as connection:
            found = connection.execute(
                "select count(*) from terms where terms match ? and rowid between ? and ?", (match, first, last)
            )
            return int(found.fetchone()[0])

    def times(self, chunk: int) -> array[int]:
        """The times of a run's events."""
        with self.connection() as connection:
            (data,) = connection.execute("select times from chunk where id = ?", (chunk,)).fetchone()
            return columns.unpack_times(data)

    def keys(self, field: str, chunk: int) -> tuple[list[columns.Key], array[int]] | None:
        """``(dictionary, codes)`` of a keyword column; None when none of the run's events has the field."""
        with self.connection() as connection:
            return _load_keys(connection, KEYWORDS.index(field), chunk)

    def stretches(self) -> list[stretch.Stretch]:
        """The stretches whose values are counted; none in a file that an earlier version made."""
        with self.connection() as connection:
            return [stretch.Stretch(*row) for row in connection.execute(_STRETCHES)] if _has_counts(connection) else []

    def counted(self, field: str, first: int) -> Iterator[tuple[columns.Key, stretch.Counts]]:
        """Each tenant with its values in the stretch that begins at row ``first``."""
        with self.connection() as connection:
            found = connection.execute(_COUNTED, (KEYWORDS.index(field), first)).fetchone()
        return iter(()) if found is None else stretch.unpack(found[0])

    def place(self, partition: int) -> int:
        """The next offset to index."""
        with self.connection() as connection:
            found = connection.execute("select next from place where partition = ?", (partition,)).fetchone()
            return int(found[0]) if found else 0

    def compact(self) -> None:
        """Bring a shard that gets no more events into its smallest, quickest form. What is interrupted is done again."""
        with self.connection() as connection:
            self._upgrade(connection)
            with connection:
                connection.execute("begin immediate")
                for (partition,) in connection.execute("select partition from place").fetchall():
                    _count_stretches(connection, partition, finished=True)
            connection.execute("insert into terms(terms) values ('optimize')")
            connection.execute("vacuum")
            connection.execute(f"pragma application_id = {COMPACT}")
            connection.execute("pragma wal_checkpoint(truncate)")

    def compacted(self) -> bool:
        """Whether ``compact`` was done."""
        with self.connection() as connection:
            return int(connection.execute("pragma application_id").fetchone()[0]) == COMPACT

    def upgrade(self) -> None:
        """Add the tables that an earlier version did not make."""
        with self.connection() as connection:
            self._upgrade(connection)

    @staticmethod
    def _upgrade(connection: sqlite3.Connection) -> None:
        connection.executescript(stretch.TABLES)

    def places(self) -> dict[int, int]:
        """The next offset to index, of every partition seen so far."""
        with self.connection() as connection:
            return dict(connection.execute("select partition, next from place"))

    def add(self, partition: int, first: int, events: Sequence[Event]) -> None:
        """Index consecutive events from offset ``first``, with the new place, in one transaction."""
        with self.connection() as connection, connection:
            connection.execute("begin immediate")
            for start in range(0, len(events), CHUNK):
                _add_run(connection, partition << SHIFT | (first + start), events[start : start + CHUNK])
            _count_stretches(connection, partition, finished=False)
            connection.execute("replace into place values (?, ?)", (partition, first + len(events)))

    def create(self, places: dict[int, int]) -> None:
        """Make the tables of a new file, going on at ``places``."""
        with self.connection() as connection:
            connection.executescript(f"pragma page_size = 8192; pragma journal_mode = wal; begin; {_TABLES} commit;")
            with connection:
                connection.executemany("insert into place values (?, ?)", places.items())

    def schema(self) -> int:
        """The schema the file was made with; 0 for a file whose making was interrupted."""
        with self.connection() as connection:
            return int(connection.execute("pragma user_version").fetchone()[0])

    def events(self) -> int:
        """How many events are indexed here."""
        with self.connection() as connection:
            return int(connection.execute("select coalesce(sum(count), 0) from chunk").fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self._writable else "rw"
        connection = sqlite3.connect(
            f"file:{self.path}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma cache_size = -16384")
        connection.execute(f"pragma query_only = {int(not self._writable)}")
        return connection


def _has_counts(connection: sqlite3.Connection) -> bool:
    return connection.execute("select 1 from sqlite_master where name = 'counted'").fetchone() is not None


def _count_stretches(connection: sqlite3.Connection, partition: int, *, finished: bool) -> None:
    first = partition << SHIFT
    load = functools.partial(_load_keys, connection)
    stretch.extend(connection, load, first, first | OFFSET, finished=finished)


def _add_run(connection: sqlite3.Connection, row: int, events: Sequence[Event]) -> None:
    run = columns.of(events)
    connection.executemany("insert into terms(rowid, text) values (?, ?)", enumerate(columns.texts(events, run), row))
    _save_run(connection, *_join_last(connection, row, run))


def _join_last(connection: sqlite3.Connection, row: int, run: columns.Columns) -> tuple[int, columns.Columns]:
    """Join a short run with the one just before it, so that a trickle of events does not make many small runs."""
    last = connection.execute(
        "select id, count, times from chunk where id < ? order by id desc limit 1", (row,)
    ).fetchone()
    if last is None or last[0] + last[1] != row or last[1] + len(run.times) > CHUNK:
        return row, run
    chunk, count, times = last
    keys = {}
    for number, field in enumerate(KEYWORDS):
        found = _load_keys(connection, number, chunk)
        earlier: list[columns.Key] = [None] * count if found is None else [found[0][code] for code in found[1]]
        keys[field] = earlier + run.keys[field]
    return chunk, columns.Columns(columns.unpack_times(times) + run.times, keys)


def _save_run(connection: sqlite3.Connection, chunk: int, run: columns.Columns) -> None:
    connection.execute(
        "replace into chunk values (?, ?, ?, ?, ?)",
        (chunk, len(run.times), min(run.times), max(run.times), columns.pack_times(run.times)),
    )
    packed = ((number, chunk, columns.pack_keys(run.keys[field])) for number, field in enumerate(KEYWORDS))
    connection.executemany("replace into field values (?, ?, ?)", (row for row in packed if row[2] is not None))


def _load_keys(connection: sqlite3.Connection, number: int, chunk: int) -> tuple[list[columns.Key], array[int]] | None:
    found = connection.execute("select data from field where number = ? and chunk = ?", (number, chunk)).fetchone()
    return None if found is None else columns.unpack_keys(found[0])
