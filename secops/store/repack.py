"""Writing a finished segment anew before it is sealed: full frames, compressed harder, the same events to the byte.

A trickle of events leaves frames of a few events each, and the writer compresses fast rather than well. The new file
takes the old one's name in one step, so readers have the old file or the new one, and a crash leaves one of them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import zstandard

from secops.store import durable, frames, segment
from secops.store.log import LogCorrupt
from secops.store.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEVEL: Final = 9
DRAFT: Final = ".sealing"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of a segment: its tenants' shares, the offset behind its last event, SHA-256 of all lines."""

    tally: Tally
    end: int
    lines_sha256: str


def read(path: Path, each: Callable[[frames.Header, list[bytes]], None] | None = None) -> Contents:
    """Read a whole segment that no longer grows; ``each`` gets every frame's header and lines.

    Raises:
        LogCorrupt: a frame is damaged or out of its place.
    """
    tally, seen, digest = Tally(), int(path.stem), hashlib.sha256()
    for header, lines in frames_of(path):
        if header.base != seen:
            raise LogCorrupt(str(path), 0, f"offset {header.base} instead of {seen}")
        tally.count(lines, header.time)
        seen += header.events
        digest.update(b"\n".join([*lines, b""]))
        if each is not None:
            each(header, lines)
    return Contents(tally, seen, digest.hexdigest())


def frames_of(path: Path) -> Iterator[tuple[frames.Header, list[bytes]]]:
    """Every frame of a segment with its JSON lines.

    Raises:
        LogCorrupt: a frame is damaged.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, at = os.fstat(descriptor).st_size, 0
        while at < size:
            frame = segment.place(descriptor, at)
            if frame is None or frame.end > size:
                raise LogCorrupt(str(path), at, "no whole frame")
            body = os.pread(descriptor, frame.header.length, frame.body)
            try:
                yield frame.header, frames.lines_of(body, count=frame.header.events)
            except ValueError as error:
                raise LogCorrupt(str(path), frame.body, str(error)) from error
            at = frame.end
    finally:
        os.close(descriptor)


def repack(path: Path) -> Contents:
    """Write the segment anew in full frames, compare, and put it in the old one's place; the old one stays on error.

    Raises:
        LogCorrupt: the segment is damaged; nothing was changed.
        OSError: the disk is full or failed; nothing was changed.
    """
    draft = path.with_name(f".{path.name}{DRAFT}")
    try:
        with draft.open("wb") as file:
            packer = _Packer(file.write)
            contents = read(path, packer.take)
            packer.flush()
            file.flush()
            os.fsync(file.fileno())
        _compare(draft, contents)
        os.chmod(draft, path.stat().st_mode & 0o777)  # noqa: PTH101 - Path.chmod follows links, as this does
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    durable.sync_directory(path.parent)
    return contents


def remove_drafts(directory: Path) -> None:
    """Remove what a killed process left half written."""
    for draft in directory.glob(f"*/.*{DRAFT}"):
        draft.unlink(missing_ok=True)


class _Packer:
    """Gathers lines into full frames."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        self._lines: list[bytes] = []
        self._last: frames.Header | None = None

    def take(self, header: frames.Header, lines: list[bytes]) -> None:
        """Add a frame's lines; ``header`` is theirs."""
        if self._lines and len(self._lines) + len(lines) > frames.EVENTS_PER_FRAME:
            self.flush()
        if not lines:
            return
        base = header.base if self._last is None or not self._lines else self._last.base
        self._lines += lines
        self._last = header._replace(base=base)

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._lines or self._last is None:
            return
        body = self._compressor.compress(b"\n".join([*self._lines, b""]))
        header = self._last._replace(events=len(self._lines), final=False, positions={})
        self._write(frames.encode(header, body))
        self._lines = []


def _compare(draft: Path, contents: Contents) -> None:
    digest = hashlib.sha256()
    for _, lines in frames_of(draft):
        digest.update(b"\n".join([*lines, b""]))
    if digest.hexdigest() != contents.lines_sha256:
        raise OSError(f"{draft} does not read back as it was written; the segment stays as it is")
