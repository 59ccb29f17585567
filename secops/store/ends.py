"""The watermark: how far each partition is durable, in a small file that readers map into memory.

The writer moves it only after its data is synced, so a reader can never act on an event that a power cut takes back,
and polling for news costs one memory read. It is always at or behind the truth; the writer sets it at each start.
"""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Final

from secops.store import durable

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "ends"
WORD: Final = 8
MARK: Final = 0x0100_53444E45_4F53  # "SOENDS", version 1
TRIES: Final = 10_000
FIXED: Final = 4  # words before the ends: mark, partitions, batch begun, batch done


class Ends:
    """``[mark, partitions, batch begun, batch done, end of partition 0, ...]`` as 64-bit words of the machine.

    A word is stored and loaded whole. The two batch numbers differ while the ends are being moved.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        with path.open("r+b" if writable else "rb") as file:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(file.fileno(), 0, access=access)
        self._words = memoryview(self._map).cast("Q")
        self.partitions = self._words[1] if self._words[0] == MARK else 0
        if not self.partitions or len(self._words) != FIXED + self.partitions:
            self.close()
            raise ValueError(f"{path} is not a watermark file")

    def get(self, partition: int) -> int:
        """The partition's durable end; 0 for a partition that there is not."""
        return self._words[FIXED + partition] if 0 <= partition < self.partitions else 0

    def all(self) -> tuple[int, list[int]]:
        """``(batch, ends)`` as of one moment between two appends (if the writer died while moving them: as it left them)."""
        for _ in range(TRIES):
            done = self._words[3]
            ends = list(self._words[FIXED:])
            if self._words[2] == done == self._words[3]:
                break
        return done, ends

    def move(self, batch: int, ends: dict[int, int]) -> None:
        """Make the ends of a durable batch visible."""
        self._words[2] = batch
        for partition, end in ends.items():
            self._words[FIXED + partition] = end
        self._words[3] = batch

    def close(self) -> None:
        """Release the mapping."""
        self._words.release()
        self._map.close()


def create(directory: Path, partitions: int) -> None:
    """Write a new watermark file, all zero: fully allocated, so that a full disk never hurts the mapping."""
    durable.replace(directory / NAME, content(0, [0] * partitions))


def content(batch: int, offsets: list[int]) -> bytes:
    """A watermark file's bytes."""
    words = [MARK, len(offsets), batch, batch, *offsets]
    return b"".join(word.to_bytes(WORD, sys.byteorder) for word in words)


def look(directory: Path) -> Ends | None:
    """The watermark for reading; None while there is no log yet."""
    path = directory / NAME
    return Ends(path, writable=False) if path.exists() else None
