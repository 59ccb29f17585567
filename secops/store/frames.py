"""One frame of a segment: a skippable zstd frame with our header, then an ordinary zstd frame of JSON lines.

Layout (RFC 8878 sections 3.1.1 and 3.1.2), so that every zstd tool reads a segment as its events alone::

    u32le 0x184D2A50   skippable frame
    u32le n            bytes that follow
    u32le crc32        of the header
    n-4 bytes          header: JSON
    zstd frame         with content checksum: events, one JSON object a line

Pure: bytes in, bytes out. ``docs/adr/0002-event-log-format.md`` tells why.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import zstandard

from secops import verbatim
from secops.records import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.records import Event

MAGIC: Final = 0x184D2A50
LEAD: Final = struct.Struct("<III")  # magic, length of what follows the length, CRC-32 of the header
CRC: Final = 4  # bytes of the header's CRC-32
MAX_HEADER: Final = 16 * 2**20
MAX_BODY: Final = 256 * 2**20
EVENTS_PER_FRAME: Final = 512  # what one random read has to decompress
DEPTH: Final = 32
INT64: Final = 2**63


class Header(NamedTuple):
    """What is known of a frame without decompressing it."""

    partition: int
    base: int  # offset of the first event
    events: int
    length: int  # bytes of the zstd frame
    crc: int  # CRC-32 of the zstd frame
    batch: int  # number of the append call
    commit: int  # partition whose frame of this batch, written last, makes the batch count
    final: bool  # True: this is that frame
    positions: dict[str, Any]  # sources' positions of this batch; only in the final frame
    time: str  # when it was written


class Placed(NamedTuple):
    """A frame in its file."""

    header: Header
    start: int  # of the skippable frame
    body: int  # of the zstd frame
    end: int


def encode(header: Header, body: bytes) -> bytes:
    """The bytes of a frame; ``length`` and ``crc`` are taken from ``body``."""
    fields = header._replace(length=len(body), crc=zlib.crc32(body))
    text = orjson.dumps(fields._asdict())
    return LEAD.pack(MAGIC, len(text) + CRC, zlib.crc32(text)) + text + body


def lead(data: bytes) -> int:
    """Length of the header announced by a frame's first twelve bytes; 0 when they do not begin a frame of ours."""
    if len(data) < LEAD.size:
        return 0
    magic, length, _ = LEAD.unpack_from(data)
    return length - CRC if magic == MAGIC and CRC < length <= MAX_HEADER else 0


def decode(data: bytes, length: int) -> Header | None:
    """The header in ``data`` (a frame's first bytes, ``length`` from ``lead``); None when it is torn or damaged."""
    text = data[LEAD.size : LEAD.size + length]
    if len(text) < length or zlib.crc32(text) != LEAD.unpack_from(data)[2]:
        return None
    try:
        header = Header(**orjson.loads(text))
    except (ValueError, TypeError):
        return None
    return header if 0 <= header.length <= MAX_BODY else None


def lines_of(body: bytes, *, count: int) -> list[bytes]:
    """The JSON lines of a zstd frame.

    Raises:
        ValueError: the frame does not decompress, or to another number of lines.
    """
    return split(text_of(body), count=count)


def text_of(body: bytes) -> bytes:
    """What a zstd frame holds.

    Raises:
        ValueError: it does not decompress.
    """
    try:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=0)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def split(text: bytes, *, count: int) -> list[bytes]:
    """The text's lines.

    Raises:
        ValueError: there are not ``count`` of them.
    """
    lines = text.split(b"\n")
    if lines.pop() or len(lines) != count:
        raise ValueError(f"{len(lines)} lines instead of {count}")
    return lines


def to_line(event: Event, *, short: bool = False) -> bytes:
    """An event as JSON without ``event.id``; what JSON cannot hold is replaced, never refused. ``short``: see ``verbatim``."""
    stored = {key: value for key, value in event.items() if key != EVENT_ID} if EVENT_ID in event else event
    try:
        return orjson.dumps(verbatim.shortened(stored) if short else stored)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(plain(stored), ensure_ascii=False, separators=(",", ":")).encode()


def plain(value: object, depth: int = 0) -> object:
    """``value`` reduced to what JSON can hold: lone surrogates, huge integers and strange objects replaced."""
    if depth > DEPTH:
        return "…"
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -INT64 <= value < 2 * INT64 else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value).encode("utf-8", "replace").decode()


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # longer than Python's limit of digits
        return hex(value)


def to_events(lines: Sequence[bytes], partition: int, base: int, *, whole: bool = True) -> list[Event]:
    """Parse consecutive lines; the first has offset ``base``. ``whole``: with texts that were left out (``verbatim``)."""
    events: list[Event] = list(map(orjson.loads, lines))  # one by one, which touches less memory than all at once
    for offset, event in enumerate(events, base):
        event[EVENT_ID] = f"{partition}-{offset}"
    if whole:
        verbatim.restore(events)
    return events
