"""JSON: one document a line, an array of documents, or documents one after the other over several lines."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final

import orjson

from monitors.files.piece import KEPT, MAX_MESSAGE, Piece, decoded, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitors.files.piece import Bytes, Line

_BOM: Final = b"\xef\xbb\xbf"
_MARKS: Final = re.compile(rb'[{}\[\]"]|\\.', re.DOTALL)  # linear: single characters
_BLANK: Final = b" \t\r\n,"


def read(stream: Bytes) -> Iterator[Piece]:
    """Every document; what is none is kept as it stands and says why."""
    each = lines(stream)
    first = next((line for line in each if line.text.removeprefix(_BOM).strip()), None)
    if first is None:
        return
    first = first._replace(text=first.text.removeprefix(_BOM))
    begins = first.text.lstrip()[:1]
    second = next(each, None)
    whole = chain([first], [second] if second else [], each)
    if begins == b"[" or (begins == b"{" and _opens_only(first) and not (second and _is_object(second))):
        yield from _spread(whole)
    else:
        yield from (_document(f"line {line.number}", line.text, long=line.long) for line in whole if line.text.strip())


def _is_object(line: Line) -> bool:
    try:
        return isinstance(orjson.loads(line.text), dict)
    except orjson.JSONDecodeError:
        return False


def _opens_only(line: Line) -> bool:
    """Whether the first line leaves a document open, as one that is written over several lines does."""
    depth = 0
    quoted = False
    for found in _MARKS.finditer(line.text):
        mark = found[0]
        if mark == b'"':
            quoted = not quoted
        elif not quoted and mark in b"{[":
            depth += 1
        elif not quoted and mark in b"}]":
            depth -= 1
    return depth > 0 and not quoted


def _spread(each: Iterator[Line]) -> Iterator[Piece]:
    """The objects at the top, or in the array at the top; no text of JSON goes over the end of a line."""
    held = _Held()
    for line in each:
        yield from held.take(line)
    if held.depth:
        kept = bytes(held.bytes[:KEPT])
        yield Piece(f"line {held.number}", original=kept, error="truncated", note="the last object does not end")


class _Held:
    """The object that is being put together."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.depth = 0
        self.number = 0  # of the line where it began
        self.long = False

    def take(self, line: Line) -> Iterator[Piece]:
        """Go over a line; gives what ends in it."""
        begun, quoted, ended = 0, False, 0
        self.long = self.long or line.long
        for found in _MARKS.finditer(line.text):
            mark = found[0]
            if mark == b'"':
                quoted = not quoted
            elif quoted or mark[:1] == b"\\":
                continue
            elif mark == b"{" or (mark == b"[" and self.depth):
                begun = self._open(found.start(), line.number, begun)
            elif self.depth and mark in b"}]":
                self.depth -= 1
                if not self.depth:
                    yield self._end(line.text[begun : found.end()])
                    begun = ended = found.end()
        if not self.depth:
            if stray := line.text[ended:].strip(_BLANK + b"[]"):
                yield Piece(f"line {line.number}", original=stray[:KEPT], error="malformed", note="no JSON object")
            return
        self.bytes += line.text[begun:] + b"\n"
        if (
            len(self.bytes) > MAX_MESSAGE
        ):  # look for the next object from here on, else one open bracket costs the whole file
            self.depth, self.long = 0, True
            yield self._end(b"")

    def _open(self, at: int, number: int, begun: int) -> int:
        self.depth += 1
        if self.depth > 1:
            return begun
        self.number, self.bytes = number, bytearray()
        return at

    def _end(self, rest: bytes) -> Piece:
        raw, long = bytes(self.bytes) + rest, self.long
        self.bytes, self.long = bytearray(), False
        return _document(f"line {self.number}", raw, long=long or len(raw) > MAX_MESSAGE)


def _document(at: str, raw: bytes, *, long: bool) -> Piece:
    if long:
        return Piece(at, original=raw[:KEPT], error="oversized", note=f"longer than {MAX_MESSAGE} bytes")
    try:
        text = decoded(raw).removeprefix("\ufeff").strip("\0\r\n\t ")
    except UnicodeDecodeError:
        return Piece(at, original=raw[:KEPT], error="undecodable", note="neither UTF-8 nor GB18030")
    document = text.encode("utf-8", "replace")
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        if "surrogate" in str(error):
            return Piece(at, document)  # the normaliser mends it
        code = "too_deep" if "depth" in str(error) else "malformed"
        return Piece(at, original=raw[:KEPT], error=code, note=str(error)[:200])
    if not isinstance(found, dict):
        return Piece(at, original=raw[:KEPT], error="malformed", note="JSON, but no object")
    return Piece(at, document)
