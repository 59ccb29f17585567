"""Verifying a log as it lies on disk: every frame's header, order, checksum and events; the watermark; the checkpoint.

Beside a writer only what was acknowledged when the check began is looked at. Without one everything is: then what a
crash left behind the last whole frame is told as a torn tail, which the next writer cuts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops.store import ends, frames, recover, segment
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BEGUN_AT: Final = 2 * ends.WORD  # where the watermark file has the numbers of batches


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with a file of the store, at a byte of it."""

    path: str
    at: int
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified, and what is wrong; ``torn`` are tails of batches that nobody was told were stored."""

    segments: int
    frames: int
    events: int
    bytes: int
    flaws: tuple[Flaw, ...]
    torn: tuple[Flaw, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What a check has come across so far."""

    segments: int = 0
    frames: int = 0
    events: int = 0
    bytes: int = 0
    torn: list[Flaw] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)  # partition -> offset behind its last whole frame
    behind: dict[int, int] = field(
        default_factory=dict
    )  # partition -> least batch of a frame at or behind the watermark
    below: int = 0  # greatest batch of a frame below the watermark


def check(directory: Path, *, writing: bool = False, progress: Callable[[int, int], None] | None = None) -> Report:
    """Verify every segment below ``directory``; changes nothing. ``progress`` hears (bytes done, of).

    ``writing``: a writer may be at work, so nothing behind the watermark is looked at.
    """
    seen, flaws = _Seen(), list(_checkpoint_flaws(directory))
    try:
        watermark = ends.look(directory)
    except LogCorrupt as error:
        flaws.append(Flaw(error.place, error.at, error.why))
        limits = None
    else:
        if watermark is None:
            return Report(0, 0, 0, 0, (Flaw(str(directory / ends.NAME), 0, "there is no log here"),))
        batches, limits, doubtful = watermark.batches(), watermark.all()[1], watermark.doubtful()
        watermark.close()
    flaws += _segment_flaws(directory, limits, seen, progress, writing=writing)
    if limits is not None and not writing:
        flaws += _watermark_flaws(directory / ends.NAME, batches, limits, doubtful, seen)
    return Report(seen.segments, seen.frames, seen.events, seen.bytes, tuple(flaws), tuple(seen.torn))


def partitions_of(directory: Path) -> int:
    """How many partitions there are by the folders, for where the watermark does not say it."""
    return max((int(path.name) + 1 for path in directory.glob("[0-9]*") if path.name.isdecimal()), default=0)


def damage(descriptor: int, frame: frames.Placed) -> str:
    """What is wrong with a frame whose header is whole; empty when nothing is."""
    if not segment.intact(descriptor, frame):
        return "checksum of the frame does not match"
    try:
        lines = frames.lines_of(os.pread(descriptor, frame.header.length, frame.body), count=frame.header.events)
        frames.to_events(lines, frame.header.partition, frame.header.base, whole=False)
    except ValueError as error:
        return str(error)
    return ""


def _checkpoint_flaws(directory: Path) -> Iterator[Flaw]:
    for name in (recover.CHECKPOINT, recover.COPY):
        try:
            recover.read_checkpoint(directory / name)
        except LogCorrupt as error:
            yield Flaw(error.place, error.at, error.why)
    if not (directory / recover.CHECKPOINT).exists() and any(directory.glob(f"*/*{segment.SUFFIX}")):
        yield Flaw(str(directory / recover.CHECKPOINT), 0, "the checkpoint is gone")


def _segment_flaws(
    directory: Path,
    limits: list[int] | None,
    seen: _Seen,
    progress: Callable[[int, int], None] | None,
    *,
    writing: bool,
) -> Iterator[Flaw]:
    count = partitions_of(directory) if limits is None else len(limits)
    parts = {partition: segment.list_segments(directory, partition) for partition in range(count)}
    total, done = sum(_size(path) for paths in parts.values() for path in paths), 0
    for partition, paths in parts.items():
        limit = 0 if limits is None else limits[partition]
        if not paths and limit:
            yield Flaw(str(directory / str(partition)), 0, f"all segments are gone; {limit} events were stored")
        for path, newer in zip(paths, [*paths[1:], None], strict=False):
            seen.segments += 1
            walk = _Walk(path, partition, limit, seen, writing=writing)
            yield from walk.finished(int(newer.stem)) if newer is not None else walk.newest()
            done += _size(path)
            if progress is not None:
                progress(min(done, total), total)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # expired meanwhile
        return 0


class _Walk:
    """The walk through one segment."""

    def __init__(self, path: Path, partition: int, limit: int, seen: _Seen, *, writing: bool) -> None:
        self._path, self._partition, self._limit, self._seen, self._writing = path, partition, limit, seen, writing
        self._expected, self._at, self._is_gone = int(path.stem), 0, False

    def finished(self, end: int) -> Iterator[Flaw]:
        """Of a segment that a newer one follows, which begins with offset ``end``."""
        yield from self._frames(newest=False)
        if self._expected != end and not self._is_gone:
            yield self._flaw(self._at, f"events {self._expected} to {end - 1} are missing")

    def newest(self) -> Iterator[Flaw]:
        """Of a segment that grows."""
        yield from self._frames(newest=True)
        if self._expected < self._limit and not self._is_gone:
            yield self._flaw(self._at, f"events {self._expected} to {self._limit - 1} are missing")
        self._seen.ends[self._partition] = self._expected

    def _frames(self, *, newest: bool) -> Iterator[Flaw]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # expired since it was listed
            self._is_gone = True
            return
        try:
            size = os.fstat(descriptor).st_size
            while self._at < size and not (newest and self._writing and self._expected >= self._limit):
                yield from self._frame(descriptor, size, newest=newest)
        finally:
            os.close(descriptor)

    def _frame(self, descriptor: int, size: int, *, newest: bool) -> Iterator[Flaw]:
        frame, start = segment.place(descriptor, self._at), self._at
        why = "no whole frame" if frame is None or frame.end > size else damage(descriptor, frame)
        if frame is None or why:
            frame = segment.find_frame(descriptor, self._at + 1, size)
            if frame is None:  # nothing whole follows
                self._at = size
                torn = newest and self._expected >= self._limit
                flaw = self._flaw(start, why if not torn else f"{size - start} bytes of a batch that was never whole")
                if torn:
                    self._seen.torn.append(flaw)
                else:
                    yield flaw
                return
            yield self._flaw(start, f"{why}; the next whole frame begins at byte {frame.start}")
        if frame.header.base != self._expected:
            yield self._flaw(frame.start, f"begins with event {frame.header.base} instead of {self._expected}")
        self._count(frame, newest=newest)

    def _count(self, frame: frames.Placed, *, newest: bool) -> None:
        header, seen = frame.header, self._seen
        seen.frames += 1
        seen.events += header.events
        seen.bytes += frame.end - frame.start
        self._expected, self._at = header.base + header.events, frame.end
        if newest and header.events and self._expected > self._limit:
            seen.behind[self._partition] = min(header.batch, seen.behind.get(self._partition, header.batch))
        elif header.events:
            seen.below = max(seen.below, header.batch)

    def _flaw(self, at: int, why: str) -> Flaw:
        return Flaw(str(self._path), at, why)


def _watermark_flaws(
    path: Path, batches: tuple[int, int], limits: list[int], doubtful: dict[int, int], seen: _Seen
) -> Iterator[Flaw]:
    """Whether the watermark fits itself and the segments; a writer killed at work leaves it one batch behind."""
    begun, done = batches
    if begun not in {done, done + 1} or seen.below > done + 1:
        yield Flaw(str(path), BEGUN_AT, f"batches {begun} and {done} do not fit frames of batches up to {seen.below}")
    for partition, other in sorted(doubtful.items()):
        yield Flaw(str(path), _at(partition), f"ends partition {partition} at {limits[partition]}, and at {other}")
    for partition, batch in sorted(seen.behind.items()):
        if batch <= done and partition not in doubtful:
            why = f"ends partition {partition} at {limits[partition]}; events up to {seen.ends[partition]} were acknowledged"
            yield Flaw(str(path), _at(partition), why)


def _at(partition: int) -> int:
    return (ends.FIXED + partition) * ends.WORD
