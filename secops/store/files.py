"""The embedded event log: segment files of zstd frames of JSON lines, in one directory.

::

    <directory>/writer.lock            held by the one writing process
    <directory>/ends                   watermark: how far each partition is durable (ends.py)
    <directory>/checkpoint.json        sources' positions when the last segment was begun, and checkpoint.copy (recover.py)
    <directory>/<partition>/<first offset>.log
    <directory>/consumers/<name>/<partition>
    <directory>/seals/<partition>.jsonl, seals/checkpoints.jsonl (chain.py, checkpoints.py)
    <directory>/keeper.lock            held while segments are sealed, expired or backed up

A segment is read by any zstd tool: ``zstd -dc FILE | jq`` (frames.py).
"""

from __future__ import annotations

import errno
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from secops.store import durable, recover
from secops.store.log import LogFull
from secops.store.reader import CACHE_BYTES, Reader
from secops.store.writer import FULL, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from secops.records import Event, EventId
    from secops.store.log import Look

SEGMENT_BYTES: Final = 64 * 2**20
SEGMENT_AGE: Final = timedelta(days=1)
RESERVE_BYTES: Final = 256 * 2**20
CONSUMER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def wall_clock() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)


class FileLog:
    """``Log`` over files; ``writable`` in one process at a time, read-only in any number.

    Raises:
        LogBusy: another process writes.
        LogCorrupt: what was stored is damaged beyond a torn tail.
        UserError: the directory has another number of partitions.
    """

    def __init__(
        self,
        directory: Path,
        *,
        partitions: int = 4,
        writable: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age: timedelta = SEGMENT_AGE,
        reserve_bytes: int = RESERVE_BYTES,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.partitions = partitions
        self.directory = directory
        self._writer: Writer | None = None
        if writable:
            directory.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(
                directory,
                partitions=partitions,
                segment_bytes=segment_bytes,
                segment_age=segment_age,
                reserve_bytes=reserve_bytes,
                clock=clock,
            )
        self._reader = Reader(directory, cache_bytes=cache_bytes)

    def append(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any] | None = None) -> None:
        """See ``Log.append``.

        Raises:
            LogFull: nothing was stored; the same call may be made again later.
            PermissionError: the log was opened for reading.
            OSError: the disk failed; the log must be opened again.
        """
        if self._writer is None:
            raise PermissionError(errno.EACCES, "the log was opened for reading", str(self.directory))
        unknown = [partition for partition in batches if not 0 <= partition < self.partitions]
        if unknown:
            raise ValueError(f"partition {unknown[0]} of a log of {self.partitions}")
        self._writer.append(batches, positions)

    def read(self, partition: int, offset: int, limit: int, *, whole: bool = True) -> list[Event]:
        """See ``Log.read``."""
        return self._reader.read(partition, offset, limit, whole=whole)

    def get(self, ids: Sequence[EventId]) -> list[Event]:
        """See ``Log.get``."""
        return self._reader.get(ids)

    def lines(self, ids: Iterable[EventId], look: Look | None = None) -> dict[EventId, bytes]:
        """See ``Log.lines``; what ``look`` turns down is left out by whole frames."""
        return self._reader.lines(ids, look)

    def end(self, partition: int) -> int:
        """See ``Log.end``."""
        return self._reader.end(partition)

    def first(self, partition: int) -> int:
        """See ``Log.first``."""
        return self._reader.first(partition)

    def positions(self) -> dict[str, Any]:
        """See ``Log.positions``. A reading process sees those of whole batches, as the writer would find them."""
        if self._writer is not None:
            return self._writer.positions()
        return recover.recover(self.directory, self.partitions, {})[1].positions

    def commit(self, consumer: str, partition: int, offset: int) -> None:
        """See ``Log.commit``; any process may call it for its own consumer.

        Raises:
            LogFull: the disk is full; the earlier commit stands.
        """
        path = self._commit_path(consumer, partition)
        try:
            durable.make_directory(path.parent.parent)
            durable.make_directory(path.parent)
            durable.replace(path, b"%d\n" % offset)
        except OSError as error:
            if error.errno not in FULL:
                raise
            free = os.statvfs(self.directory)
            raise LogFull(str(self.directory), free.f_bavail * free.f_frsize, 0) from error

    def committed(self, consumer: str, partition: int) -> int:
        """See ``Log.committed``."""
        try:
            return int(self._commit_path(consumer, partition).read_bytes())
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """See ``Log.close``."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _commit_path(self, consumer: str, partition: int) -> Path:
        if not CONSUMER.fullmatch(consumer):
            raise ValueError(f"consumer name {consumer[:64]!r}: lower-case letters, digits, dot, hyphen, underscore")
        return self.directory / "consumers" / consumer / str(partition)
