"""A run of consecutive events turned into columns: times, codes with a dictionary per keyword field, and index text."""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
import zstandard

from secops.records import INGESTED, MESSAGE, ORIGINAL, RAW, TENANT, TIMESTAMP
from secops.store import plan, text
from secops.store.fields import HIDDEN, KEYWORDS, lookup, scalars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.records import Event

Key: TypeAlias = str | tuple[str, ...] | None
"""A value in a column: None for an absent field, a tuple for several values."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000
_LENGTH: Final = struct.Struct("<I")
_HEADS: Final = frozenset(
    {ORIGINAL, *(".".join(field.split(".")[:count]) for field in KEYWORDS for count in range(1, field.count(".") + 1))}
)
_SKIPPED: Final = HIDDEN | {MESSAGE}


@dataclass(frozen=True, slots=True)
class Columns:
    """Events as columns, all of one length."""

    times: array[int]  # microseconds since 1970, UTC
    keys: dict[str, list[Key]]  # by keyword field


def of(events: Sequence[Event]) -> Columns:
    """The columns of events."""
    rich = [number for number, event in enumerate(events) if not _HEADS.isdisjoint(event)]
    keys = {}
    for field in KEYWORDS:
        values = [event.get(field) for event in events]
        for number in rich:
            values[number] = lookup(events[number], field)
        keys[field] = [value if value is None or value.__class__ is str else key_of(value) for value in values]
    return Columns(array("q", map(microseconds, events)), keys)


def key_of(value: Any) -> Key:  # noqa: ANN401 - an event's values are of any JSON type
    """A field's value as a key."""
    found = tuple(scalars(value))
    return found[0] if len(found) == 1 else found or None


def microseconds(event: Event) -> int:
    """``@timestamp``, or where it cannot be read ``event.ingested``, or 0."""
    for field in (TIMESTAMP, INGESTED):
        try:
            since = datetime.fromisoformat(event[field]) - EPOCH
        except (KeyError, TypeError, ValueError):
            continue
        return (since.days * 86400 + since.seconds) * SECOND + since.microseconds
    return 0


def to_datetime(moment: int) -> datetime:
    """Microseconds since 1970 as an aware datetime."""
    return datetime.fromtimestamp(moment // SECOND, UTC).replace(microsecond=moment % SECOND)


def texts(events: Sequence[Event], columns: Columns) -> list[str]:
    """What FTS5 is given for each event."""
    pieces = [_tokens_of(field, keys) for field, keys in columns.keys.items()]
    return list(map(" ".join, zip(map(_text, events), *pieces, strict=True)))


def _tokens_of(field: str, keys: list[Key]) -> list[str]:
    known = {key: _tokens(field, key) for key in dict.fromkeys(keys)}
    return [known[key] for key in keys]


def _tokens(field: str, key: Key) -> str:
    values = (key,) if isinstance(key, str) else key or ()
    found = [plan.keyword_token(field, value) for value in values]
    if field == TENANT:
        found.append(plan.EVERY)
    return " ".join(found)


def _text(event: Event) -> str:
    raw, message, parts = event.get(RAW), event.get(MESSAGE), []
    for field, value in event.items():
        if field not in _SKIPPED:
            if value.__class__ is str:
                parts.append(value)
            else:
                parts.extend(scalars(value))
    if message.__class__ is not str:
        parts.extend(scalars(message))
    elif not (raw.__class__ is str and raw.endswith(message) and raw[-len(message) - 1 : -len(message)] in {" ", "\t"}):
        parts.append(message)
    joined = "\n".join(parts)
    if joined.isascii():
        return joined
    return " ".join(part if part.isascii() else " ".join(text.index_words(text.fold(part))) for part in parts)


def pack_times(times: array[int]) -> bytes:
    """Times, compressed."""
    return zstandard.compress(times.tobytes(), 1)


def unpack_times(data: bytes) -> array[int]:
    """The inverse of ``pack_times``."""
    times = array("q")
    times.frombytes(zstandard.decompress(data))
    return times


def pack_keys(keys: list[Key]) -> bytes | None:
    """A column, compressed; None when no event has the field."""
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    if not codes.keys() - {None}:
        return None
    dictionary = orjson.dumps(list(codes))
    numbers = array("H", map(codes.__getitem__, keys))
    return zstandard.compress(_LENGTH.pack(len(dictionary)) + dictionary + numbers.tobytes(), 1)


def unpack_keys(data: bytes) -> tuple[list[Key], array[int]]:
    """``(dictionary, code of each event)``."""
    content = zstandard.decompress(data)
    (length,) = _LENGTH.unpack_from(content)
    end = _LENGTH.size + length
    dictionary = [tuple(key) if isinstance(key, list) else key for key in orjson.loads(content[_LENGTH.size : end])]
    codes = array("H")
    codes.frombytes(content[end:])
    return dictionary, codes
