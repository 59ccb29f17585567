"""A zip of which every byte follows from its contents: sorted names, stored, one fixed time, nothing optional.

Written by hand because the bytes are part of the format: the verifier rebuilds every header and compares.
APPNOTE.TXT 6.3 section 4.3 is the source of the layout.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from secops.evidence.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_FILES = 20_000
MAX_BYTES = 0xFFFF_FFFF - 64 * 1024 * 1024  # a 32-bit zip with room for its directory
MAX_PATH = 240  # bytes of UTF-8
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_VERSION, _UTF8, _STORED, _TIME, _DATE = 20, 0x0800, 0, 0, 0x0021  # 1980-01-01 00:00, the first moment zip knows
_MADE_BY = 3 << 8 | _VERSION  # Unix: Info-ZIP mangles UTF-8 names of any other maker
_MODE = 0o100644 << 16  # a plain file, never a link
_CHUNK = 1 << 20
_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$")
_FORBIDDEN = frozenset('<>:"|?*\\')


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be written: its size and CRC-32 are known before its bytes are copied."""

    path: str
    size: int
    crc: int
    open: Callable[[], Iterator[bytes]]


def entry_of(path: str, content: bytes) -> Entry:
    """Give the entry of a small file that is in memory."""
    return Entry(path, len(content), zlib.crc32(content), lambda: iter((content,)))


def check_path(path: str) -> None:
    """Refuse a path that could harm or confuse whoever unpacks it, on any system.

    Raises:
        EvidenceError: ``evidence.path``.
    """
    parts = path.split("/")
    bad = (
        not 0 < len(path.encode("utf-8", "surrogatepass")) <= MAX_PATH
        or unicodedata.normalize("NFC", path) != path
        or any(unicodedata.category(char)[0] == "C" or char in _FORBIDDEN for char in path)
        or any(part in ("", ".", "..") or part[-1] in ". " or part[0] == " " or _DEVICES.match(part) for part in parts)
    )
    if bad:
        raise EvidenceError(
            "evidence.path",
            f"证据文件路径 {path[:200]!a} 不可用",
            f"the exhibit path {path[:200]!a} cannot go into a pack",
        )


def order(path: str) -> bytes:
    """Give the sort key of a path: its UTF-8 bytes."""
    return path.encode()


def check_unique(paths: Iterable[str]) -> None:
    """Refuse two paths that are one file on a system that does not tell letters' case apart.

    Raises:
        EvidenceError: ``evidence.path``.
    """
    seen: set[str] = set()
    for path in paths:
        if path.casefold() in seen:
            raise EvidenceError(
                "evidence.path",
                f"证据文件路径重复：{path!a}",
                f"two exhibits have one path, but for the case of letters: {path!a}",
            )
        seen.add(path.casefold())


def write(out: BinaryIO, entries: Iterable[Entry], written: Callable[[int, str], None] | None = None) -> int:
    """Write a whole archive and give its size; ``written`` hears (number, path) after each file.

    Raises:
        EvidenceError: ``evidence.size``, it would not fit a 32-bit zip.
    """
    central, offset, count = bytearray(), 0, 0
    for entry in sorted(entries, key=lambda entry: order(entry.path)):
        name = entry.path.encode()
        frame = (_UTF8, _STORED, _TIME, _DATE, entry.crc, entry.size, entry.size, len(name), 0)
        if offset + entry.size > MAX_BYTES:
            raise EvidenceError(
                "evidence.size",
                "证据包超过 4 GB，请缩小范围分多个包导出",
                "the pack would pass 4 GB; build several packs of less",
            )
        central += _CENTRAL.pack(0x02014B50, _MADE_BY, _VERSION, *frame, 0, 0, 0, _MODE, offset) + name
        out.write(_LOCAL.pack(0x04034B50, _VERSION, *frame) + name)
        out.writelines(entry.open())
        offset += _LOCAL.size + len(name) + entry.size
        count += 1
        if written is not None:
            written(count, entry.path)
    out.write(central + _END.pack(0x06054B50, 0, 0, count, count, len(central), offset, 0))
    return offset + len(central) + _END.size


def slices(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """Read ``size`` bytes from ``start`` in pieces of a megabyte."""
    file.seek(start)
    while size > 0:
        chunk = file.read(min(size, _CHUNK))
        size -= len(chunk)
        yield chunk
