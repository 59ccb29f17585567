from __future__ import annotations

import asyncio
import glob
import hashlib
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from pydantic import Field

from monitors.collector import Collector, CollectorSettings, stopped_within, submit_patiently
from monitors.framing import Line, LineSplitter
from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.record import Sink

PREFIX: Final = 256  # bytes at a file's start by which it is known again
_TELLING: Final = 64  # a shorter prefix does not tell files apart
_CHUNK: Final = 1 << 18
_ROTATED: Final = re.compile(r"[.-][0-9][0-9T:._-]*")  # .1, -20261124, .2026-11-24: not .gz, whose content is another


class FileTailSettings(CollectorSettings):
    """Files to follow; ``paths`` may be patterns (``/var/log/nginx/*.log``)."""

    paths: tuple[str, ...] = Field(min_length=1)
    format: Literal["line", "syslog", "json"] = "line"
    start: Literal["end", "beginning"] = "end"  # of a file that has no stored position when the collector starts
    host: str = Field(default_factory=socket.gethostname)
    max_message: int = Field(default=65_536, ge=480, le=1 << 20)  # bytes of a line
    max_files: int = Field(default=256, ge=1)
    poll_seconds: float = Field(default=0.5, gt=0)


class FileTailCollector(Collector, kind="file_tail"):
    """Follows files through rotation by rename and by copying and truncating; resumes exactly where the log says."""

    Settings = FileTailSettings

    def __init__(self, settings: FileTailSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self._tails: dict[str, Tail] = {}
        self._first = True

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Read what was written, again and again, until ``stop``."""
        try:
            while not stop.is_set():
                busy, unreadable = await self._round(sink, now, stop)
                self._tell(unreadable)
                self.ready.set()
                if not busy:
                    await stopped_within(stop, self.settings.poll_seconds)
        finally:
            for tail in self._tails.values():
                tail.close()
            self.failing("已停止", "stopped")

    async def _round(self, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> tuple[bool, list[str]]:
        """Read every file once; say whether there may be more at once, and what could not be read."""
        busy, unreadable = False, []
        self._look_for_files()
        for path, tail in self._tails.items():
            try:
                lines = await asyncio.to_thread(tail.poll)
            except OSError as error:
                unreadable.append(f"{path}: {error.strerror}")
                continue
            if lines and not await self._submit(tail, lines, sink, now, stop):
                break
            busy = busy or bool(lines)
        return busy, unreadable

    def _look_for_files(self) -> None:
        """Take up files that are new; a pattern may match none yet."""
        positions = self.surroundings.positions
        for path in _matching(self.settings.paths):
            if path not in self._tails and len(self._tails) < self.settings.max_files:
                source = f"{self.kind}:{path}"
                at_end = self._first and self.settings.start == "end"
                self._tails[path] = Tail(
                    Path(path), source, positions.get(source), self.settings.max_message, at_end=at_end
                )
        self._first = False

    async def _submit(
        self, tail: Tail, lines: list[Located], sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> bool:
        received, peer = now(), f"{self.settings.host}:{tail.path}"
        records = [
            Record(
                line.raw, received, self.kind, peer, self.tenant, self.settings.format, (tail.source, place), line.error
            )
            for line, place in lines
        ]
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        return await submit_patiently(sink, records, stop)

    def _tell(self, unreadable: list[str]) -> None:
        if unreadable:
            self.failing(f"无法读取 {'; '.join(unreadable)[:300]}", f"cannot read {'; '.join(unreadable)[:300]}")
        elif not self._tails:
            self.failing(
                f"没有文件匹配 {', '.join(self.settings.paths)}", f"no file matches {', '.join(self.settings.paths)}"
            )
        else:
            self.running(f"正在跟踪 {len(self._tails)} 个文件", f"following {len(self._tails)} files")


Located = tuple[Line, dict[str, Any]]
"""A line and the position that resumes after it: ``{"inode", "offset", "prefix", "length"}``."""


class Tail:
    """One path, followed through rotations. ``poll`` does blocking reads and gives whole lines only.

    A position names the file by inode and by the SHA-256 of its first ``length`` bytes, because an inode is used
    again after a rotation and a truncated file keeps it.
    """

    def __init__(
        self, path: Path, source: str, position: Mapping[str, Any] | None, longest: int, *, at_end: bool
    ) -> None:
        self.path = path
        self.source = source
        self._position = position
        self._longest = longest
        self._at_end = at_end and position is None
        self._file: BinaryIO | None = None
        self._splitter = LineSplitter(longest)
        self._prefix = hashlib.sha256().hexdigest()
        self._length = 0
        self._quiet = False  # the last look at a file that was moved away found nothing new

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def poll(self) -> list[Located]:
        """Read the next piece; empty when nothing was written.

        Raises:
            OSError: the file cannot be opened or read; it may be tried again.
        """
        if self._file is None and not self._open():
            return []
        if self._was_truncated():
            self._begin(0)
        chunk = self._read()
        if chunk:
            self._quiet = False
            return self._located(self._splitter.feed(chunk))
        return self._follow_rotation()

    def _open(self) -> bool:
        """Open the file to go on with: the one of the stored position, wherever it is now, else the one at the path."""
        position, self._position = self._position, None
        if position is not None and (found := self._find(position)) is not None:
            self._file = found
            self._begin(int(position["offset"]))
            return True
        try:
            self._file = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            self._at_end = False  # what comes into being later is new from its first byte
            self._position = position
            return False
        except OSError:
            self._position = position
            raise
        self._begin(_last_line_end(self._file) if self._at_end else 0)
        self._at_end = False
        return True

    def _find(self, position: Mapping[str, Any]) -> BinaryIO | None:
        """Give the file that ``position`` lies in, opened: at the path, or renamed or copied beside it."""
        for candidate in (self.path, *_siblings(self.path)):
            with suppress(OSError):
                file = candidate.open("rb", buffering=0)
                if _is_same(file, position, copied=candidate != self.path):
                    return file
                file.close()
        return None

    def _begin(self, offset: int) -> None:
        assert self._file is not None
        self._splitter = LineSplitter(self._longest, offset)
        self._prefix, self._length, self._quiet = *_prefix(self._file, PREFIX), False

    def _was_truncated(self) -> bool:
        """Say whether the open file was emptied and written anew, even past where we were."""
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._splitter.read:
            return True
        return self._length > 0 and _prefix(self._file, self._length)[0] != self._prefix

    def _read(self) -> bytes:
        assert self._file is not None
        chunk = os.pread(self._file.fileno(), _CHUNK, self._splitter.read)
        if chunk and self._length < PREFIX:
            self._prefix, self._length = _prefix(self._file, PREFIX)
        return chunk

    def _located(self, lines: Iterable[Line]) -> list[Located]:
        assert self._file is not None
        inode = os.fstat(self._file.fileno()).st_ino
        return [
            (line, {"inode": inode, "offset": line.end, "prefix": self._prefix, "length": self._length})
            for line in lines
        ]

    def _follow_rotation(self) -> list[Located]:
        """Move on to the file that was written next once this one has stayed quiet for a round: its writer may lag."""
        assert self._file is not None
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return []
        here = os.fstat(self._file.fileno())
        if (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev):
            return []
        if not self._quiet:
            self._quiet = True
            return []
        last = self._located(self._splitter.close())
        self.close()
        self._file = _successor(self.path, here).open("rb", buffering=0)
        self._begin(0)
        return last


def _successor(path: Path, here: os.stat_result) -> Path:
    """Give the rotated file that was written next after ``here``, else ``path``: there may have been several rotations."""
    later: list[tuple[int, int, Path]] = []
    for sibling in _siblings(path):
        if _ROTATED.fullmatch(sibling.name[len(path.name) :]):
            with suppress(OSError):
                state = sibling.stat()
                later.append((state.st_mtime_ns, state.st_ino, sibling))
    return min((found for found in later if found[:2] > (here.st_mtime_ns, here.st_ino)), default=(0, 0, path))[2]


def _prefix(file: BinaryIO, length: int) -> tuple[str, int]:
    start = os.pread(file.fileno(), length, 0)
    return hashlib.sha256(start).hexdigest(), len(start)


def _is_same(file: BinaryIO, position: Mapping[str, Any], *, copied: bool) -> bool:
    """Say whether ``position`` lies in ``file``; a copy has another inode, so its prefix must be long enough to tell."""
    state, length = os.fstat(file.fileno()), int(position["length"])
    if state.st_size < int(position["offset"]) or _prefix(file, length) != (position["prefix"], length):
        return False
    return state.st_ino == position["inode"] or (copied and length >= _TELLING)


def _siblings(path: Path) -> list[Path]:
    """Give what a rotation may have made of ``path``, newest first."""
    found: list[tuple[float, Path]] = []
    for sibling in path.parent.glob(glob.escape(path.name) + "[.-]*"):
        with suppress(OSError):
            if sibling.is_file():
                found.append((sibling.stat().st_mtime, sibling))
    return [sibling for _, sibling in sorted(found, reverse=True)[:50]]


def _last_line_end(file: BinaryIO) -> int:
    """Give where the last line that is not finished yet starts."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - _CHUNK)
    newline = os.pread(file.fileno(), size - start, start).rfind(b"\n")
    return start + newline + 1 if newline >= 0 else size if start else 0


def _matching(patterns: Iterable[str]) -> list[str]:
    """Give existing files for patterns, and plain paths whether they exist or not."""
    paths: list[str] = []
    for pattern in patterns:
        paths += sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207 - patterns are absolute
    return paths
