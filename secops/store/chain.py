"""The chain of a partition: one line for every segment that was sealed, and one for every segment that left.

``<log>/seals/<partition>.jsonl``; each line is JSON with sorted keys and holds the SHA-256 of the line before it, so a
line that is changed or taken out shows. A torn last line (a crash while it was written) was never acted on: it is cut
by the next writer and not seen by readers.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.store import durable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FOLDER: Final = "seals"
GENESIS: Final = "0" * 64
SEAL: Final = "seal"
TOMBSTONE: Final = "tombstone"


@dataclass(frozen=True, slots=True)
class Link:
    """One line of the chain."""

    fields: dict[str, Any]
    line: bytes  # without its newline: what is hashed and what the checkpoint's tree holds

    @property
    def kind(self) -> str:
        """``seal`` or ``tombstone``."""
        return str(self.fields["kind"])

    @property
    def number(self) -> int:
        """Its place in the chain, from 0."""
        return int(self.fields["number"])

    @property
    def first(self) -> int:
        """First offset of the segment; names its file."""
        return int(self.fields["first"])

    @property
    def end(self) -> int:
        """Offset behind the segment's last event."""
        return int(self.fields["end"])

    @property
    def hash(self) -> str:
        """What the next line refers to."""
        return hashlib.sha256(self.line).hexdigest()


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold: the byte of the file, and why."""

    at: int
    why: str


def path_of(directory: Path, partition: int) -> Path:
    """The chain's file."""
    return directory / FOLDER / f"{partition}.jsonl"


def read(directory: Path, partition: int) -> list[Link]:
    """All whole links, in order; the chain is not verified.

    Raises:
        ValueError: a line is not one of ours.
    """
    return [_link(line) for line in whole_lines(path_of(directory, partition))]


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that only grows, without a torn last one; none when there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return lines[:-1]


def append(directory: Path, partition: int, last: Link | None, fields: Mapping[str, Any]) -> Link:
    """Add a link behind ``last`` (the newest one, None for the first), durably.

    Raises:
        OSError: it is not there; a torn piece of it is cut by the next call.
    """
    number, previous = (0, GENESIS) if last is None else (last.number + 1, last.hash)
    whole = {**fields, "partition": partition, "number": number, "previous": previous}
    line = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    append_line(path_of(directory, partition), line)
    return Link(whole, line)


def append_line(path: Path, line: bytes) -> None:
    """Put a line behind the last whole one of a file, durably."""
    durable.make_directory(path.parent)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        end = _whole_size(descriptor)
        os.ftruncate(descriptor, end)
        rest = memoryview(line + b"\n")
        while rest:
            written = os.pwrite(descriptor, rest, end)
            rest, end = rest[written:], end + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        durable.sync_directory(path.parent)


def find_break(lines: Sequence[bytes]) -> Break | None:
    """The first place where lines do not form a chain. Pure."""
    at, previous = 0, GENESIS
    for number, line in enumerate(lines):
        try:
            link = _link(line)
        except ValueError as error:
            return Break(at, f"line {number + 1} cannot be read: {error}")
        if link.number != number or link.fields.get("previous") != previous:
            return Break(at, f"line {number + 1} does not follow the line before it")
        at, previous = at + len(line) + 1, link.hash
    return None


def standing(links: Sequence[Link]) -> list[Link]:
    """The seals of segments that have no tombstone, in order of offsets; of a segment sealed again, the newer seal."""
    gone = {link.first for link in links if link.kind == TOMBSTONE}
    seals = {link.first: link for link in links if link.kind == SEAL and link.first not in gone}
    return [seals[first] for first in sorted(seals)]


def _whole_size(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    step = 2**16
    at = size
    while at > 0:
        start = max(at - step, 0)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _link(line: bytes) -> Link:
    fields = orjson.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a malformed line, as the parser says it too
    missing = {"kind", "number", "first", "end", "previous", "partition"} - fields.keys()
    if missing:
        raise ValueError(f"without {', '.join(sorted(missing))}")
    if fields["kind"] not in {SEAL, TOMBSTONE}:
        raise ValueError(f"kind {fields['kind']!r:.40}")
    return Link(fields, line)
