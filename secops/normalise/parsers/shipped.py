from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise import carried
from secops.normalise.parser import DocumentParser
from secops.normalise.parsers import generic_json

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_MARKS: Final = frozenset(
    {
        *("agent", "beat", "input", "fileset", "@metadata", "@version"),  # Filebeat, Logstash
        *("kubernetes", "source_type"),  # Fluent Bit's filter, Vector
        *("syslogtag", "programname", "appname", "ident"),  # rsyslog, Vector, Fluent Bit: syslog taken apart
        *("log.file.path", "log.syslog.appname", "process.name"),  # ECS written flat
    }
)
_OF_A_LOG: Final = frozenset({"file", "syslog"})


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is an agent's document around a line of text."""
    log = document.get("log")
    if not isinstance(document.get("message"), str) and not isinstance(log, str):
        return False
    return not _MARKS.isdisjoint(document) or (isinstance(log, dict) and not _OF_A_LOG.isdisjoint(log))


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Keep what the agent says as any document's fields, then read the line that it carries by its own parser."""
    generic_json.parse_document(event, document, desk)
    flat = event["original"]
    carried.host_of(event, flat)
    text = carried.first_text(flat, "message", "log").rstrip("\r\n")
    carried.join(event, carried.line(event, text, carried.program_of(flat), desk), desk)


PARSERS = (DocumentParser(900, claims, parse),)
