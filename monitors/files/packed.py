"""Files in archives: gzip and zip, in bounded memory, never unpacked onto a disk."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from monitors.files.piece import FileRefused, Looked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitors.files.piece import Bytes

MOST_MEMBERS: Final = 1000
_FREE: Final = 64 << 20  # bytes that any file may unpack to, whatever its ratio
_MAGIC: Final = 8  # bytes by which an archive is known
_GZIP: Final = 16 + zlib.MAX_WBITS
_METHODS: Final = frozenset(
    {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
)  # the others ask for a window of their maker's choosing
_ARCHIVES: Final = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"),
    *(b"Rar!", b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18"),
)
GZIP_MAGIC: Final = b"\x1f\x8b"
ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Bounds(NamedTuple):
    """How much a file may unpack to."""

    most: int  # bytes
    ratio: int  # times its own size


class Member(NamedTuple):
    """A file in an archive, or the file itself; ``reason`` says why it is not read, "" when it is."""

    name: str
    stream: Bytes | None
    reason: str = ""


class Counted:
    """Bytes of which no more come than the bounds allow, over all members."""

    def __init__(self, bounds: Bounds, size: int) -> None:
        self.most = min(bounds.most, max(_FREE, bounds.ratio * size))
        self.count = 0

    def add(self, number: int) -> None:
        """Count what was unpacked.

        Raises:
            FileRefused: it is too much.
        """
        self.count += number
        if self.count > self.most:
            raise FileRefused(
                "unpacked",
                f"解压后超过 {self.most:,} 字节的上限（uploads.max_unpacked_bytes、uploads.max_ratio），疑似压缩炸弹",
                f"unpacks to more than the bound of {self.most:,} bytes (uploads.max_unpacked_bytes, uploads.max_ratio): "
                "perhaps a bomb",
            )


def members(file: IO[bytes], path: Path, bounds: Bounds) -> Iterator[Member]:
    """The file, or the files that it packs; each is to be read before the next is asked for.

    Raises:
        FileRefused: a damaged archive, or one beyond the bounds.
    """
    counted = Counted(bounds, path.stat().st_size)
    magic = file.read(4)
    file.seek(0)
    if magic in ZIP_MAGICS:
        yield from _zip(file, counted)
    elif magic[:2] == GZIP_MAGIC:
        stream = Looked(_Gunzip(file, counted), _MAGIC)
        yield Member("", None, "nested") if stream.beginning.startswith(_ARCHIVES) else Member("", stream)
    else:
        yield Member("", file)


class _Gunzip:
    def __init__(self, file: IO[bytes], counted: Counted) -> None:
        self._file, self._counted = file, counted
        self._member = zlib.decompressobj(_GZIP)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while True:
            packed = self._rest or self._file.read(65_536)
            if not packed:
                if not self._member.eof:
                    raise FileRefused("truncated", "gzip 数据不完整", "the gzip data ends in the middle")
                return b""
            if self._member.eof:
                if not packed.strip(b"\0"):
                    self._rest = b""
                    continue
                self._member = zlib.decompressobj(_GZIP)
            try:
                plain = self._member.decompress(packed, size)
            except zlib.error as error:
                raise FileRefused(
                    "malformed", f"gzip 数据已损坏：{error}", f"the gzip data is damaged: {error}"
                ) from error
            self._rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._counted.add(len(plain))
            if plain:
                return plain


class _Unzip:
    def __init__(self, stream: IO[bytes], counted: Counted) -> None:
        self._stream, self._counted = stream, counted

    def read(self, size: int, /) -> bytes:
        try:
            plain = self._stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise FileRefused("malformed", f"zip 数据已损坏：{error}", f"the zip data is damaged: {error}") from error
        self._counted.add(len(plain))
        return plain


def _zip(file: IO[bytes], counted: Counted) -> Iterator[Member]:
    with _opened(file) as archive:
        listed = archive.infolist()
        if len(listed) > MOST_MEMBERS:
            raise FileRefused(
                "members", f"压缩包内文件超过 {MOST_MEMBERS} 个", f"more than {MOST_MEMBERS} files in the archive"
            )
        declared = sum(one.file_size for one in listed)
        if declared > counted.most:
            counted.add(declared)
        for one in listed:
            if one.is_dir():
                continue
            reason = _reason(one)
            yield Member(_shown(one), None, reason) if reason else _member(archive, one, counted)


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise FileRefused("malformed", f"zip 文件已损坏：{error}", f"the zip file is damaged: {error}") from error


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo, counted: Counted) -> Member:
    try:
        stream = Looked(_Unzip(archive.open(one), counted), _MAGIC)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, FileRefused) and error.reason == "unpacked":
            raise
        return Member(_shown(one), None, "malformed")
    nested = stream.beginning.startswith(_ARCHIVES)
    return Member(_shown(one), None, "nested") if nested else Member(_shown(one), stream)


def _reason(one: zipfile.ZipInfo) -> str:
    """Why a member is not read; "" when it is."""
    mode = one.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "link"
    if one.flag_bits & 0x1:
        return "encrypted"
    if one.compress_type not in _METHODS:
        return "method"
    name = one.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name):
        return "unsafe_name"
    return ""


def _shown(one: zipfile.ZipInfo) -> str:
    """A member's name; archives made on Chinese systems name them in GB18030 without saying so."""
    name = one.filename
    if not one.flag_bits & 0x800 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("gb18030")
    return name[:200]
