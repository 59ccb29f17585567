"""The folder of uploaded files: how one comes in, within what bounds, and the process that reads it."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

import orjson

from monitors.files import frames
from secops import private_file, status, uploads
from secops.errors import UserError
from secops.uploads import Reading, file_of, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from secops.db import Database
    from secops.settings import Uploads
    from secops.uploads import UploadRow

PEEK_SECONDS: Final = 30
_READ_CPU_SECONDS: Final = 24 * 3600
_STEP: Final = 64 << 20  # bytes between two looks at the disk
TEMPORARY: Final = ".part"
READER: Final = (sys.executable, "-m", "monitors.files")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that lies in the folder, durable."""

    sha256: str
    size: int  # bytes


@dataclass(slots=True)
class Incoming:
    """A tenant's file while it arrives: written to the folder, hashed, counted; gone again unless it is kept."""

    folder: Path
    tenant: str
    bounds: Uploads
    reserve: int  # bytes of the disk that stay free
    size: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)
    _file: IO[bytes] | None = None
    _path: Path | None = None
    _room: int = 0
    _looked: int = 0

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            UserError: there is no room.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._look()
        self._path = self.folder / f"{secrets.token_hex(8)}.{mark_of(self.tenant)}{TEMPORARY}"
        self._file = private_file.create(self._path)
        return self

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            UserError: the file is too large, or there is no room for it.
        """
        assert self._file is not None
        self.size += len(block)
        self._check()
        self._hash.update(block)
        self._file.write(block)

    def keep(self) -> Kept:
        """Make it durable under its hash; a tenant's same file lies there once."""
        assert self._file is not None
        assert self._path is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        digest = self._hash.hexdigest()
        self._path.replace(self.folder / file_of(self.tenant, digest))
        directory = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return Kept(digest, self.size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind of a file that was not kept."""
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _check(self) -> None:
        if self.size > self.bounds.max_file_bytes:
            raise UserError(
                "upload.large",
                f"文件超过 {self.bounds.max_file_bytes:,} 字节的上限（uploads.max_file_bytes）；请压缩或分成多个文件。",
                f"The file is larger than {self.bounds.max_file_bytes:,} bytes (uploads.max_file_bytes); "
                "pack it, or part it into several.",
            )
        if self.size - self._looked >= _STEP:
            self._look()
        if self.size > self._room:
            raise _no_room(f"uploads.disk_bytes = {self.bounds.disk_bytes:,}")

    def _look(self) -> None:
        """See how much room is left: others bring files too, and of one tenant no more than half of it may wait."""
        self._looked = self.size
        sizes = _sizes(self.folder, without=self._path)
        mark = mark_of(self.tenant)
        own = sum(size for name, size in sizes.items() if mark in name)
        self._room = min(self.bounds.disk_bytes - sum(sizes.values()), self.bounds.disk_bytes // 2 - own)
        if not status.disk(self.folder, self.reserve).accepting:
            raise _no_room(f"log.reserve_bytes = {self.reserve:,}")


def _sizes(folder: Path, without: Path | None) -> dict[str, int]:
    """The sizes of the files in the folder, by name; the ingest role takes some away at any time."""
    found = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path != without:
                found[path.name] = path.stat().st_size
    return found


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where people's files come in."""

    database: Database
    folder: Path
    bounds: Uploads
    reserve: int  # bytes of the disk that stay free
    machine: str
    clock: Callable[[], datetime]

    def incoming(self, tenant: str) -> Incoming:
        """A tenant's file that is about to arrive."""
        return Incoming(self.folder, tenant, self.bounds, self.reserve)

    def take(
        self,
        kept: Kept,
        *,
        tenant: str,
        name: str,
        reading: Reading | None,
        kind: str = "",
        actor: str,
        source_ip: str = "",
    ) -> tuple[UploadRow, bool]:
        """Look at a file that lies in the folder and queue it; gives its row, and whether it is new. One that is not goes again.

        Raises:
            UserError: it cannot be read, or a chosen column is none of its own.
        """
        path = self.folder / file_of(tenant, kept.sha256)
        try:
            told = peek(path, name, reading or Reading(kind=kind), self.bounds)
            if reading is not None and told["kind"] == "csv":
                uploads.check(reading, told["columns"])
            with self.database.begin() as tx:
                return uploads.register(
                    tx,
                    kept,
                    tenant=tenant,
                    name=name,
                    told=told,
                    reading=reading,
                    kind=kind,
                    actor=actor,
                    machine=self.machine,
                    source_ip=source_ip,
                    now=self.clock(),
                )
        finally:
            with self.database.read() as tx:
                if path.name not in uploads.needed(tx, self.machine):
                    path.unlink(missing_ok=True)


def _no_room(bound: str) -> UserError:
    return UserError(
        "upload.room",
        f"暂存上传文件的磁盘空间不足（{bound}）；请等先前的文件读完，或放弃其中一些。",
        f"There is no room for more uploaded files ({bound}); wait until earlier ones are read, or discard some.",
    )


def request(path: Path, name: str, reading: Reading, bounds: Uploads, *, seconds: int) -> bytes:
    """What the reading process is asked."""
    return orjson.dumps(
        {
            "path": str(path),
            "name": name,
            "kind": reading.kind,
            "columns": dict(reading.columns),
            "header": reading.header,
            "delimiter": reading.delimiter,
            "most": bounds.max_unpacked_bytes,
            "ratio": bounds.max_ratio,
            "memory": bounds.reader_memory_bytes,
            "seconds": seconds,
        }
    )


def read_request(path: Path, name: str, reading: Reading, bounds: Uploads) -> bytes:
    """What the process is asked that reads a whole file."""
    return request(path, name, reading, bounds, seconds=_READ_CPU_SECONDS)


def peek(path: Path, name: str, reading: Reading, bounds: Uploads) -> Mapping[str, Any]:
    """What a file is: {kind, columns, rows}; looked at by a process of its own.

    Raises:
        UserError: nothing of it can be read; says why.
    """
    asked = request(path, name, reading, bounds, seconds=PEEK_SECONDS)
    try:
        ended = subprocess.run([*READER, "peek"], input=asked, capture_output=True, timeout=PEEK_SECONDS, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        raise broken_reader("timeout") from None
    if len(ended.stdout) < frames.HEAD.size:
        raise broken_reader(ended.stderr.decode(errors="replace").strip()[-200:])
    answer, _ = frames.HEAD.unpack_from(ended.stdout)
    said: dict[str, Any] = orjson.loads(ended.stdout[frames.HEAD.size :])
    if answer == frames.REFUSED:
        raise UserError(
            f"upload.{said['reason']}", f"无法读取该文件：{said['zh']}", f"The file cannot be read: {said['en']}"
        )
    return said


def broken_reader(why: str) -> UserError:
    """The reading process ended without an answer."""
    return UserError(
        "upload.reader",
        f"读取该文件的进程意外结束：{why}",
        f"The process that reads the file ended unexpectedly: {why}",
    )
