"""Online backup and restore of the state folder, as one tar file with a list of hashes.

The search index is left out: it is rebuilt from the log. What must agree with one another is copied while writers of
the state database wait: then no cursor in the database points behind the log's end, and the log's place in the audit
trail is never ahead of the trail. Sealed segments, which no longer change, are copied before, so the wait is short.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

import orjson

from secops import private_file
from secops.errors import UserError
from secops.store.keeper import keeping
from secops.store.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from secops.db import Database

LIST: Final = "backup.json"
DATABASE: Final = "state.db"
FOLDERS: Final = ("ca", "secrets", "evidence", "rules", "tls")
FORMAT: Final = 1
CHUNK: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was saved or brought back."""

    path: Path
    files: int
    size: int  # bytes of the files


def save(state: Path, database: Database, out: Path, *, now: datetime, progress: Callable[[str], None]) -> Report:
    """Write a backup of ``state`` to ``out`` (mode 0600; it holds keys), whole or not at all; the service may be running.

    Raises:
        UserError: the state database is not SQLite, or ``out`` exists.
    """
    if database.engine.dialect.name != "sqlite":
        raise UserError(
            "backup.database",
            "状态库是 PostgreSQL：请用 pg_dump 备份数据库，并在停止服务后复制状态目录。",
            "The state database is PostgreSQL: back it up with pg_dump, and copy the state folder while the service is stopped.",
        )
    if out.exists():
        raise UserError("backup.exists", f"{out} 已存在；请换一个文件名。", f"{out} exists; choose another name.")
    partial = out.with_name(f".{out.name}.partial")
    try:
        with (
            _held(state / "log"),
            private_file.create(partial) as file,
            tarfile.open(fileobj=file, mode="w") as archive,
        ):
            writer = _Writer(archive, state, progress)
            sealed = list(_sealed_segments(state / "log"))
            for path in sealed:
                writer.add(path)
            with database.begin():  # BEGIN IMMEDIATE: other writers wait
                writer.add_database(state)
                taken = snapshot(state / "log")
                for name, content in sorted(taken.small.items()):
                    writer.add_bytes(f"log/{name}", content)
                for path, size in taken.segments:
                    if path not in sealed:
                        writer.add(path, size)
                for folder in FOLDERS:
                    for path in _files(state / folder):
                        writer.add(path)
            writer.finish(now)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return Report(path=out, files=len(writer.hashes), size=writer.size)


def bring_back(archive_path: Path, state: Path, *, progress: Callable[[str], None]) -> Report:
    """Unpack a backup into ``state``, which must be empty or absent; every file's hash is checked first to last.

    Raises:
        UserError: the folder is not empty, or the backup is damaged or not one of ours; nothing is left half restored.
    """
    if state.exists() and any(state.iterdir()):
        raise UserError(
            "restore.occupied",
            f"{state} 不是空目录；请恢复到新目录。",
            f"{state} is not empty; restore into a new folder.",
        )
    state.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state.parent, prefix=".restore-") as scratch:
        target = Path(scratch) / "state"
        target.mkdir(mode=0o700)
        try:
            with tarfile.open(archive_path, mode="r:") as archive:
                size = _unpack(archive, target, progress)
            files = _check(target)
        except (tarfile.TarError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(
                "restore.damaged",
                f"备份 {archive_path} 无法使用：{error}",
                f"The backup {archive_path} cannot be used: {error}",
            ) from None
        if state.exists():
            state.rmdir()
        target.replace(state)
    return Report(path=state, files=files, size=size)


class _Writer:
    """Adds files to the archive and remembers their hashes."""

    def __init__(self, archive: tarfile.TarFile, state: Path, progress: Callable[[str], None]) -> None:
        self.archive, self.state, self.progress = archive, state, progress
        self.hashes: dict[str, str] = {}
        self.size = 0

    def add(self, path: Path, size: int | None = None) -> None:
        """Add the first ``size`` bytes of a file, or all that it has now."""
        with path.open("rb") as file:
            whole = os.fstat(file.fileno()).st_size
            self._add(path.relative_to(self.state).as_posix(), file, whole if size is None else size)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add what was read already."""
        self._add(name, io.BytesIO(content), len(content))

    def add_database(self, state: Path) -> None:
        """Add a consistent copy of the SQLite database."""
        with tempfile.NamedTemporaryFile(dir=state, prefix=".backup-") as copy:
            source, target = sqlite3.connect(state / DATABASE), sqlite3.connect(copy.name)
            try:
                source.backup(target)
            finally:
                source.close()
                target.close()
            self._add(DATABASE, copy.file, os.stat(copy.name).st_size)  # noqa: PTH116 - SQLite wrote it behind our handle

    def finish(self, now: datetime) -> None:
        """Add the list of hashes as the last member."""
        body = orjson.dumps({"format": FORMAT, "at": now.isoformat(), "sha256": self.hashes})
        member = tarfile.TarInfo(LIST)
        member.size, member.mode = len(body), 0o600
        self.archive.addfile(member, io.BytesIO(body))

    def _add(self, name: str, file: IO[bytes], size: int) -> None:
        file.seek(0)
        digest = hashlib.sha256()
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        self.archive.addfile(member, _Hashing(file, digest.update))  # it only reads
        self.hashes[name] = digest.hexdigest()
        self.size += size
        self.progress(name)


class _Hashing:
    """Reads through to ``file`` and shows every byte to ``seen``."""

    def __init__(self, file: IO[bytes], seen: Callable[[bytes], None]) -> None:
        self._file, self._seen = file, seen

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        data = self._file.read(size)
        self._seen(data)
        return data


def _files(folder: Path) -> Iterator[Path]:
    yield from (
        sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if folder.is_dir()
        else []
    )


def _held(log: Path) -> AbstractContextManager[None]:
    """Keep the segments as they are meanwhile: what is copied must be what its seal says."""
    return keeping(log, wait=True) if log.is_dir() else nullcontext()


def _sealed_segments(log: Path) -> Iterator[Path]:
    """Give the segments of each partition but the last, which still grows."""
    for partition in sorted(path for path in log.glob("*") if path.is_dir()):
        yield from sorted(partition.glob("*.log"))[:-1]


def _unpack(archive: tarfile.TarFile, target: Path, progress: Callable[[str], None]) -> int:
    size = 0
    for member in archive:
        name = PurePosixPath(member.name)
        if not member.isreg() or member.issparse() or name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{member.name!r} does not belong in a backup")
        source = archive.extractfile(member)
        path = target.joinpath(*name.parts)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with private_file.create(path) as file:
            if source is not None:
                shutil.copyfileobj(source, file, CHUNK)
            os.fsync(file.fileno())
        size += member.size
        progress(member.name)
    return size


def _check(target: Path) -> int:
    """Compare what was unpacked with the list, both ways."""
    listing = target / LIST
    said = orjson.loads(listing.read_bytes())
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']} is not known to this version")
    found = {path.relative_to(target).as_posix(): path for path in _files(target) if path != listing}
    if found.keys() != said["sha256"].keys():
        raise ValueError(f"files are missing or were added: {sorted(found.keys() ^ said['sha256'].keys())[:5]}")
    for name, digest in said["sha256"].items():
        with found[name].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise ValueError(f"{name} was changed")
    listing.unlink()
    return len(found)
