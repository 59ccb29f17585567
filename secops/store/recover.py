"""What a crash left behind, and which of it counts: decided here, carried out by the writer.

Rules:

1. An append writes and syncs the frames of all its partitions but one; only then the frames of that last one, the
   batch's commit partition, of which the very last is ``final`` and carries the sources' positions.
2. So a batch counts exactly when its final frame is whole. Frames of a batch without one are cut: its sender never
   got an acknowledgement and its source's position did not move, hence it is sent again: not lost, not repeated.
3. One append at a time, so only the tail of the newest segment of each partition can hold such frames.
4. ``checkpoint`` is written before any segment is begun: batches up to its number count, and every later frame lies
   in a newest segment. It also holds all positions, so that older segments need not be read, and may be removed.
   It lies there twice, each with its CRC-32: a byte that changes in one must not move a source.
5. What cannot be read below the watermark, or in front of a whole frame, is damage, not a torn tail: never cut.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.store import durable, segment
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from secops.store.frames import Header, Placed

CHECKPOINT: Final = "checkpoint.json"
COPY: Final = "checkpoint.copy"
FIRST: Final = {"batch", "positions"}  # all that files of the first version had


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to ``batch`` counts, and left the sources at ``positions``."""

    batch: int = 0
    positions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest segment of a partition as it was found: its whole frames, and the file's size."""

    path: Path
    frames: tuple[Placed, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What counts: per partition the byte behind the last frame that does, and the next offset."""

    bytes: dict[int, int]
    ends: dict[int, int]
    batch: int
    positions: dict[str, Any]


def load_checkpoint(directory: Path) -> Checkpoint | None:
    """The last checkpoint, or its copy where that cannot be read; None when none was written yet.

    Raises:
        LogCorrupt: neither can be read.
    """
    try:
        found = read_checkpoint(directory / CHECKPOINT)
    except LogCorrupt:
        found = read_checkpoint(directory / COPY)
        if found is None:
            raise
    return read_checkpoint(directory / COPY) if found is None else found


def read_checkpoint(path: Path) -> Checkpoint | None:
    """One of the two files; None when it is not there.

    Raises:
        LogCorrupt: it is not what was written.
    """
    try:
        found = orjson.loads(path.read_bytes())
        checkpoint = Checkpoint(int(found["batch"]), dict(found["positions"]))
        written = _crc(checkpoint) if found.keys() == FIRST else int(found["crc"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogCorrupt(str(path), 0, "unreadable checkpoint") from error
    if written != _crc(checkpoint):
        raise LogCorrupt(str(path), 0, "checksum of the checkpoint does not match")
    return checkpoint


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Store a checkpoint durably."""
    crc = _crc(checkpoint)
    content = orjson.dumps({"batch": checkpoint.batch, "positions": checkpoint.positions, "crc": crc})
    durable.replace(directory / CHECKPOINT, content)
    durable.replace(directory / COPY, content)


def _crc(checkpoint: Checkpoint) -> int:
    fields = [checkpoint.batch, checkpoint.positions]
    return zlib.crc32(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))


def look_at(path: Path, acknowledged: int) -> Tail:
    """Read a newest segment; bodies are verified from offset ``acknowledged`` on.

    Raises:
        LogCorrupt: a damaged frame lies below ``acknowledged``, or before a whole one.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        whole = _whole_frames(descriptor, size, acknowledged)
        end, at = (whole[-1].header.base + whole[-1].header.events, whole[-1].end) if whole else (int(path.stem), 0)
        if at < size and (end < acknowledged or segment.find_frame(descriptor, at + 1, size) is not None):
            raise LogCorrupt(str(path), at, "a damaged frame before whole ones")
    finally:
        os.close(descriptor)
    if end < acknowledged:
        raise LogCorrupt(str(path), at, f"ends at offset {end} but {acknowledged} was acknowledged")
    return Tail(path, tuple(whole), size)


def _whole_frames(descriptor: int, size: int, acknowledged: int) -> list[Placed]:
    whole = []
    for frame in segment.walk(descriptor, size):
        if frame.header.base + frame.header.events > acknowledged and not segment.intact(descriptor, frame):
            break
        whole.append(frame)
    return whole


def settle(tails: Mapping[int, Tail], checkpoint: Checkpoint) -> Settled:
    """Decide what counts (rule 2). Pure."""
    finals = [
        frame.header
        for tail in tails.values()
        for frame in tail.frames
        if frame.header.final and frame.header.batch > checkpoint.batch
    ]
    done = {header.batch for header in finals}
    ends, sizes = {}, {}
    for partition, tail in tails.items():
        ends[partition], sizes[partition] = int(tail.path.stem), 0
        for frame in tail.frames:
            if not _counts(frame.header, checkpoint.batch, done):
                break
            ends[partition], sizes[partition] = frame.header.base + frame.header.events, frame.end
    positions = dict(checkpoint.positions)
    for header in sorted(finals, key=lambda header: header.batch):
        positions.update(header.positions)
    return Settled(sizes, ends, max(done, default=checkpoint.batch), positions)


def _counts(header: Header, floor: int, done: set[int]) -> bool:
    return header.batch <= floor or header.batch in done


def recover(directory: Path, partitions: int, acknowledged: Mapping[int, int]) -> tuple[dict[int, Tail], Settled]:
    """Look at all newest segments below ``directory`` and settle them; partitions without any segment are left out.

    Raises:
        LogCorrupt: something that was whole is damaged, or the checkpoint of a rolled log is gone.
    """
    checkpoint, tails = load_checkpoint(directory), {}
    for partition in range(partitions):
        paths = segment.list_segments(directory, partition)
        if not paths:
            continue
        if checkpoint is None:
            raise LogCorrupt(str(directory / CHECKPOINT), 0, "the checkpoint is gone")
        tails[partition] = look_at(paths[-1], acknowledged.get(partition, 0))
    return tails, settle(tails, checkpoint or Checkpoint())
