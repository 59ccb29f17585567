"""The watermark: how far each partition is durable, in a small file that readers map into memory.

The writer moves it only after its data is synced, so a reader can never act on an event that a power cut takes back,
and polling for news costs one memory read. It is always at or behind the truth; the writer sets it at each start.

Each end stands there a second time with all bits turned over, so that a damaged word shows (``doubtful``). Files of the
first version have no second half; the writer adds it in place, because readers keep the file mapped.
"""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Final

from secops.store import durable
from secops.store.log import LogCorrupt

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "ends"
WORD: Final = 8
MARK: Final = 0x0100_53444E45_4F53  # "SOENDS", version 1
TRIES: Final = 10_000
ALL: Final = 2**64 - 1
FIXED: Final = 4  # words before the ends: mark, partitions, batch begun, batch done


class Ends:
    """``[mark, partitions, batch begun, batch done, end of partition 0, ..., its complement, ...]``: 64-bit words of the machine.

    A word is stored and loaded whole. The two batch numbers differ while the ends are being moved.

    Raises:
        LogCorrupt: the file is not a watermark, or not all of one.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        with path.open("r+b" if writable else "rb") as file:
            words = _words_of(path, file.read())
            if writable and len(words) == FIXED + words[1]:
                file.write(b"".join((word ^ ALL).to_bytes(WORD, sys.byteorder) for word in words[FIXED:]))
                file.flush()
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(file.fileno(), 0, access=access)
        self._words = memoryview(self._map).cast("Q")
        self.partitions = words[1]

    def get(self, partition: int) -> int:
        """The partition's durable end; 0 for a partition that there is not."""
        return self._words[FIXED + partition] if 0 <= partition < self.partitions else 0

    def all(self) -> tuple[int, list[int]]:
        """``(batch, ends)`` as of one moment between two appends (if the writer died while moving them: as it left them)."""
        for _ in range(TRIES):
            done = self._words[3]
            ends = list(self._words[FIXED : FIXED + self.partitions])
            if self._words[2] == done == self._words[3]:
                break
        return done, ends

    def batches(self) -> tuple[int, int]:
        """``(begun, done)``: the numbers of the last batch whose ends were begun to be moved, and were moved."""
        return self._words[2], self._words[3]

    def doubtful(self) -> dict[int, int]:
        """Partitions whose end does not fit its complement, with the end that the complement says."""
        seconds = self._words[FIXED + self.partitions :]
        return {p: word ^ ALL for p, word in enumerate(seconds) if word ^ ALL != self._words[FIXED + p]}

    def move(self, batch: int, ends: dict[int, int]) -> None:
        """Make the ends of a durable batch visible."""
        self._words[2] = batch
        for partition, end in ends.items():
            self._words[FIXED + partition] = end
            self._words[FIXED + self.partitions + partition] = end ^ ALL
        self._words[3] = batch

    def close(self) -> None:
        """Release the mapping."""
        self._words.release()
        self._map.close()


def _words_of(path: Path, data: bytes) -> list[int]:
    """The words of a watermark file.

    Raises:
        LogCorrupt: it is none, or not all of one.
    """
    words = [int.from_bytes(data[at : at + WORD], sys.byteorder) for at in range(0, len(data), WORD)]
    is_ours = len(words) > FIXED and words[0] == MARK and words[1] > 0 and not len(data) % WORD
    if not is_ours or len(words) - FIXED not in {words[1], 2 * words[1]}:
        raise LogCorrupt(str(path), 0, "not a watermark")
    return words


def create(directory: Path, partitions: int) -> None:
    """Write a new watermark file, all zero: fully allocated, so that a full disk never hurts the mapping."""
    durable.replace(directory / NAME, content(0, [0] * partitions))


def content(batch: int, offsets: list[int]) -> bytes:
    """A watermark file's bytes."""
    words = [MARK, len(offsets), batch, batch, *offsets, *(offset ^ ALL for offset in offsets)]
    return b"".join(word.to_bytes(WORD, sys.byteorder) for word in words)


def look(directory: Path) -> Ends | None:
    """The watermark for reading; None while there is no log yet."""
    path = directory / NAME
    return Ends(path, writable=False) if path.exists() else None
