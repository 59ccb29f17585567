"""Repairing a log that cannot be read through: what can be read stays, and what cannot is named and counted.

Rules:

1. Offsets do not move: cursors, alerts and evidence name events by them. So a hole is filled with as many events that say
   what they stand for, of kind ``pipeline_error``.
2. A damaged file is put aside in ``damaged/``, never deleted.
3. The watermark is believed as long as it can be: events below it that no segment has were acknowledged, and are lost. A
   claim of more than ``MOST_MISSING`` in a partition is taken for a damaged watermark.
4. A torn tail is not damage: nobody was told that it was stored, and the next writer cuts it (recover.py).

The caller holds the writer's lock and the keeper's, so that nobody appends, seals or expires meanwhile.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zstandard

from secops.records import DATASET, INGESTED, KIND, MESSAGE, MODULE, PIPELINE_ERROR, TENANT, TIMESTAMP
from secops.store import chain, checkpoints, durable, ends, frames, recover, segment
from secops.store.check import damage, partitions_of
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.records import Event

ASIDE: Final = "damaged"
MOST_MISSING: Final = 2**23  # events: more than a segment of the usual size can hold
DRAFT: Final = ".repair"


@dataclass(frozen=True, slots=True)
class Hole:
    """``size`` bytes from ``at`` on cannot be read; events ``first`` to ``end - 1`` are lost with them (none: equal)."""

    path: Path
    at: int
    size: int
    first: int
    end: int

    @property
    def partition(self) -> int:
        """Where the events were."""
        return int(self.path.parent.name)

    @property
    def events(self) -> int:
        """How many are lost."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Damage:
    """All that is to be repaired: holes, whether the watermark is to be written anew, and the checkpoint."""

    holes: tuple[Hole, ...]
    limits: tuple[int, ...]  # per partition, the offset up to which events were acknowledged
    watermark: bool
    checkpoint: bool

    def __bool__(self) -> bool:
        return bool(self.holes) or self.watermark or self.checkpoint

    @property
    def events(self) -> int:
        """How many events are lost."""
        return sum(hole.events for hole in self.holes)

    @property
    def paths(self) -> list[Path]:
        """The segments with holes."""
        return sorted({hole.path for hole in self.holes})


def look(directory: Path, partitions: int, progress: Callable[[int, int], None] | None = None) -> Damage:
    """Everything that is to be repaired; changes nothing. ``progress`` hears (segments done, of).

    ``partitions``: how many there should be, for where the watermark cannot say it.
    """
    claimed, is_sound = _claimed(directory, partitions)
    parts = [segment.list_segments(directory, partition) for partition in range(len(claimed))]
    holes: list[Hole] = []
    limits, total, done = [], sum(map(len, parts)), 0
    for partition, (paths, claims) in enumerate(zip(parts, claimed, strict=True)):
        reached = start = _start(directory, partition, paths)
        at = 0
        if paths and start < int(paths[0].stem) <= start + MOST_MISSING:  # the oldest are gone without a tombstone
            holes.append(Hole(segment.path_of(directory, partition, start), 0, 0, start, int(paths[0].stem)))
        for number, path in enumerate(paths):
            end = int(paths[number + 1].stem) if number + 1 < len(paths) else None
            found, reached, at = _holes(path, end)
            holes += found
            done += 1
            if progress is not None:
                progress(done, total)
        claim = min(claims, key=lambda end: abs(end - reached))
        if reached < claim <= reached + MOST_MISSING:
            last = paths[-1] if paths else segment.path_of(directory, partition, start)
            holes.append(Hole(last, at, _size(last) - at, reached, claim))
        is_sound = is_sound and claim <= reached + MOST_MISSING
        limits.append(max(reached, claim) if claim <= reached + MOST_MISSING else reached)
    return Damage(tuple(holes), tuple(limits), watermark=not is_sound, checkpoint=not _checkpoint_is_sound(directory))


def mend(
    directory: Path,
    found: Damage,
    *,
    tenant: str,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Repair what ``look`` found; gives where damaged files lie now. Events that stand for lost ones are ``tenant``'s.

    Raises:
        OSError: the disk is full or failed; what was repaired so far stays so, and the same call may be made again.
    """
    _save_checkpoint(directory, len(found.limits))
    aside: list[Path] = []
    for number, path in enumerate(found.paths, 1):
        end = max(hole.end for hole in found.holes if hole.path == path)
        if path.exists():
            aside.append(_put_aside(directory, path, now))
        _rewrite(path, end, tenant, now)
        if progress is not None:
            progress(number, len(found.paths))
    if found.watermark:
        batch = recover.load_checkpoint(directory) or recover.Checkpoint()
        durable.replace(directory / ends.NAME, ends.content(batch.batch, list(found.limits)))
    return aside


def _claimed(directory: Path, partitions: int) -> tuple[list[set[int]], bool]:
    """``(what the watermark says of each partition's end, whether it is sound)``; two numbers where it contradicts itself."""
    try:
        watermark = ends.look(directory)
    except LogCorrupt:
        watermark = None
    if watermark is None:
        count = partitions_of(directory)
        return [{0} for _ in range(max(count, partitions))], not count and not (directory / ends.NAME).exists()
    try:
        begun, done = watermark.batches()
        doubtful = watermark.doubtful()
        claims = [{end, doubtful.get(partition, end)} for partition, end in enumerate(watermark.all()[1])]
        return claims, begun in {done, done + 1} and not doubtful
    finally:
        watermark.close()


def _start(directory: Path, partition: int, paths: Sequence[Path]) -> int:
    """The oldest offset that has not left by a tombstone; where the chain cannot say it, that of the oldest segment."""
    kept = int(paths[0].stem) if paths else 0
    try:
        links, signed = chain.read(directory, partition), checkpoints.read(directory)
    except ValueError:
        return kept
    if signed and len(links) < signed[-1].reached(partition):
        return kept
    return max((link.end for link in links if link.kind == chain.TOMBSTONE), default=0)


def _checkpoint_is_sound(directory: Path) -> bool:
    try:
        main, copy = (recover.read_checkpoint(directory / name) for name in (recover.CHECKPOINT, recover.COPY))
    except LogCorrupt:
        return False
    return main is not None or (copy is None and not any(directory.glob(f"*/*{segment.SUFFIX}")))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _holes(path: Path, end: int | None) -> tuple[list[Hole], int, int]:
    """``(holes, offset reached, byte reached)`` of a segment, up to the next one's first offset ``end`` (None: the newest)."""
    found, reached, at = [], int(path.stem), 0
    for piece in _pieces(path, end):
        if isinstance(piece, Hole):
            found.append(piece)
            reached = piece.end
        else:
            reached, at = piece.header.base + piece.header.events, piece.end
    return found, reached, at


def _pieces(path: Path, end: int | None) -> Iterator[frames.Placed | Hole]:
    """Every readable frame of a segment, and the holes between them, and before ``end``. No file: one hole."""
    expected, at, size = int(path.stem), 0, _size(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if size else -1
    try:
        while at < size:
            frame = _next(descriptor, at, size, expected)
            if frame is None:
                break
            if frame.start > at or frame.header.base > expected:
                yield Hole(path, at, frame.start - at, expected, frame.header.base)
            yield frame
            expected, at = frame.header.base + frame.header.events, frame.end
    finally:
        if size:
            os.close(descriptor)
    if end is not None and (expected < end or at < size):
        yield Hole(path, at, size - at, expected, max(end, expected))


def _next(descriptor: int, at: int, size: int, expected: int) -> frames.Placed | None:
    """The first readable frame at or behind ``at`` whose events are not behind us already."""
    frame = segment.place(descriptor, at)
    if frame is None or frame.end > size:
        frame = segment.find_frame(descriptor, at + 1, size)
    while frame is not None and (frame.header.base < expected or damage(descriptor, frame)):
        frame = segment.find_frame(descriptor, frame.start + 1, size)
    return frame


def _save_checkpoint(directory: Path, partitions: int) -> None:
    """Write down what counts before frames that say so are replaced.

    Else the next writer would cut a batch whose final frame was lost, though other partitions still have its events.
    """
    before = _last_checkpoint(directory)
    headers: list[frames.Header] = []
    closed = 0
    for partition in range(partitions):
        for path in segment.list_segments(directory, partition)[-2:]:
            found = [piece.header for piece in _pieces(path, None) if not isinstance(piece, Hole)]
            if path != segment.list_segments(directory, partition)[-1]:
                closed = max([closed, *(header.batch for header in found)])
            headers += found
    finals = sorted((h for h in headers if h.final and h.batch > before.batch), key=lambda h: h.batch)
    positions = dict(before.positions)
    for header in finals:
        positions.update(header.positions)
    done = {closed, before.batch, _done(directory), *(header.batch for header in finals)}
    newest = max((header.batch for header in headers), default=0)
    batch = max(newest if max(done) >= newest else newest - 1, before.batch)
    recover.save_checkpoint(directory, recover.Checkpoint(batch, positions))


def _last_checkpoint(directory: Path) -> recover.Checkpoint:
    try:
        return recover.load_checkpoint(directory) or recover.Checkpoint()
    except LogCorrupt:
        return recover.Checkpoint()


def _done(directory: Path) -> int:
    """The last batch that the watermark says is done; 0 when it cannot be read."""
    try:
        watermark = ends.look(directory)
    except LogCorrupt:
        return 0
    if watermark is None:
        return 0
    try:
        begun, done = watermark.batches()
        return max(done, begun - 1)
    finally:
        watermark.close()


def _rewrite(path: Path, end: int, tenant: str, now: datetime) -> None:
    """Write a segment anew with its holes filled, up to ``end`` at least."""
    draft = path.with_name(f".{path.name}{DRAFT}")
    durable.make_directory(path.parent)
    try:
        with draft.open("wb") as file:
            _copy(path, end, file.write, tenant, now)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    durable.sync_directory(path.parent)


def _copy(path: Path, end: int, write: Callable[[bytes], object], tenant: str, now: datetime) -> None:
    """Every readable frame of ``path`` with its holes filled; what fills them is dated as the frame before."""
    pieces = list(_pieces(path, None))
    placed = [piece for piece in pieces if isinstance(piece, frames.Placed)]
    time, reached = now.isoformat(), int(path.stem)
    if placed:
        time, reached = placed[0].header.time, placed[-1].header.base + placed[-1].header.events
    pieces.append(Hole(path, _size(path), 0, reached, max(reached, end)))
    with open(path if placed else os.devnull, "rb") as source:  # noqa: PTH123 - one of two names
        for piece in pieces:
            if isinstance(piece, Hole):
                for frame in _filling(piece, time, tenant, now):
                    write(frame)
            else:
                time = piece.header.time
                write(os.pread(source.fileno(), piece.end - piece.start, piece.start))


def _put_aside(directory: Path, path: Path, now: datetime) -> Path:
    aside = directory / ASIDE / path.parent.name / f"{path.name}.{now:%Y%m%dT%H%M%S}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.unlink(missing_ok=True)  # of an attempt in the same second that was broken off
    os.link(path, aside)
    durable.sync_directory(aside.parent)
    return aside


def _filling(hole: Hole, time: str, tenant: str, now: datetime) -> Iterator[bytes]:
    """Frames of a hole's events. ``time``: of the frame before, so that they leave with their neighbours."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    line = frames.to_line(lost(hole, tenant, now)) + b"\n"
    for base in range(hole.first, hole.end, frames.EVENTS_PER_FRAME):
        count = min(frames.EVENTS_PER_FRAME, hole.end - base)
        header = frames.Header(hole.partition, base, count, 0, 0, 0, hole.partition, False, {}, time)
        yield frames.encode(header, compressor.compress(line * count))


def lost(hole: Hole, tenant: str, now: datetime) -> Event:
    """The event that stands for each one lost in a hole."""
    moment = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    name = f"{hole.partition}/{hole.path.name}"
    event: dict[str, Any] = {
        TIMESTAMP: moment,
        INGESTED: moment,
        KIND: PIPELINE_ERROR,
        MODULE: "secops",
        DATASET: "secops.store",
        TENANT: tenant,
        MESSAGE: f"此处的事件已损坏，无法恢复 / the event that was here was damaged and is lost: {name}, byte {hole.at}, "
        f"events {hole.first} to {hole.end - 1}",
        "event.action": "store.lost",
    }
    return event
