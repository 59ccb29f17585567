from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from secops.normalise.documents import load, read
from secops.normalise.parser import FormatParser, UnreadableError
from secops.normalise.times import epoch, iso

if TYPE_CHECKING:
    from datetime import tzinfo

    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

LONGEST_TIME: Final = 64
# Year, month, day, hour, minute as tables write them, Chinese ones too. Linear: every part is bounded.
_WRITTEN: Final = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ]{1,2}(\d{1,2})[:时点](\d{1,2})(?:[:分](\d{1,2})秒?)?([.,]\d{1,9})? ?"
    r"(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"\d{9,19}(?:\.\d{1,9})?", re.ASCII)


def parse(record: Record, line: str, desk: Desk) -> list[Event]:
    """Read a document of an uploaded file: ``file``, ``at`` and, for a row of a table, ``original`` and ``zone``."""
    wrapped = load(line)
    document = wrapped.get("document") if isinstance(wrapped, dict) else None
    if not isinstance(document, dict):
        raise UnreadableError("malformed", "an uploaded document without its document")
    row = wrapped.get("original")
    event = desk.event(record, row if isinstance(row, str) else orjson.dumps(document).decode())
    said = document.pop("@timestamp", None) if isinstance(row, str) else None
    read(event, document, desk)
    if isinstance(row, str):
        _date(event, said, _zone(str(wrapped.get("zone", ""))) or desk.zone, desk)
    event["agent.type"] = "upload"  # rules tell by it what is no host that sends
    event["log.file.path"] = str(wrapped.get("file", ""))
    event["labels"] = {
        **event.get("labels", {}),
        "upload": str(wrapped.get("upload", "")),
        "at": str(wrapped.get("at", "")),
    }
    return [event]


def _date(event: Event, said: Any, zone: tzinfo, desk: Desk) -> None:  # noqa: ANN401 - JSON can be anything
    if said is None:
        return
    claimed = written(str(said), zone)
    desk.stamp(event, claimed)
    if claimed is None:
        event["tags"] = [*event.get("tags", ()), "time_unread"]
        event["labels"] = {**event.get("labels", {}), "claimed_time": str(said)[:LONGEST_TIME]}


def written(text: str, zone: tzinfo) -> str | None:
    """Read a time as tables write it: ISO 8601, with slashes or Chinese characters, without seconds, seconds since 1970."""
    text = text.strip()
    if len(text) > LONGEST_TIME:
        return None
    if _NUMBER.fullmatch(text):
        return epoch(float(text)) if "." in text else epoch(int(text))
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return iso(text, zone)
    year, month, day, hour, minute, second, fraction, offset = found.groups("0")
    tail = ("" if fraction == "0" else fraction) + ("" if offset == "0" else offset)
    return iso(f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}{tail}", zone)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


PARSERS = (FormatParser("upload", parse),)
