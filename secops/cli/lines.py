"""Reads files of JSON lines, plain or zstd, in bounded memory."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK: Final = 1 << 20
MAX_LINE: Final = 16 << 20  # bytes; a longer line is skipped and counted
STANDARD_INPUT: Final = "-"


@contextmanager
def open_lines(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed when the name ends in ``.zst``; ``-`` is standard input."""
    if str(path) == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        if path.suffix != ".zst":
            yield file
            return
        import zstandard  # noqa: PLC0415 - only for compressed input: offline commands start at once

        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader:
            yield cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", reader), CHUNK))


def read_lines(stream: BinaryIO) -> Iterator[list[bytes | None]]:
    """Lines in lists of about a megabyte; None stands for a line that is too long."""
    rest, skipping = b"", False
    while chunk := stream.read(CHUNK):
        lines: list[bytes | None] = list((rest + chunk).split(b"\n"))
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
