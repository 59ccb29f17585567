"""Tables of text (CSV, TSV and the like): each row becomes a document with the columns' names."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from monitors.files.piece import KEPT, MAX_MESSAGE, FileRefused, Line, Looked, Piece, decoded, lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitors.files.piece import Bytes

MOST_COLUMNS: Final = 500
MOST_LINES: Final = 200  # of one row
LONGEST_NAME: Final = 200
DELIMITERS: Final = (",", "\t", ";", "|")
TARGETS: Final = ("@timestamp", "host.name", "message", "user.name", "source.ip", "event.action")
"""What a column can be said to be; the others keep their own names."""
SHOWN_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is read: which column is what, and whether the first row names them."""

    columns: Mapping[str, str] = field(default_factory=dict)  # one of TARGETS -> the column's name
    header: bool = True
    delimiter: str = ""  # "": told by the first row


class Row(NamedTuple):
    """A row as it stood, or why it is none."""

    number: int  # of its first line
    raw: bytes
    error: str = ""
    note: str = ""


def read(stream: Bytes, layout: Layout) -> Iterator[Piece]:
    """Every row as a document; rows that are none are kept as they stand and say why.

    Raises:
        FileRefused: too many columns, or none of the name that the layout asks for.
    """
    names, delimiter, rows = _begin(stream, layout)
    missing = [name for name in layout.columns.values() if name not in names]
    if missing:
        listed = ", ".join(missing)[:200]
        raise FileRefused("mapping", f"表中没有这些列：{listed}", f"the table has no such columns: {listed}")
    named = {column: target for target, column in layout.columns.items()}
    for row in rows:
        yield _piece(row, names, named, delimiter)


def peek(stream: Bytes, layout: Layout) -> tuple[list[str], list[list[str]]]:
    """The columns' names and the first rows.

    Raises:
        FileRefused: too many columns.
    """
    names, delimiter, rows = _begin(stream, layout)
    shown = [cells(row.raw, delimiter)[:MOST_COLUMNS] for row in islice(rows, SHOWN_ROWS) if not row.error]
    return names, [[cell[:200] for cell in one] for one in shown]


def _begin(stream: Bytes, layout: Layout) -> tuple[list[str], str, Iterator[Row]]:
    rows = _rows(lines(_utf8(stream)))
    first = next((row for row in rows if row.error or row.raw.strip()), None)
    if first is None or first.error:
        why = first.note if first else "the file is empty"
        raise FileRefused("malformed", f"表头无法读取（{why}）", f"the first row cannot be read: {why}")
    delimiter = layout.delimiter or max(DELIMITERS, key=lambda one: first.raw.count(one.encode()))
    try:
        found = cells(first.raw, delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileRefused("undecodable", f"表头无法读取：{error}", f"the first row cannot be read: {error}") from error
    if len(found) > MOST_COLUMNS:
        raise FileRefused(
            "columns", f"{len(found)} 列，最多 {MOST_COLUMNS} 列", f"{len(found)} columns; at most {MOST_COLUMNS}"
        )
    if layout.header:
        return _names(found), delimiter, rows
    return [f"column {place}" for place in range(1, len(found) + 1)], delimiter, chain([first], rows)


def _names(found: list[str]) -> list[str]:
    """The columns' names, each once: what stands twice gets a number, what has no name its place."""
    names: list[str] = []
    taken: set[str] = set()
    for place, cell in enumerate(found, 1):
        name = wanted = cell.strip().strip("\0\ufeff")[:LONGEST_NAME] or f"column {place}"
        again = 2
        while name in taken:
            name, again = f"{wanted} {again}", again + 1
        taken.add(name)
        names.append(name)
    return names


def cells(raw: bytes, delimiter: str) -> list[str]:
    """The cells of a row.

    Raises:
        UnicodeDecodeError, csv.Error: it is not text, or no row.
    """
    csv.field_size_limit(MAX_MESSAGE)
    return next(csv.reader([decoded(raw).removeprefix("\ufeff")], delimiter=delimiter), [])


def _piece(row: Row, names: list[str], named: Mapping[str, str], delimiter: str) -> Piece:
    at = f"line {row.number}"
    if row.error:
        return Piece(at, original=row.raw[:KEPT], error=row.error, note=row.note)
    try:
        found = cells(row.raw, delimiter)
    except UnicodeDecodeError:
        return Piece(at, original=row.raw[:KEPT], error="undecodable", note="neither UTF-8 nor GB18030")
    except csv.Error as error:
        return Piece(at, original=row.raw[:KEPT], error="malformed", note=str(error)[:200])
    if len(found) > MOST_COLUMNS:
        return Piece(at, original=row.raw[:KEPT], error="columns", note=f"{len(found)} cells")
    document: dict[str, Any] = {}
    for place, cell in enumerate(found):
        name = names[place] if place < len(names) else f"column {place + 1}"
        if cell:
            document[named.get(name, name)] = cell
    return Piece(at, orjson.dumps(document), decoded(row.raw).encode("utf-8", "replace"))


def _rows(each: Iterator[Line]) -> Iterator[Row]:
    """Rows, of several lines where a quoted cell holds line ends; a quote that is never closed costs its own line only."""
    ahead: deque[Line] = deque()
    while ahead or (line := next(each, None)) is not None:
        first = ahead.popleft() if ahead else line
        assert first is not None
        if first.long:
            yield Row(first.number, first.text, "oversized", f"longer than {MAX_MESSAGE} bytes")
        elif first.text.count(b'"') % 2 == 0:
            if first.text.strip(b" \0"):
                yield Row(first.number, first.text)
        else:
            yield _gathered(first, ahead, each)


def _gathered(first: Line, ahead: deque[Line], each: Iterator[Line]) -> Row:
    """The row that begins with ``first``, whose last quote is open; lines that turn out not to be its own stay ``ahead``."""
    size, place = len(first.text), 0
    while size <= MAX_MESSAGE and place < MOST_LINES:
        if place == len(ahead):
            line = next(each, None)
            if line is None:
                break
            ahead.append(line)
        line = ahead[place]
        if line.long:
            break
        size, place = size + len(line.text) + 1, place + 1
        if line.text.count(b'"') % 2:
            return Row(first.number, b"\n".join([first.text, *(ahead.popleft().text for _ in range(place))]))
    return Row(first.number, first.text, "unclosed", "a quote is opened in this line and never closed")


class _Transcoded:
    """UTF-16 as UTF-8: what a spreadsheet calls Unicode text."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def read(self, size: int, /) -> bytes:
        while raw := self._stream.read(size):
            if text := self._decoder.decode(raw):
                return text.encode("utf-8", "replace")
        return b""


def _utf8(stream: Bytes) -> Bytes:
    looked = Looked(stream, 2)
    if looked.beginning in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return _Transcoded(looked)
    return looked
