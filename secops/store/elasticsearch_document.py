"""An event as an Elasticsearch document, and back.

What people see is ECS: the mapped fields of an event stand in the document as they are (``ROOT``), all else in ``rest``, a
JSON text that Elasticsearch does not look into, so that no name and no type a sender chooses can be refused or change
the mapping. What our searches use is made here, by the code that also confirms hits (``text``, ``evaluate``):

* ``text.all``, ``text.message``: words, one array item a value, so that a phrase never reaches from one value into the next.
* ``folded.<field>``, ``number.<field>``: keyword fields as they compare.
* ``odd``: where the columns above do not say everything about this event (a value too long, an address of two families);
  a query that depends on it is then confirmed on the event (``elasticsearch_plan``).

They are not kept in ``_source``: an index that is to change is filled again from the event log.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from secops.records import EVENT_ID, INGESTED, MESSAGE, ORIGINAL, RAW, TENANT, TIMESTAMP, EventId
from secops.store import text
from secops.store.columns import EPOCH, microseconds
from secops.store.evaluate import moment, number
from secops.store.fields import HIDDEN, KEYWORDS, lookup, scalars
from secops.store.shard import id_of, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secops.records import Event

SCHEMA: Final = 1  # raise it when documents change: a new data stream is then filled from the log
MAX_VALUE: Final = 8000  # characters of a keyword; Lucene's terms have at most 32,766 bytes
MAX_CACHED: Final = 200
MAX_WORD: Final = 120  # characters; the analyzer cuts at 255 UTF-16 units
JOIN: Final = "+"  # marks where a longer word was cut; part of no word
LONG: Final = "long"
TIME: Final = "time"
UNDATED: Final = "undated"
WHOLE: Final = "whole"  # only `rest` is there: Elasticsearch refused the rest

ADDRESSES: Final = frozenset({"source.ip", "destination.ip"})
_WORDS: Final = (
    "event.type", "user.id", "user.domain", "process.executable", "process.command_line", "file.path", "url.path",
    "url.original", "url.domain", "rule.name", "service.name", "log.file.path", "tags",
)  # fmt: skip
_NUMBERS: Final = ("process.pid", "source.port", "destination.port", "http.response.body.bytes", "log.syslog.priority")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_LAST: Final = 9_223_372_036_000_000  # microseconds that a date_nanos can hold
_HEADS: Final = frozenset(
    {ORIGINAL, *(".".join(field.split(".")[:count]) for field in KEYWORDS for count in range(1, field.count(".") + 1))}
)
_COLUMNS: Final = tuple((field, f"folded.{field}", f"number.{field}") for field in KEYWORDS)


def column(field: str) -> str:
    """The mark of events whose ``field`` does not stand in the document."""
    return f"column:{field}"


def long(field: str) -> str:
    """The mark of events with a value of ``field`` that was cut."""
    return f"{LONG}:{field}"


def address(field: str) -> str:
    """The mark of events with an address in ``field`` that Elasticsearch would take for another one."""
    return f"address:{field}"


@lru_cache(maxsize=4096)
def _tenant_key(tenant: str) -> str:
    return hashlib.sha256(tenant.encode("utf-8", "replace")).hexdigest()[:20]


def tenant_key(tenant: object) -> str:
    """What stands for a tenant: never folded, never too long."""
    return _tenant_key(str(tenant))


def to_document(event: Event) -> dict[str, Any]:
    """The document of an event whose ``event.id`` is set."""
    found, rest, odd = _split(event)
    micros = microseconds(event)
    found |= {
        "micros": micros,
        "row": row_of(EventId.parse(event[EVENT_ID])),
        "tenant": tenant_key(event.get(TENANT)),
    }
    if TIMESTAMP not in found:
        found[TIMESTAMP] = _clamped(micros)
    _add_columns(event, found, odd)
    _add_texts(event, found, odd)
    if _moments(event) != [micros]:
        odd.add(TIME)
    if rest:
        found["rest"] = orjson.dumps(rest).decode()
    if odd:
        found["odd"] = sorted(odd)
    return found


def bare(event: Event) -> dict[str, Any]:
    """The least document of an event: found by its time and tenant, all else is decided on the event."""
    micros = microseconds(event)
    return {
        TIMESTAMP: _clamped(micros),
        "micros": micros,
        "row": row_of(EventId.parse(event[EVENT_ID])),
        "tenant": tenant_key(event.get(TENANT)),
        "rest": orjson.dumps({name: value for name, value in event.items() if name != EVENT_ID}).decode(),
        "odd": [WHOLE] if TIMESTAMP in event else [WHOLE, UNDATED],
    }


def to_event(source: Mapping[str, Any]) -> Event:
    """The event of a document's ``_source``."""
    event = {name: value for name, value in source.items() if name in ROOT}
    if UNDATED in source.get("odd", ()):
        del event[TIMESTAMP]
    if "rest" in source:
        event |= orjson.loads(source["rest"])
    event[EVENT_ID] = str(id_of(source["row"]))
    return event


def mapping() -> dict[str, Any]:
    """The mapping of the data stream's indices."""
    keyword = {"type": "keyword", "ignore_above": MAX_VALUE}
    number_ = {"type": "double", "doc_values": False}
    unseen = {"type": "keyword", "index": False, "doc_values": False}
    words = {"type": "text", "analyzer": "whitespace", "norms": False}
    properties: dict[str, Any] = {
        TIMESTAMP: {"type": "date_nanos"},
        INGESTED: {"type": "date_nanos", "ignore_malformed": True},
        MESSAGE: {"type": "text", "index": False},
        RAW: unseen,
        ORIGINAL: {"type": "flattened", "ignore_above": 256},
        "micros": {"type": "long"},
        "row": {"type": "long"},
        "tenant": {"type": "keyword", "doc_values": False},
        "odd": {"type": "keyword"},
        "rest": unseen,
        "text.all": words,
        "text.message": words,
    }
    for field in KEYWORDS:
        properties[field] = keyword
        properties[f"folded.{field}"] = {"type": "keyword", "doc_values": False}
        properties[f"number.{field}"] = number_
    for field in ADDRESSES:
        properties[field] = {"type": "ip", "fields": {"text": keyword}}
    for field in _WORDS:
        properties[field] = {"type": "keyword", "ignore_above": 1024}
    for field in _NUMBERS:
        properties[field] = {"type": "long"}
    return {
        "dynamic": False,
        "subobjects": False,
        "_source": {"excludes": ["folded.*", "number.*", "text.*", "micros", "tenant"]},
        "_meta": {"schema": SCHEMA},
        "properties": properties,
    }


def chunks(word: str) -> list[str]:
    """A word as tokens: itself, or pieces that no shorter word can be taken for."""
    if len(word) <= MAX_WORD:
        return [word]
    pieces = [word[start : start + MAX_WORD] for start in range(0, len(word), MAX_WORD)]
    last = len(pieces) - 1
    return [f"{JOIN if n else ''}{piece}{JOIN if n < last else ''}" for n, piece in enumerate(pieces)]


def _split(event: Event) -> tuple[dict[str, Any], Event, set[str]]:
    found: dict[str, Any] = {}
    rest: Event = {}
    for name, value in event.items():
        fits = ROOT.get(name)
        if fits is not None and fits(value):
            found[name] = value
        elif name != EVENT_ID:
            rest[name] = value
    return found, rest, set() if TIMESTAMP in event else {UNDATED}


class _Column(NamedTuple):
    """A value of a keyword field as it compares."""

    folded: str
    number: float | None
    cut: bool


@lru_cache(maxsize=16384)
def _column(value: str) -> _Column:
    folded = text.fold(value)
    return _Column(folded[:MAX_VALUE], number(value), cut=len(folded) > MAX_VALUE)


def _column_of(value: str) -> _Column:
    return _column(value) if len(value) <= MAX_CACHED else _column.__wrapped__(value)


def _add_columns(event: Event, found: dict[str, Any], odd: set[str]) -> None:
    rich = not _HEADS.isdisjoint(event)
    for field, folded, numbered in _COLUMNS:
        value = lookup(event, field) if rich else event.get(field)
        if value is None:
            continue
        values = (value,) if value.__class__ is str else tuple(scalars(value))
        if not values:
            continue
        if len(values) == 1:
            known = _column_of(values[0])
            found[folded] = known.folded
            numbers = [] if known.number is None else [known.number]
            cut = known.cut
        else:
            every = [_column_of(each) for each in values]
            found[folded] = [each.folded for each in every]
            numbers = [each.number for each in every if each.number is not None]
            cut = any(each.cut for each in every)
        if numbers:
            found[numbered] = numbers
        if cut:
            odd.add(long(field))
        if field not in found:
            odd.add(column(field))
            if field in ADDRESSES and any(map(_is_address, values)):
                odd.add(address(field))


def _add_texts(event: Event, found: dict[str, Any], odd: set[str]) -> None:
    lines = [_words(each, odd) for each in _texts(event)]
    found["text.all"] = [line for line in lines if line]
    message = [_words(each, odd) for each in scalars(lookup(event, MESSAGE))]
    if any(message):
        found["text.message"] = [line for line in message if line]


def _texts(event: Event) -> Iterator[str]:
    """All texts; the message is left out where the raw text ends with it."""
    raw, message = event.get(RAW), event.get(MESSAGE)
    covered = (
        isinstance(raw, str)
        and isinstance(message, str)
        and raw.endswith(message)
        and raw[-len(message) - 1 : -len(message)] in {" ", "\t"}
    )
    for name, value in event.items():
        if name not in HIDDEN and not (covered and name == MESSAGE):
            yield from scalars(value)


def _words(value: str, odd: set[str]) -> str:
    line, cut = _line(value) if len(value) <= MAX_CACHED else _line.__wrapped__(value)
    if cut:
        odd.add(LONG)
    return line


@lru_cache(maxsize=16384)
def _line(value: str) -> tuple[str, bool]:
    """The words of a text, and whether one of them was cut; most short texts come again and again."""
    found = text.words(text.fold(value))
    if max(map(len, found), default=0) <= MAX_WORD:
        return " ".join(found), False
    return " ".join(piece for word in found for piece in chunks(word)), True


def _moments(event: Event) -> list[int]:
    known = (moment(each) for each in scalars(lookup(event, TIMESTAMP)))
    return [to_micros(each) for each in known if each is not None]


def to_micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def _clamped(micros: int) -> str:
    at = EPOCH + timedelta(microseconds=min(max(micros, 0), _LAST))
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_moment(value: object) -> bool:
    if not (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return False
    try:
        return 0 <= to_micros(datetime.fromisoformat(value)) <= _LAST
    except ValueError:
        return False


def _is_keyword(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_keyword(each) and not isinstance(each, list) for each in value)
    return (isinstance(value, str) and len(value) <= MAX_VALUE) or isinstance(value, int)


def _is_plain_address(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) and _plain(each) for each in value)
    return isinstance(value, str) and _plain(value)


@lru_cache(maxsize=65536)
def _plain(value: str) -> bool:
    """An address that means the same to Elasticsearch: no scope, not IPv4 within IPv6."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value and getattr(found, "ipv4_mapped", None) is None


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_long(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_flat(value: object) -> bool:
    """Fields that ``flattened`` takes: names without NUL, short, and one value each."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(0 < len(name) <= 200 and "\0" not in name for name in value)  # noqa: PLR2004 - well below a term's size
        and all(isinstance(each, str | int) for each in value.values())
    )


ROOT: Final[Mapping[str, Callable[[object], bool]]] = {
    TIMESTAMP: _is_moment,
    INGESTED: _is_moment,
    MESSAGE: _is_text,
    RAW: _is_text,
    ORIGINAL: _is_flat,
    **dict.fromkeys(KEYWORDS, _is_keyword),
    **dict.fromkeys(ADDRESSES, _is_plain_address),
    **dict.fromkeys(_WORDS, _is_keyword),
    **dict.fromkeys(_NUMBERS, _is_long),
}
"""The fields that stand in a document as they are, with what their mapping takes."""
