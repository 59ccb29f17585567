from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secops.normalise import modsecurity
from secops.normalise.parser import LineParser, ProgramParser
from secops.normalise.schema import address
from secops.normalise.times import iso
from secops.normalise.weblog import access, common_time, request

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_ERROR = re.compile(
    r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[([a-z]{1,10})\] (\d{1,10})#(\d{1,10}): (?:\*(\d{1,20}) )?", re.ASCII
)
_CONTEXT = re.compile(r', (client|server|request|upstream|host|referrer): ("[^"]*"|[^,"]*)')
_LEVELS: Final = {"emerg": 0, "alert": 1, "crit": 2, "error": 3, "warn": 4, "notice": 5, "info": 6, "debug": 7}


def parse_program(event: Event, message: str) -> None:
    """Read what nginx sends by syslog: an access line or an error line; the syslog header has the time."""
    if not _access(event, message) and not _error(event, message):
        event["event.module"] = "nginx"
        event["event.dataset"] = "nginx.error"


def parse_access(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of an access log in the format ``combined``."""
    found = _access(event, line)
    if found:
        desk.stamp(event, common_time(found, desk.zone))
    return bool(found)


def parse_error(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of an error log, whose times are local."""
    found = _error(event, line)
    if found:
        desk.stamp(event, iso(found, desk.zone))
    return bool(found)


def _access(event: Event, line: str) -> str:
    """Fill the event and give the time as written; nothing when it is no such line."""
    found = access(event, line, "nginx")
    return found.time if found else ""


def _error(event: Event, line: str) -> str:
    found = _ERROR.match(line)
    if found is None:
        return ""
    year, month, day, clock, level, process, _thread, _connection = found.groups()
    event["event.module"], event["event.dataset"] = "nginx", "nginx.error"
    event["event.category"], event["event.type"] = ["web"], ["error"]
    event["log.level"] = level
    event["event.severity"] = _LEVELS.get(level, 6)
    event["process.pid"] = int(process)
    event["message"] = message = line[found.end() :]
    start = message.find(", client: ")
    context = dict(_CONTEXT.findall(message[start:])) if start >= 0 else {}
    if (ip := address(context.get("client", ""))) is not None:
        event["source.ip"] = ip
    if "request" in context:
        request(event, context["request"].strip('"'))
    if "host" in context:
        event["url.domain"] = context["host"].strip('"')
    modsecurity.read(event, message)
    return f"{year}-{month}-{day}T{clock}"


PARSERS = (
    ProgramParser(("nginx",), parse_program),
    LineParser(10, parse_access),
    LineParser(20, parse_error),
)
