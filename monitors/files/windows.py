"""Windows event files, chunk by chunk: a chunk is parsed as a file of its own, so one that is damaged costs only itself."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, Final

from evtx import PyEvtxParser

from monitors.files.piece import FileRefused, Piece, exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitors.files.piece import Bytes

MAGIC: Final = b"ElfFile\0"
_CHUNK_MAGIC: Final = b"ElfChnk\0"
_HEADER: Final = 4096
_CHUNK: Final = 65_536
_MOST_RECORDS: Final = _CHUNK // 24  # a record's own header takes that much
_RECORDS: Final = struct.Struct("<QQ")  # numbers of the first and the last record of a chunk
_COUNTS: Final = struct.Struct("<QQ")
_CHUNKS_AT, _COUNT_AT = 8, 42  # in the file's header: first and last chunk, number of chunks


def read(stream: Bytes) -> Iterator[Piece]:
    """Every record as JSON; damaged records and chunks are named and counted.

    Raises:
        FileRefused: the file does not begin as an event file does.
    """
    header = exactly(stream, _HEADER)
    if not header.startswith(MAGIC):
        raise FileRefused("kind", "不是 EVTX 文件（文件头不符）", "not an EVTX file: it does not begin as one")
    if len(header) < _HEADER:
        yield Piece("header", error="truncated", note="the file ends within its header")
        return
    alone = bytearray(header)
    _COUNTS.pack_into(alone, _CHUNKS_AT, 0, 0)
    struct.pack_into("<H", alone, _COUNT_AT, 1)
    number = 0
    while chunk := exactly(stream, _CHUNK):
        number += 1
        if chunk.count(0) == len(chunk):
            continue  # Windows sets chunks aside before it needs them
        yield from _chunk(bytes(alone), chunk, number)


def _chunk(header: bytes, chunk: bytes, number: int) -> Iterator[Piece]:
    where = f"chunk {number}"
    if not chunk.startswith(_CHUNK_MAGIC):
        yield Piece(where, error="damaged_chunk", note="it does not begin as a chunk does")
        return
    if len(chunk) < _CHUNK:
        yield Piece(
            where, error="truncated", stands_for=0, note=f"the file ends after {len(chunk)} of its {_CHUNK} bytes"
        )
    good = bad = 0
    for piece in _records(header + chunk.ljust(_CHUNK, b"\0"), where):
        good, bad = good + (not piece.error), bad + bool(piece.error)
        yield piece
    lost = _expected(chunk) - good - bad
    if lost > 0:
        yield Piece(where, error="damaged", stands_for=lost, note=f"{lost} records after a damaged one cannot be found")


def _expected(chunk: bytes) -> int:
    """Records that the chunk says it holds; 0 when it says nothing believable."""
    if len(chunk) < 8 + _RECORDS.size:
        return 0
    first, last = _RECORDS.unpack_from(chunk, 8)
    return last - first + 1 if 0 < first <= last < first + _MOST_RECORDS else 0


def _records(file: bytes, where: str) -> Iterator[Piece]:
    try:
        records = iter(PyEvtxParser(io.BytesIO(file), number_of_threads=1).records_json())
    except (RuntimeError, OSError, ValueError) as error:
        yield Piece(where, error="damaged_chunk", note=str(error)[:300])
        return
    for _ in range(_MOST_RECORDS):
        try:
            record: Any = next(records)
        except StopIteration:
            return
        except (RuntimeError, OSError, ValueError) as error:
            yield Piece(where, error="damaged", note=str(error)[:300])
        else:
            yield Piece(f"record {record['event_record_id']}", record["data"].encode())
