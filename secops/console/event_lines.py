"""Events as lines of a file that people take away: JSON lines with every field, CSV with the chosen ones."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.records import EVENT_ID, ORIGINAL, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from secops.records import Event

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so
_BOM: Final = b"\xef\xbb\xbf"  # without it Excel takes Chinese for the local code page


def json_lines(pages: Iterable[Sequence[Event]]) -> Iterator[bytes]:
    """A JSON object a line."""
    for hits in pages:
        yield b"".join(orjson.dumps(hit) + b"\n" for hit in hits)


def csv_lines(pages: Iterable[Sequence[Event]], columns: Sequence[str]) -> Iterator[bytes]:
    """CSV (RFC 4180) with a header: time, ``columns`` and the event's id."""
    named = [TIMESTAMP, *(name for name in columns if name not in {TIMESTAMP, EVENT_ID}), EVENT_ID]
    yield _BOM + _row(named)
    for hits in pages:
        yield b"".join(_row([_cell(hit, name) for name in named]) for hit in hits)


def _cell(event: Event, name: str) -> str:
    value: Any = event.get(name)
    if value is None and name.startswith(f"{ORIGINAL}."):
        value = (event.get(ORIGINAL) or {}).get(name.partition(".")[2])
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _row(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()
