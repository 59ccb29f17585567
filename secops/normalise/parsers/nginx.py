from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise.parser import LineParser, ProgramParser
from secops.normalise.schema import address, number, text
from secops.normalise.times import MONTHS, iso

if TYPE_CHECKING:
    from datetime import tzinfo

    from secops.normalise.parser import Desk
    from secops.records import Event

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
# The "combined" format of ngx_http_log_module; read from left to right without a choice to come back to.
_ACCESS = re.compile(
    rf"([0-9A-Za-z.:_-]{{1,255}}) - ([^\[\]]{{1,256}}) \[([^\]]{{20,32}})\] {_QUOTED} (\d{{3}}) (\d{{1,18}}|-)(?: {_QUOTED} {_QUOTED})?",
    re.ASCII | re.DOTALL,
)
_ERROR = re.compile(
    r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[([a-z]{1,10})\] (\d{1,10})#(\d{1,10}): (?:\*(\d{1,20}) )?", re.ASCII
)
_CONTEXT = re.compile(r', (client|server|request|upstream|host|referrer): ("[^"]*"|[^,"]*)')
_LEVELS: Final = {"emerg": 0, "alert": 1, "crit": 2, "error": 3, "warn": 4, "notice": 5, "info": 6, "debug": 7}
_REQUEST_WORDS = 3
_BAD_REQUEST = 400


def parse_program(event: Event, message: str) -> None:
    """Read what nginx sends by syslog: an access line or an error line; the syslog header has the time."""
    if not _access(event, message) and not _error(event, message):
        event["event.module"] = "nginx"
        event["event.dataset"] = "nginx.error"


def parse_access(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of an access log in the format ``combined``."""
    found = _access(event, line)
    if found:
        desk.stamp(event, _common_time(found, desk.zone))
    return bool(found)


def parse_error(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of an error log, whose times are local."""
    found = _error(event, line)
    if found:
        desk.stamp(event, iso(found, desk.zone))
    return bool(found)


def _access(event: Event, line: str) -> str:
    """Fill the event and give the time as written; nothing when it is no such line."""
    found = _ACCESS.match(line)
    if found is None:
        return ""
    peer, user, time, request, status, size, referrer, agent = found.groups()
    event["event.module"], event["event.dataset"] = "nginx", "nginx.access"
    event["event.category"], event["event.type"] = ["web"], ["access"]
    code = int(status)
    event["http.response.status_code"] = code
    event["event.outcome"] = "success" if code < _BAD_REQUEST else "failure"
    if (ip := address(peer)) is not None:
        event["source.ip"] = ip
    if user != "-":
        event["user.name"] = user
    if (sent := number(size)) is not None:
        event["http.response.body.bytes"] = sent
    if referrer and referrer != "-":
        event["http.request.referrer"] = referrer
    if agent and agent != "-":
        event["user_agent.original"] = agent
    _request(event, request)
    return time


def _request(event: Event, request: str) -> None:
    """Note method, path and query; what is no request line (a TLS hello on the plain port) stays in ``url.original``."""
    words = request.split(" ")
    if len(words) == _REQUEST_WORDS and words[2][:5] == "HTTP/":
        event["http.request.method"] = words[0][:32]
        event["http.version"] = words[2][5:15]
        event["url.original"] = text(words[1])
        path, mark, query = words[1].partition("?")
        event["url.path"] = text(path)
        if mark:
            event["url.query"] = text(query)
    elif request:
        event["url.original"] = text(request)


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
        _request(event, context["request"].strip('"'))
    if "host" in context:
        event["url.domain"] = context["host"].strip('"')
    return f"{year}-{month}-{day}T{clock}"


@lru_cache(maxsize=4096)
def _common_time(stamp: str, zone: tzinfo) -> str | None:
    """Read ``24/Nov/2026:15:58:48 +0800``."""
    day, month, rest = stamp[:2], MONTHS.get(stamp[3:6]), stamp[7:]
    year, clock = rest[:4], rest[5:13]
    return iso(f"{year}-{month:02d}-{day}T{clock}{rest[14:]}", zone) if month else None


PARSERS = (
    ProgramParser(("nginx",), parse_program),
    LineParser(10, parse_access),
    LineParser(20, parse_error),
)
