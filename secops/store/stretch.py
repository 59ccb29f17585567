"""Values counted beforehand: for a stretch of finished runs, how often each keyword field has each value, by tenant.

Counting a day or a month for everyone's first page then adds up some tables instead of looking at each event. A stretch
is some tens of thousands of consecutive events of one partition, all of whose runs are final (no event is joined to
them any more), so it is never written twice. Counts are of events: an event with a value twice counts once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import orjson
import zstandard

from secops.records import TENANT
from secops.store.fields import KEYWORDS

if TYPE_CHECKING:
    import sqlite3
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from secops.store.columns import Key

    Column: TypeAlias = tuple[list[Key], array[int]] | None
    Load: TypeAlias = Callable[[int, int], Column]  # number of the field, run

BYTE: Final = 256
EVENTS: Final = 8 * 4096  # in a stretch, at least
TABLES: Final = """
create table if not exists stretch(id integer primary key, count integer not null, low integer not null,
                                   high integer not null);
create table if not exists counted(number integer not null, stretch integer not null, data blob not null,
                                   primary key (number, stretch)) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows ``id`` to ``id + count - 1``, times between ``low`` and ``high``; the first four columns of a run, too."""

    id: int
    count: int
    low: int
    high: int


class Counts(NamedTuple):
    """Values with their counts, and values that stand once."""

    values: list[str]
    counts: list[int]
    once: list[str]

    def add_to(self, totals: Counter[str]) -> None:
        """Add them up."""
        for value, count in zip(self.values, self.counts, strict=True):
            totals[value] += count
        totals.update(self.once)


def values_of(key: Key) -> Iterable[str]:
    """A key's different values."""
    return (key,) if isinstance(key, str) else dict.fromkeys(key or ())


def narrow(codes: Sequence[int], different: int) -> Sequence[int]:
    """Codes as bytes, where there are few enough different ones."""
    return bytes(memoryview(codes).cast("B")[::2]) if different <= BYTE and not isinstance(codes, bytes) else codes  # type: ignore[arg-type]


def picked(codes: Sequence[int], wanted: Sequence[bool]) -> bytes:
    """One byte an event: 1 where ``wanted`` is true of its code."""
    small = narrow(codes, len(wanted))
    if isinstance(small, bytes):
        return small.translate(bytes(wanted).ljust(BYTE, b"\0"))
    return bytes(map(wanted.__getitem__, codes))


def count_codes(codes: Sequence[int], selector: bytes | None = None) -> Counter[int]:
    """How often each code stands in a column, or in its selected events."""
    return Counter(codes if selector is None else compress(codes, selector))


def extend(connection: sqlite3.Connection, load: Load, first: int, last: int, *, finished: bool) -> None:
    """Count what may be counted of the runs between two rows, a partition's: all but its last run, or all if finished."""
    found = connection.execute(
        "select id, count from stretch where id between ? and ? order by id desc limit 1", (first, last)
    )
    reached = sum(found.fetchone() or (first, 0))
    runs = [
        Stretch(*row)
        for row in connection.execute(
            "select id, count, low, high from chunk where id between ? and ? order by id", (reached, last)
        )
    ]
    for group in _groups(runs if finished else runs[:-1], finished=finished):
        _save(connection, load, group)


def _groups(runs: list[Stretch], *, finished: bool) -> Iterator[list[Stretch]]:
    pending: list[Stretch] = []
    for run in runs:
        if pending and (follows(pending[-1]) != run.id or sum(each.count for each in pending) >= EVENTS):
            yield pending
            pending = []
        pending.append(run)
    if pending and (finished or sum(each.count for each in pending) >= EVENTS):
        yield pending


def follows(run: Stretch) -> int:
    """The row after a run."""
    return run.id + run.count


def _save(connection: sqlite3.Connection, load: Load, runs: list[Stretch]) -> None:
    first = runs[0].id
    for number, totals in totals_of(load, runs):
        connection.execute("replace into counted values (?, ?, ?)", (number, first, _pack(totals)))
    low, high = min(run.low for run in runs), max(run.high for run in runs)
    connection.execute("replace into stretch values (?, ?, ?, ?)", (first, sum(run.count for run in runs), low, high))


def totals_of(load: Load, runs: Sequence[Stretch]) -> Iterator[tuple[int, dict[Key, Counter[str]]]]:
    """``(number of a field, counts of its values by tenant)`` over runs, for fields that some of their events have."""
    tenants = [load(KEYWORDS.index(TENANT), run.id) for run in runs]
    for number in range(len(KEYWORDS)):
        totals: dict[Key, Counter[str]] = {}
        for run, owners in zip(runs, tenants, strict=True):
            _count(load(number, run.id), owners, totals)
        if totals:
            yield number, totals


def _count(column: Column, owners: Column, totals: dict[Key, Counter[str]]) -> None:
    if column is None:
        return
    keys, codes = column
    whose, owned = owners if owners is not None else ([None], None)
    for owner, tenant in enumerate(whose):
        selector = None
        if owned is not None and len(whose) > 1:
            selector = picked(owned, [code == owner for code in range(len(whose))])
        into = totals.setdefault(tenant, Counter())
        for code, count in count_codes(codes, selector).items():
            for value in values_of(keys[code]):
                into[value] += count


def _pack(totals: dict[Key, Counter[str]]) -> bytes:
    """By tenant: the values that stand more than once, their counts, and those that stand once, most of some fields."""
    rows = []
    for tenant, counts in totals.items():
        often = {value: count for value, count in counts.items() if count > 1}
        rows.append([tenant, list(often), list(often.values()), sorted(counts.keys() - often.keys())])
    return zstandard.compress(orjson.dumps(rows), 3)


def unpack(data: bytes) -> Iterator[tuple[Key, Counts]]:
    """Each tenant with its values."""
    for tenant, values, counts, once in orjson.loads(zstandard.decompress(data)):
        yield tuple(tenant) if isinstance(tenant, list) else tenant, Counts(values, counts, once)
