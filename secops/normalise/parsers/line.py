from __future__ import annotations

import re
from typing import TYPE_CHECKING

from secops.normalise.documents import embedded
from secops.normalise.parser import FormatParser
from secops.normalise.parsers import syslog
from secops.normalise.times import MONTHS

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

_DATED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^ ]{0,20} \S", re.ASCII)
_PRIORITY = re.compile(r"<\d{1,3}>", re.ASCII)


def parse(record: Record, text: str, desk: Desk) -> list[Event]:
    """Read a line of a file or a text push by its looks: JSON, a known line, syslog, else a bare message."""
    if _PRIORITY.match(text) or (text[:3] in MONTHS and text[9:10] == ":"):
        events = syslog.parse(record, text, desk)
    else:
        events = _unmarked(record, text, desk)
    _, _, path = record.peer.partition(":/")
    if path:
        for event in events:
            event["log.file.path"] = "/" + path
    return events


def _unmarked(record: Record, text: str, desk: Desk) -> list[Event]:
    """Read what nothing marks as syslog; a line that begins with a date is syslog only if nobody knows it better."""
    event = desk.event(record, text)
    if text[:1] == "{":
        embedded(event, text, desk)
        return [event]
    for parser in desk.lines:
        if parser.parse(event, text, desk):
            return [event]
    if _DATED.match(text):
        return syslog.parse(record, text, desk)
    desk.recognise(event, text)
    return [event]


PARSERS = (FormatParser("line", parse),)
