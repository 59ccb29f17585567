"""Reads files of JSON lines, plain or zstd, in bounded memory."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

CHUNK: Final = 1 << 20
MAX_LINE: Final = 16 << 20  # bytes; a longer line is skipped and counted
STANDARD_INPUT: Final = "-"
_SLICE: Final = (
    512  # compressed bytes taken at once: a block of 4 bytes may stand for 128 kB, so at most 16 MB come out
)


class DamagedError(Exception):
    """A compressed file cannot be decompressed to its end."""


@contextmanager
def open_lines(path: Path) -> Iterator[Iterable[bytes]]:
    """The file's bytes in pieces, decompressed when the name ends in ``.zst``; ``-`` is standard input.

    Reading them raises ``DamagedError`` for a compressed file that is damaged or not whole.
    """
    if str(path) == STANDARD_INPUT:
        yield _pieces(sys.stdin.buffer, CHUNK)
        return
    with path.open("rb") as file:
        yield _decompressed(file) if path.suffix == ".zst" else _pieces(file, CHUNK)


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


def _decompressed(file: BinaryIO) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - only for compressed input: offline commands start at once

    context = zstandard.ZstdDecompressor()
    frame = context.decompressobj()
    begun = False  # whether the frame has had input
    try:
        for piece in _pieces(file, _SLICE):
            rest = piece
            while rest:
                yield frame.decompress(rest)
                begun, rest = True, b""
                if frame.eof:
                    rest, begun = frame.unused_data, False
                    frame = context.decompressobj()
    except zstandard.ZstdError as error:
        raise DamagedError(str(error)) from error
    if begun:
        raise DamagedError("the compressed file ends in the middle of a frame")


def read_lines(pieces: Iterable[bytes]) -> Iterator[list[bytes | None]]:
    """Lines in lists of a piece each; None stands for a line that is too long."""
    rest, skipping = b"", False
    for piece in pieces:
        lines: list[bytes | None] = list((rest + piece).split(b"\n"))
        rest = lines.pop() or b""
        if skipping and lines:
            lines[0] = None
            skipping = False
        if len(rest) > MAX_LINE or skipping:
            rest, skipping = b"", True
        if lines:
            yield lines
    if rest or skipping:
        yield [None if skipping else rest]


def folders_of_rules(given: Sequence[Path]) -> list[Path]:
    """Give the folders to read; one like the product's own ``rules`` also holds what is not for the matcher."""
    return [part for folder in given for part in _parts(folder)]


def _parts(folder: Path) -> list[Path]:
    parts = [folder / name for name in ("detection", "correlation")]
    if not all(part.is_dir() for part in parts):
        return [folder]
    return [part for part in (*parts, folder / "watch") if part.is_dir()]
