"""Verifying a log as it lies on disk: every frame's header, order, checksum and number of events."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secops.store import ends, frames, segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with a segment, at a byte of the file."""

    path: str
    at: int
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified, and what is wrong."""

    segments: int
    frames: int
    events: int
    bytes: int
    flaws: tuple[Flaw, ...]


def check(directory: Path) -> Report:
    """Verify every segment below ``directory`` up to the watermark; changes nothing, and may run beside a writer."""
    watermark = ends.look(directory)
    if watermark is None:
        return Report(0, 0, 0, 0, (Flaw(str(directory / ends.NAME), 0, "there is no log here"),))
    try:
        limits = watermark.all()[1]
    finally:
        watermark.close()
    flaws: list[Flaw] = []
    seen, count = [0, 0, 0], 0
    for partition, limit in enumerate(limits):
        paths = segment.list_segments(directory, partition)
        following = [int(path.stem) for path in paths[1:]] + [limit]
        for path, end in zip(paths, following, strict=False):
            count += 1
            flaws += _check_segment(path, end, seen)
    return Report(count, seen[0], seen[1], seen[2], tuple(flaws))


def _check_segment(path: Path, end: int, seen: list[int]) -> Iterator[Flaw]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        expected, at, size = int(path.stem), 0, os.fstat(descriptor).st_size
        while expected < end:
            frame = segment.place(descriptor, at) if at < size else None
            if frame is None or frame.end > size:
                yield Flaw(str(path), at, f"no whole frame; events from offset {expected} on are missing")
                frame = segment.find_frame(descriptor, at + 1, size)
                if frame is None:
                    return
            elif frame.header.base != expected:
                yield Flaw(str(path), at, f"frame begins with offset {frame.header.base} instead of {expected}")
            why = _damage(descriptor, frame)
            if why:
                yield Flaw(str(path), frame.body, why)
            seen[0] += 1
            seen[1] += frame.header.events
            seen[2] += frame.end - frame.start
            expected, at = frame.header.base + frame.header.events, frame.end
    finally:
        os.close(descriptor)


def _damage(descriptor: int, frame: frames.Placed) -> str:
    if not segment.intact(descriptor, frame):
        return "checksum of the frame does not match"
    try:
        lines = frames.lines_of(os.pread(descriptor, frame.header.length, frame.body), count=frame.header.events)
        frames.to_events(lines, frame.header.partition, frame.header.base)
    except ValueError as error:
        return str(error)
    return ""
