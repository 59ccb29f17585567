from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGE: Final = 262_144  # bytes of one line, row or document
KEPT: Final = 65_536  # bytes that are kept of what is no message


class Piece(NamedTuple):
    """What a file holds at one place.

    A good piece has a ``document``; of a bad one ``original`` is what is kept, and nothing is kept when that is empty.
    """

    at: str  # where in the file: "line 7", "record 12", "chunk 3"
    document: bytes = b""  # a JSON object in UTF-8
    original: bytes = b""  # as it stood in the file, where that is not the document itself
    error: str = ""  # a code of ``REASONS``; "" for a good piece
    stands_for: int = 1  # messages, where it is a bad piece
    note: str = ""  # what the reader says of it, in English


REASONS: Final = {
    "oversized": ("过长", "too long"),
    "undecodable": ("不是文本", "not text"),
    "malformed": ("格式错误", "malformed"),
    "too_deep": ("嵌套过深", "nested too deeply"),
    "truncated": ("不完整", "cut off"),
    "unclosed": ("引号未闭合", "a quote is never closed"),
    "damaged": ("记录损坏", "damaged record"),
    "damaged_chunk": ("数据块损坏", "damaged chunk"),
    "nested": ("嵌套的压缩包", "an archive inside an archive"),
    "unsafe_name": ("文件名越界", "a name that leads out of the archive"),
    "link": ("符号链接或特殊文件", "a link or special file"),
    "encrypted": ("已加密", "encrypted"),
    "method": ("不支持的压缩方式", "packed by a method that is not read"),
    "kind": ("不是所选的格式", "not of the chosen kind"),
    "columns": ("列数过多", "too many columns"),
    "mapping": ("缺少所选的列", "without the chosen columns"),
}
"""Why something was not taken, in Chinese and English."""


class FileRefused(ValueError):  # noqa: N818 - an answer, not a fault
    """A file, or a file in an archive, cannot be read on; ``reason`` is a code of ``REASONS`` or a bound's name."""

    def __init__(self, reason: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.reason = reason
        self.zh = zh
        self.en = en


class Bytes(Protocol):
    """What is read from: a file or what unpacks one."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, at least one but at the end."""
        ...


class Looked:
    """A stream whose first ``size`` bytes were looked at."""

    def __init__(self, stream: Bytes, size: int) -> None:
        self._stream = stream
        self.beginning = self._ahead = exactly(stream, size)

    def read(self, size: int, /) -> bytes:
        """See ``Bytes``."""
        if self._ahead:
            given, self._ahead = self._ahead[:size], self._ahead[size:]
            return given
        return self._stream.read(size)


def exactly(stream: Bytes, size: int) -> bytes:
    """``size`` bytes, fewer only at the end."""
    parts, left = [], size
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class Line(NamedTuple):
    """A line without its end; ``long`` when it is only the beginning of one."""

    number: int
    text: bytes
    long: bool


def lines(stream: Bytes, most: int = MAX_MESSAGE) -> Iterator[Line]:
    """The lines of ``stream``; never holds more than ``most`` and a block."""
    rest, number, skipping = b"", 1, False
    while block := stream.read(65_536):
        parts = (rest + block).split(b"\n")
        rest = parts.pop()
        for part in parts:
            if not skipping:
                yield _line(number, part, most)
            number, skipping = number + 1, False
        if skipping:
            rest = b""
        elif len(rest) > most:
            yield Line(number, rest[:most], True)
            rest, skipping = b"", True
    if rest and not skipping:
        yield _line(number, rest, most)


def _line(number: int, text: bytes, most: int) -> Line:
    return Line(number, text[:most].removesuffix(b"\r"), len(text) > most)


def decoded(raw: bytes) -> str:
    """The text of ``raw``: UTF-8, else GB18030.

    Raises:
        UnicodeDecodeError: neither.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030")
