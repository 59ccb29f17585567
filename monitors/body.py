from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import orjson
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS: Final = 1_000_000  # commas and brackets of a document parsed whole: about 300 bytes of memory each
_WINDOW: Final = 8 << 20  # bytes that a zstd frame may ask us to hold
_STEP: Final = 256  # bytes unpacked at once: 4 bytes of zstd may become 128 kB, so 256 become 8 MB at the worst
_MEMBERS: Final = 64  # gzip members or zstd frames of one body
_GZIP: Final = 16 + zlib.MAX_WBITS


class BodyError(ValueError):
    """A pushed body cannot be taken; ``status`` is the HTTP status to answer with."""

    def __init__(self, status: int, zh: str, en: str) -> None:
        super().__init__(en)
        self.status = status
        self.zh = zh
        self.en = en


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo ``Content-Encoding``; never makes more than ``limit`` bytes, whatever the body claims.

    Raises:
        BodyError: 413 when it would be more, 400 when it is damaged, 415 for another encoding.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding not in _ENCODINGS:
        raise BodyError(
            415,
            f"不支持的压缩方式 {encoding[:40]!r}；请用 gzip 或 zstd",
            f"no such encoding {encoding[:40]!r}; use gzip or zstd",
        )
    try:
        plain, whole = _ENCODINGS[encoding](body, limit + 1)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BodyError(400, f"压缩数据已损坏: {error}", f"the compressed body is damaged: {error}") from error
    if len(plain) > limit:
        raise BodyError(
            413, f"解压后超过 {limit} 字节；请分批发送", f"more than {limit} bytes once unpacked; send less at a time"
        )
    if not whole:
        raise BodyError(400, "压缩数据不完整", "the compressed body ends in the middle")
    return plain


def _gunzip(body: bytes, most: int) -> tuple[bytes, bool]:
    plain = bytearray()
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        plain += member.decompress(body, most - len(plain))
        body = member.unused_data
        if not member.eof or not body or len(plain) >= most:
            return bytes(plain), member.eof or len(plain) >= most
    return bytes(plain), False


def _unzstd(body: bytes, most: int) -> tuple[bytes, bool]:
    plain = bytearray()
    unpacker, frames = zstandard.ZstdDecompressor(max_window_size=_WINDOW), 1
    frame = unpacker.decompressobj()
    for start in range(0, len(body), _STEP):
        piece = body[start : start + _STEP]
        while piece:
            if frame.eof:
                frame, frames = unpacker.decompressobj(), frames + 1
            plain += frame.decompress(piece)
            if len(plain) >= most:
                return bytes(plain[:most]), True
            piece = frame.unused_data if frame.eof else b""
            if frames > _MEMBERS:
                return bytes(plain), False
    return bytes(plain), frame.eof


_ENCODINGS: Final[dict[str, Callable[[bytes, int], tuple[bytes, bool]]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "zstd": _unzstd,
}


def split(body: bytes, content_type: str, most: int = 50_000) -> tuple[list[bytes], str]:
    """Cut a body into at most ``most`` messages and say their format: a JSON array, JSON lines, or lines of text.

    Everything is counted before anything is made of it: a few kilobytes of gzip may hold millions of tiny objects.

    Raises:
        BodyError: 400 for an array that is not one, 413 for more messages, or for a document of too many parts.
    """
    if content_type == "text/plain":
        return _lines(body, most), "line"
    if body.lstrip()[:1] == b"[":
        return _array(body, most), "json"
    if content_type == "application/json" and _is_one(body):
        return [body.strip()], "json"
    return _lines(body, most), "json"


def _lines(body: bytes, most: int) -> list[bytes]:
    if body.count(b"\n") > 2 * most:  # blank lines between messages are borne with
        raise _too_many(most)
    return [line for piece in body.split(b"\n") if (line := piece.strip(b"\r\x00 \t"))]


def _array(body: bytes, most: int) -> list[bytes]:
    bear(body)
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(400, f"不是 JSON 数组: {error}", f"not a JSON array: {error}") from error
    if len(items) > most:
        raise _too_many(most)
    return [orjson.dumps(item) for item in items]


def bear(body: bytes) -> None:
    """Refuse a document of so many parts that parsing it whole would take the machine's memory."""
    if sum(body.count(mark) for mark in (b"{", b"[", b",")) > _PARTS:
        raise BodyError(
            413,
            f"JSON 文档超过 {_PARTS} 个元素；请改用每行一个 JSON（JSON Lines）或分批发送",
            f"the JSON document has more than {_PARTS} parts; send JSON lines, or less at a time",
        )


def _too_many(most: int) -> BodyError:
    return BodyError(413, f"一次超过 {most} 条；请分批发送", f"more than {most} events; send less at a time")


def _is_one(body: bytes) -> bool:
    """Say whether the body is one JSON document, written over several lines or not."""
    if b"\n" not in body.strip():
        return True
    if body.lstrip()[:1] != b"{":
        return False
    bear(body)
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
