"""Appending to the log: one process, one batch at a time, durable in all partitions or in none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import zstandard

from secops.errors import UserError
from secops.store import durable, ends, frames, recover, segment
from secops.store.log import LogBusy, LogFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from secops.records import Event

LEVEL: Final = 3  # ADR 0002 has the measurements
LOCK: Final = "writer.lock"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Tail:
    """The growing end of one partition's newest segment."""

    def __init__(self, path: Path, size: int, end: int, born: datetime | None = None) -> None:
        self.size = size
        self.end = end  # next offset
        self.first = int(path.stem)
        self.born = born  # when its first frame was written; None while it has none
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def write(self, data: bytes) -> None:
        """Append ``data`` (not yet durable)."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Make what was written durable."""
        os.fdatasync(self._descriptor)

    def cut(self) -> None:
        """Take back, durably, what was written behind ``size``."""
        os.ftruncate(self._descriptor, self.size)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Writer:
    """The one writer of a log directory; recovers it when opened."""

    def __init__(
        self,
        directory: Path,
        *,
        partitions: int,
        segment_bytes: int,
        segment_age: timedelta,
        reserve_bytes: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._directory, self._segment_bytes, self._reserve = directory, segment_bytes, reserve_bytes
        self._segment_age = segment_age
        self._clock, self._lock, self._broken = clock, threading.Lock(), False
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, lock(directory))
            self._ends = _open_ends(directory, partitions)
            opened.callback(self._ends.close)
            self._tails: dict[int, Tail] = {}
            opened.callback(self._close_tails)
            self._recover(partitions)
            self._pool = ThreadPoolExecutor(partitions, thread_name_prefix="log-sync")
            opened.callback(self._pool.shutdown)
            self._resources = opened.pop_all()

    def append(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any] | None) -> None:
        """See ``Log.append``."""
        parts = {partition: events for partition, events in batches.items() if events}
        if not parts and not positions:
            return
        commit = min(parts, default=0)
        parts.setdefault(commit, ())
        with self._lock:
            if self._broken:
                raise OSError(errno.EIO, "an earlier write failed; the log must be opened again", str(self._directory))
            self._require_space()
            encoded = {
                partition: self._encode(partition, events, commit, positions) for partition, events in parts.items()
            }
            self._store(encoded, commit)
            self._advance({partition: len(events) for partition, events in parts.items()}, encoded, positions)

    def positions(self) -> dict[str, Any]:
        """The sources' positions as of the last append."""
        with self._lock:
            return dict(self._positions)

    def close(self) -> None:
        """Release the lock and all files."""
        with self._lock:
            self._broken = True
            self._resources.close()

    def _recover(self, partitions: int) -> None:
        acknowledged = dict(enumerate(self._ends.all()[1]))
        tails, settled = recover.recover(self._directory, partitions, acknowledged)
        for partition, found in tails.items():
            tail = Tail(found.path, settled.bytes[partition], settled.ends[partition], _born(found))
            self._tails[partition] = tail
            if found.size > tail.size:
                tail.cut()
            tail.sync()  # a killed writer may have written a batch whole but not synced it
        self._batch, self._positions = settled.batch, settled.positions
        self._ends.move(self._batch, settled.ends)

    def _encode(
        self, partition: int, events: Sequence[Event], commit: int, positions: Mapping[str, Any] | None
    ) -> bytes:
        tail = self._tails.get(partition)
        base, time, last, out = tail.end if tail else 0, self._clock().isoformat(), partition == commit, []
        for start in range(0, len(events) or 1, frames.EVENTS_PER_FRAME):
            piece = events[start : start + frames.EVENTS_PER_FRAME]
            body = self._compressor.compress(b"".join([frames.to_line(event, short=True) + b"\n" for event in piece]))
            final = last and start + frames.EVENTS_PER_FRAME >= len(events)
            places = dict(positions or {}) if final else {}
            number = self._batch + 1
            header = frames.Header(partition, base + start, len(piece), 0, 0, number, commit, final, places, time)
            out.append(frames.encode(header, body))
        return b"".join(out)

    def _store(self, encoded: Mapping[int, bytes], commit: int) -> None:
        with self._undone_on_failure(encoded):
            for partition in encoded:
                self._roll_if_due(partition)
            others = [partition for partition in encoded if partition != commit]
            for partition in others:
                self._tails[partition].write(encoded[partition])
            for synced in [self._pool.submit(self._tails[partition].sync) for partition in others]:
                synced.result()
            self._tails[commit].write(encoded[commit])
            self._tails[commit].sync()

    @contextlib.contextmanager
    def _undone_on_failure(self, partitions: Mapping[int, bytes]) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._broken = True  # until everything is taken back
            for partition in partitions:
                if partition in self._tails:
                    self._tails[partition].cut()
            if not isinstance(error, OSError) or error.errno not in FULL:
                raise
            self._broken = False
            raise LogFull(str(self._directory), _free(self._directory), self._reserve) from error

    def _advance(
        self, counts: Mapping[int, int], encoded: Mapping[int, bytes], positions: Mapping[str, Any] | None
    ) -> None:
        self._batch += 1
        self._positions.update(positions or {})
        for partition, count in counts.items():
            self._tails[partition].size += len(encoded[partition])
            self._tails[partition].end += count
            self._tails[partition].born = self._tails[partition].born or self._clock()
        self._ends.move(self._batch, {partition: self._tails[partition].end for partition in counts})

    def _roll_if_due(self, partition: int) -> None:
        tail = self._tails.get(partition)
        if tail is not None and not self._is_finished(tail):
            return
        end = tail.end if tail else 0
        recover.save_checkpoint(self._directory, recover.Checkpoint(self._batch, self._positions))
        path = segment.path_of(self._directory, partition, end)
        durable.make_directory(path.parent)
        self._tails[partition] = Tail(path, 0, end)
        if tail is not None:
            tail.close()
        durable.sync_directory(path.parent)

    def _is_finished(self, tail: Tail) -> bool:
        """Large or old enough; a segment without events is never: the next one would have its name."""
        if tail.end == tail.first:
            return False
        is_old = tail.born is not None and self._clock() - tail.born >= self._segment_age
        return is_old or tail.size >= self._segment_bytes

    def _require_space(self) -> None:
        free = _free(self._directory)
        if free < self._reserve:
            raise LogFull(str(self._directory), free, self._reserve)

    def _close_tails(self) -> None:
        for tail in self._tails.values():
            tail.close()


def _born(found: recover.Tail) -> datetime | None:
    return datetime.fromisoformat(found.frames[0].header.time) if found.frames else None


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def lock(directory: Path) -> int:
    """Take the writer's lock; close the descriptor to give it back.

    Raises:
        LogBusy: another process writes.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LogBusy(str(directory)) from error
    return descriptor


def is_written(directory: Path) -> bool:
    """Whether some process holds the writer's lock now."""
    try:
        os.close(lock(directory))
    except LogBusy:
        return True
    return False


def _open_ends(directory: Path, partitions: int) -> ends.Ends:
    path = directory / ends.NAME
    if not path.exists():
        ends.create(directory, partitions)
    found = ends.Ends(path, writable=True)
    if found.partitions != partitions:
        stored = found.partitions
        found.close()
        raise UserError(
            "log.partitions",
            f"事件日志 {directory} 有 {stored} 个分区，不能以 {partitions} 个分区打开；请把设置改回 {stored}",
            f"the event log {directory} has {stored} partitions and cannot be opened with {partitions}; "
            f"set the number back to {stored}",
        )
    return found
