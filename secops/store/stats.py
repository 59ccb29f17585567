"""What lies in the log: per partition and tenant, from the seals, so that only what is not sealed yet is read.

``detail`` reads everything: per tenant, day of writing and source. Both may run beside a writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.records import HOST, TENANT
from secops.store import chain, ends, repack, segment
from secops.store.log import LogCorrupt
from secops.store.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secops.store.tally import Share

DAY_SECONDS: Final = 86_400
HOUR_SECONDS: Final = 3600
MOST_ROWS: Final = 100_000  # of a detail; what comes beyond them is counted without its source
COLLECTOR: Final = "agent.type"
DIMENSIONS: Final = ("tenant", "day", "collector", "host")


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: events, bytes of JSON lines, bytes on disk, first and last time of writing (RFC 3339, or empty)."""

    partition: int
    segments: int
    sealed: int
    events: int
    raw: int
    disk: int
    since: str
    until: str

    @property
    def ratio(self) -> float:
        """How many raw bytes a byte on disk holds; 0 when there is none."""
        return self.raw / self.disk if self.disk else 0.0


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole log."""

    parts: tuple[Part, ...]
    tenants: dict[str, Share]
    index_bytes: int
    free: int

    @property
    def disk(self) -> int:
        """Bytes of all segments."""
        return sum(part.disk for part in self.parts)

    def days_left(self, reserve: int) -> float | None:
        """How many days the disk takes on at the mean rate of all that is kept; None while there is under an hour of it."""
        times = [datetime.fromisoformat(text) for part in self.parts for text in (part.since, part.until) if text]
        seconds = (max(times) - min(times)).total_seconds() if times else 0.0
        written = self.disk + self.index_bytes
        if seconds < HOUR_SECONDS or not written:
            return None
        return max(self.free - reserve, 0) / written * seconds / DAY_SECONDS


@dataclass(slots=True)
class Row:
    """One line of a detail: ``disk`` is its share of the frames by raw bytes; ``since``, ``until`` are times of writing."""

    events: int = 0
    raw: int = 0
    disk: float = 0.0
    since: str = ""
    until: str = ""

    def add(self, raw: int, disk: float, written: str) -> None:
        """Count one event."""
        self.events += 1
        self.raw += raw
        self.disk += disk
        self.since = min(self.since, written) if self.since else written
        self.until = max(self.until, written)


def detail(
    directory: Path, by: frozenset[str], progress: Callable[[int, int], None] | None = None
) -> dict[tuple[str, ...], Row]:
    """Rows by those of ``DIMENSIONS`` that are in ``by`` (the others are empty). ``progress`` hears (bytes read, of).

    Raises:
        LogCorrupt: the watermark cannot be read; of a damaged segment the rest is left out.
    """
    paths = [
        path for partition in range(_partitions(directory)) for path in segment.list_segments(directory, partition)
    ]
    total, done = sum(_size(path) for path in paths), 0
    rows: dict[tuple[str, ...], Row] = {}
    for path in paths:
        for header, lines in _frames(path):
            ratio = header.length / max(sum(map(len, lines)) + len(lines), 1)
            for line in lines:
                _row(rows, line, header.time, by).add(len(line) + 1, (len(line) + 1) * ratio, header.time)
        done += _size(path)
        if progress is not None:
            progress(min(done, total), total)
    return dict(sorted(rows.items()))


def _row(rows: dict[tuple[str, ...], Row], line: bytes, written: str, by: frozenset[str]) -> Row:
    event = orjson.loads(line) if by - {"day"} else {}
    values = (event.get(TENANT), written[:10], event.get(COLLECTOR), event.get(HOST))
    key = tuple(str(value or "") if name in by else "" for name, value in zip(DIMENSIONS, values, strict=True))
    if key not in rows and len(rows) >= MOST_ROWS:
        key = (*key[:2], "", "")
    return rows.setdefault(key, Row())


def _frames(path: Path) -> Iterator[tuple[Any, list[bytes]]]:
    try:
        yield from repack.frames_of(path)
    except (LogCorrupt, FileNotFoundError):  # it grows, is damaged, or has just expired
        return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _partitions(directory: Path) -> int:
    watermark = ends.look(directory)
    if watermark is None:
        return 0
    try:
        return watermark.partitions
    finally:
        watermark.close()


def stats(directory: Path, index: Path, free: int, progress: Callable[[int, int], None] | None = None) -> Stats:
    """Count everything; may run beside a writer. ``progress`` hears (partitions done, of)."""
    partitions, parts, total = _partitions(directory), [], Tally()
    for partition in range(partitions):
        parts.append(_part(directory, partition, total))
        if progress is not None:
            progress(partition + 1, partitions)
    size = sum(_size(path) for path in index.rglob("*") if path.is_file()) if index.is_dir() else 0
    return Stats(tuple(parts), total.shares, size, free)


def _part(directory: Path, partition: int, total: Tally) -> Part:
    sealed = {link.first: link for link in chain.standing(chain.read(directory, partition))}
    own, disk, paths = Tally(), 0, segment.list_segments(directory, partition)
    for path in paths:
        disk += _size(path)
        seal = sealed.get(int(path.stem))
        own.add_all(_open(path) if seal is None else seal.fields["tenants"])
    total.add_all(own.as_dict())
    known = sum(int(path.stem) in sealed for path in paths)
    return Part(partition, len(paths), known, own.events, own.raw, disk, *own.span())


def _open(path: Path) -> dict[str, list[Any]]:
    """The tenants of a segment without a seal, as far as it can be read: it may grow, or be damaged."""
    tally = Tally()
    for header, lines in _frames(path):
        tally.count(lines, header.time)
    return tally.as_dict()
