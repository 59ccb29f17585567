"""Keeping a log for years: finished segments are sealed, seals are signed, and what is past its retention leaves.

One keeper at a time, beside any writer and readers: it touches only segments that a newer one follows, which no writer
opens again. Every step may be interrupted by kill -9 and is taken up by the next call:

1. seal: repack, hash, and put the seal into the partition's chain;
2. checkpoint: sign the new links of all chains;
3. expire: tombstones into the chains, a checkpoint over them, and only then the files are removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops.errors import UserError
from secops.store import chain, checkpoints, digests, durable, ends, repack, retention, segment
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.store.chain import Link
    from secops.store.checkpoints import Checkpoint, Witness
    from secops.store.retention import Retention

LOCK: Final = "keeper.lock"
DAILY: Final = timedelta(days=1)
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class KeeperBusy(UserError):  # noqa: N818 - named as the callers say it
    """Another process seals or backs up this log."""

    def __init__(self, place: str) -> None:
        super().__init__(
            "log.keeper",
            f"另一进程正在封存或备份 {place}；请稍后再试",
            f"another process seals or backs up {place}; try again in a moment",
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """A segment that left: its tombstone's facts for the audit trail."""

    partition: int
    first: int
    end: int
    sha256: str
    bytes: int


@contextlib.contextmanager
def keeping(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the log's segments as they are: nothing is repacked, sealed or removed by others meanwhile.

    Raises:
        KeeperBusy: somebody else does, and ``wait`` is False.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise KeeperBusy(str(directory)) from error
        yield
    finally:
        os.close(descriptor)


class Keeper:
    """What seals and expires the segments of one log directory."""

    def __init__(
        self, directory: Path, witness: Witness, *, clock: Callable[[], datetime], reserve_bytes: int = 0
    ) -> None:
        self._directory, self._witness, self._clock = directory, witness, clock
        self._reserve = reserve_bytes

    def seal(self, stop: Callable[[], bool] = bool) -> int:
        """Seal every finished segment that has no seal yet, until ``stop`` says so; gives how many.

        Raises:
            KeeperBusy: another keeper or a backup works here.
            LogCorrupt: a segment is damaged; those before it and other partitions' are sealed, it and those after it are not.
        """
        done, damaged = 0, list[LogCorrupt]()
        with keeping(self._directory):
            repack.remove_drafts(self._directory)
            for partition in range(self._partitions()):
                try:
                    for _ in self._seal_partition(partition, stop):
                        done += 1
                except LogCorrupt as error:
                    damaged.append(error)
        if damaged:
            raise damaged[0]
        return done

    def checkpoint(self) -> bool:
        """Sign what is new in the chains, or once a day that nothing is; whether a checkpoint was made.

        Raises:
            KeeperBusy: another keeper or a backup works here.
        """
        with keeping(self._directory):
            return self._checkpoint()

    def expire(self, kept: Retention) -> list[Gone]:
        """Let segments leave that every tenant's retention has passed; gives those for which it was decided now.

        Raises:
            KeeperBusy: another keeper or a backup works here.
        """
        with keeping(self._directory):
            now = self._clock()
            signed = checkpoints.read(self._directory)
            held = retention.held_until([one.at for one in signed], now)
            gone = [] if held else [left for p in range(self._partitions()) for left in self._bury(p, kept, now)]
            if gone:
                self._checkpoint()
            self._remove_buried()
            return gone

    def _partitions(self) -> int:
        watermark = ends.look(self._directory)
        if watermark is None:
            return 0
        try:
            return watermark.partitions
        finally:
            watermark.close()

    def _seal_partition(self, partition: int, stop: Callable[[], bool]) -> Iterator[Link]:
        links = chain.read(self._directory, partition)
        reached = max((link.end for link in links), default=-1)
        last = links[-1] if links else None
        for path in segment.list_segments(self._directory, partition)[:-1]:
            if stop():
                break
            if int(path.stem) < reached:
                continue
            last = self._seal(path, partition, last)
            yield last

    def reseal(self, paths: Sequence[Path]) -> int:
        """Seal again those of the repaired segments that were sealed and are no longer what was sealed; gives how many.

        The earlier seal stays in the chain, so what was there before remains known. The caller holds ``keeping``.

        Raises:
            ValueError: a chain cannot be read; see ``renew``.
        """
        done = 0
        for path in paths:
            links = chain.read(self._directory, int(path.parent.name))
            seal = next((each for each in chain.standing(links) if each.first == int(path.stem)), None)
            if seal is not None and seal.fields["sha256"] != digests.of_file(path).sha256:
                self._seal(path, int(path.parent.name), links[-1])
                done += 1
        if done:
            self._checkpoint()
        return done

    def renew(self, aside: Path) -> int:
        """Begin all chains anew: the old ones are moved to the new folder ``aside``, every finished segment is sealed as it is.

        What left before is one tombstone a partition. Gives how many were sealed. The caller holds ``keeping``.

        Raises:
            LogCorrupt: a segment is damaged; repair that first.
        """
        aside.parent.mkdir(parents=True, exist_ok=True)
        (self._directory / chain.FOLDER).rename(aside)
        durable.sync_directory(self._directory)
        done = 0
        for partition in range(self._partitions()):
            paths = segment.list_segments(self._directory, partition)
            if paths and int(paths[0].stem):
                end, at = int(paths[0].stem), self._clock().isoformat()
                known = {"segment": segment.path_of(self._directory, partition, 0).name, "first": 0, "end": end}
                chain.append(self._directory, partition, None, {"kind": chain.TOMBSTONE, **known, "at": at})
            done += sum(1 for _ in self._seal_partition(partition, bool))
        self._checkpoint()
        return done

    def _seal(self, path: Path, partition: int, last: Link | None) -> Link:
        contents, found = self._repacked(path), digests.of_file(path)
        low, high = contents.tally.span()
        fields = {
            "kind": chain.SEAL,
            "segment": path.name,
            "first": int(path.stem),
            "end": contents.end,
            "bytes": found.size,
            "raw": contents.tally.raw,
            "sha256": found.sha256,
            "sm3": found.sm3,
            "written": [low, high],
            "tenants": contents.tally.as_dict(),
            "at": self._clock().isoformat(),
        }
        return chain.append(self._directory, partition, last, fields)

    def _repacked(self, path: Path) -> repack.Contents:
        if self._free() >= self._reserve + path.stat().st_size:
            try:
                return repack.repack(path)
            except OSError as error:
                if error.errno not in FULL:
                    raise
        return repack.read(path)

    def _checkpoint(self) -> bool:
        signed = checkpoints.read(self._directory)
        last = signed[-1] if signed else None
        watermark = ends.look(self._directory)
        if watermark is None:
            return False
        try:
            links = {partition: chain.read(self._directory, partition) for partition in range(watermark.partitions)}
            offsets = watermark.all()[1]
        finally:
            watermark.close()
        if not self._is_due(links, last):
            return False
        made = checkpoints.make(links, last, self._witness, ends=offsets, now=self._clock())
        checkpoints.append(self._directory, made)
        return True

    def _is_due(self, links: dict[int, list[Link]], last: Checkpoint | None) -> bool:
        if last is None:
            return True
        is_new = any(len(found) > last.reached(partition) for partition, found in links.items())
        return is_new or abs(self._clock() - last.at) >= DAILY

    def _bury(self, partition: int, kept: Retention, now: datetime) -> Iterator[Gone]:
        links = chain.read(self._directory, partition)
        standing = chain.standing(links)
        due = retention.leaving(((link.fields["tenants"], link.fields["at"]) for link in standing), kept, now)
        last = links[-1] if links else None
        for seal, since in zip(standing, due, strict=False):
            same = {
                name: seal.fields[name] for name in ("segment", "first", "end", "bytes", "sha256", "sm3", "written")
            }
            fields = {
                "kind": chain.TOMBSTONE,
                **same,
                "events": seal.end - seal.first,
                "tenants": {tenant: kept.of(tenant).days for tenant in seal.fields["tenants"]},
                "since": since.isoformat(),
                "at": now.isoformat(),
            }
            last = chain.append(self._directory, partition, last, fields)
            yield Gone(partition, seal.first, seal.end, seal.fields["sha256"], seal.fields["bytes"])

    def _remove_buried(self) -> None:
        """Remove the files of segments whose tombstone is signed."""
        signed = checkpoints.read(self._directory)
        if not signed:
            return
        for partition in range(self._partitions()):
            links = chain.read(self._directory, partition)[: signed[-1].reached(partition)]
            for link in links:
                if link.kind == chain.TOMBSTONE:
                    segment.path_of(self._directory, partition, link.first).unlink(missing_ok=True)

    def _free(self) -> int:
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize
