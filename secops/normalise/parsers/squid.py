"""Squid's access log in its own format: ``TIME ELAPSED CLIENT CODE/STATUS BYTES METHOD URL USER HIERARCHY/PEER TYPE``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import LineParser, ProgramParser
from secops.normalise.schema import address, number, text
from secops.normalise.times import epoch

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_WORDS: Final = 10
_BAD_REQUEST: Final = 400


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of the file; say whether it was one."""
    second, dot, _ = line[:24].partition(".")
    if not (dot and second.isascii() and second.isdigit() and len(second) == 10 and _access(event, line)):  # noqa: PLR2004 - seconds since 1970
        return False
    fraction = line[11:14]
    desk.stamp(event, epoch(int(second + fraction)) if fraction.isascii() and fraction.isdigit() else None)
    return True


def parse_program(event: Event, message: str) -> None:
    """Read what Squid sends by syslog; what is no access line is its own talk."""
    if not _access(event, message):
        event["event.module"], event["event.dataset"] = "squid", "squid.cache"


def _access(event: Event, line: str) -> bool:
    words = line.split(None, _WORDS)
    if len(words) < _WORDS or "/" not in words[3] or address(words[2]) is None:
        return False
    code, _, status = words[3].partition("/")
    event["event.module"], event["event.dataset"] = "squid", "squid.access"
    event["event.category"], event["event.type"] = ["web", "network"], ["access"]
    event["source.ip"] = address(words[2])
    denied = "DENIED" in code
    event["event.action"] = appliance.DENY if denied else appliance.ALLOW
    if (answered := number(status)) is not None:
        event["http.response.status_code"] = answered
    event["event.outcome"] = "failure" if denied or (answered or 0) >= _BAD_REQUEST else "success"
    appliance.count(event, "http.response.body.bytes", words[4])
    event["http.request.method"] = words[5][:32]
    _address_of(event, words[5], words[6])
    appliance.user(event, words[7])
    appliance.endpoint(event, "destination", words[8].partition("/")[2], None)
    appliance.keep(
        event, {"squid.code": code, "squid.hierarchy": words[8][:256], "http.response.mime_type": words[9].split()[0]}
    )
    return True


def _address_of(event: Event, method: str, asked: str) -> None:
    """CONNECT names a host and a port, everything else a URL."""
    if method != "CONNECT":
        appliance.url(event, asked)
        return
    event["url.original"] = text(asked)
    host, _, port = asked.rpartition(":")
    appliance.keyword(event, "url.domain", host)
    appliance.count(event, "url.port", port)


PARSERS = (ProgramParser(("squid", "(squid-1)"), parse_program), LineParser(15, parse_line))
