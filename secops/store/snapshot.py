"""What a backup has to copy so that the copy is the log as of one moment between two appends, while it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.store import chain, ends, recover, segment

if TYPE_CHECKING:
    from pathlib import Path

TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``small``: content of small files by path below the log's directory; ``segments``: files and how much of each."""

    small: dict[str, bytes]
    segments: tuple[tuple[Path, int], ...]  # bytes below that size never change: copy them at leisure


def snapshot(directory: Path) -> Snapshot:
    """The log as it is now; empty when there is no log. Copy every byte named, and nothing else of the directory.

    Hold ``keeper.keeping`` until all is copied, so that segments are those of their seals.

    Copying segments behind one another's back is not enough: a batch's frames lie in several partitions, and a
    watermark copied after them would promise events that the copy does not have.

    Raises:
        OSError: a segment expired meanwhile, or segments were begun faster than they could be listed.
    """
    watermark = ends.look(directory)
    if watermark is None:
        return Snapshot({}, ())
    try:
        for _ in range(TRIES):
            checkpoint = _checkpoint(directory)
            batch, offsets = watermark.all()
            segments = [part for partition in range(len(offsets)) for part in _parts(directory, partition, batch)]
            if checkpoint == _checkpoint(directory):  # no segment was begun meanwhile
                return Snapshot(_small(directory, checkpoint, batch, offsets), tuple(segments))
    finally:
        watermark.close()
    raise OSError(f"{directory} changes too fast to be listed")


def _parts(directory: Path, partition: int, batch: int) -> list[tuple[Path, int]]:
    paths = segment.list_segments(directory, partition)
    return [*((path, path.stat().st_size) for path in paths[:-1]), *((path, _size(path, batch)) for path in paths[-1:])]


def _size(path: Path, batch: int) -> int:
    """Where the last frame of ``batch`` or an earlier one ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = segment.walk(descriptor, os.fstat(descriptor).st_size)
        return max((frame.end for frame in found if frame.header.batch <= batch), default=0)
    finally:
        os.close(descriptor)


def _small(directory: Path, checkpoint: dict[str, bytes], batch: int, offsets: list[int]) -> dict[str, bytes]:
    consumers = (path for path in (directory / "consumers").glob("*/*") if not path.name.startswith("."))
    small = {str(path.relative_to(directory)): path.read_bytes() for path in consumers}
    for path in (directory / chain.FOLDER).glob("*.jsonl"):
        small[str(path.relative_to(directory))] = b"".join(line + b"\n" for line in chain.whole_lines(path))
    small[ends.NAME] = ends.content(batch, offsets)
    return small | checkpoint


def _checkpoint(directory: Path) -> dict[str, bytes]:
    """Both files of the checkpoint, as far as there are any."""
    paths = (directory / name for name in (recover.CHECKPOINT, recover.COPY))
    return {path.name: path.read_bytes() for path in paths if path.exists()}
