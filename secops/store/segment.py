"""Segment files: names, walking from frame to frame without decompressing, and the reader's index of frames."""

from __future__ import annotations

import os
import zlib
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from secops.store import frames
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX: Final = ".log"
PEEK: Final = 1024  # one read gets a usual header


def path_of(directory: Path, partition: int, first: int) -> Path:
    """``<directory>/<partition>/<first offset, 20 digits>.log``."""
    return directory / str(partition) / f"{first:020}{SUFFIX}"


def list_segments(directory: Path, partition: int) -> list[Path]:
    """The partition's segments, oldest first."""
    return sorted((directory / str(partition)).glob(f"*{SUFFIX}"))


def place(descriptor: int, at: int) -> frames.Placed | None:
    """The frame whose header begins at byte ``at``; None when no whole header is there. The body is not looked at."""
    data = os.pread(descriptor, PEEK, at)
    length = frames.lead(data)
    if not length:
        return None
    if len(data) < frames.LEAD.size + length:
        data = os.pread(descriptor, frames.LEAD.size + length, at)
    header = frames.decode(data, length)
    if header is None:
        return None
    body = at + frames.LEAD.size + length
    return frames.Placed(header, at, body, body + header.length)


def intact(descriptor: int, frame: frames.Placed) -> bool:
    """Whether the frame's body is all there and unchanged."""
    data = os.pread(descriptor, frame.header.length, frame.body)
    return len(data) == frame.header.length and zlib.crc32(data) == frame.header.crc


def walk(descriptor: int, size: int) -> Iterator[frames.Placed]:
    """Frames one after another, as far as whole headers follow one another inside ``size`` bytes."""
    at = 0
    while at < size:
        frame = place(descriptor, at)
        if frame is None or frame.end > size:
            return
        yield frame
        at = frame.end


def find_frame(descriptor: int, start: int, size: int) -> frames.Placed | None:
    """The first whole, intact frame that begins at or after ``start``: tells damage in the middle from a torn tail."""
    magic = frames.LEAD.pack(frames.MAGIC, 0, 0)[:4]
    step, at = 2**20, start
    while at < size:
        data = os.pread(descriptor, step + len(magic) - 1, at)
        hit = data.find(magic)
        while hit >= 0:
            frame = place(descriptor, at + hit)
            if frame is not None and frame.end <= size and intact(descriptor, frame):
                return frame
            hit = data.find(magic, hit + 1)
        at += step
    return None


class Segment:
    """A segment as a reader sees it: an index of its frames that grows with the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first = int(path.stem)
        self.end = self.first  # offset behind the last frame known
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._at = 0
        self._bases = array("Q")
        self._bodies = array("Q")
        self._lengths = array("L")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def extend(self, end: int) -> None:
        """Learn the frames below offset ``end``, as far as this file has them."""
        while self.end < end:
            frame = place(self._descriptor, self._at)
            if frame is None:
                if self._at < os.fstat(self._descriptor).st_size:
                    raise LogCorrupt(str(self.path), self._at, "no frame header")
                return
            self._bases.append(frame.header.base)
            self._bodies.append(frame.body)
            self._lengths.append(frame.header.length)
            self._at = frame.end
            self.end = frame.header.base + frame.header.events

    def base_of(self, offset: int) -> tuple[int, int]:
        """``(number of the frame, its first offset)`` of the frame that holds ``offset``, which must be known."""
        number = bisect_right(self._bases, offset) - 1
        return number, self._bases[number]

    def lines(self, number: int) -> list[bytes]:
        """The JSON lines of a frame.

        Raises:
            LogCorrupt: the frame is damaged (zstd's content checksum says so).
        """
        return self.split(number, self.text(number))

    def following(self, number: int) -> int:
        """The offset behind a frame's last event."""
        return self._bases[number + 1] if number + 1 < len(self._bases) else self.end

    def text(self, number: int) -> bytes:
        """The JSON lines of a frame, in one piece.

        Raises:
            LogCorrupt: as ``lines``.
        """
        body = os.pread(self._descriptor, self._lengths[number], self._bodies[number])
        try:
            return frames.text_of(body)
        except ValueError as error:
            raise LogCorrupt(str(self.path), self._bodies[number], str(error)) from error

    def split(self, number: int, text: bytes) -> list[bytes]:
        """A frame's text as lines.

        Raises:
            LogCorrupt: there are not as many as its header says.
        """
        try:
            return frames.split(text, count=self.following(number) - self._bases[number])
        except ValueError as error:
            raise LogCorrupt(str(self.path), self._bodies[number], str(error)) from error
