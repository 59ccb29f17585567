"""Apache's httpd: the access log (common, combined, with a virtual host before it) and the error logs of 2.2 and 2.4.

A combined line of Apache's looks like one of nginx's. It is Apache's if the file's name says so, if the sender does, or
if it shows what nginx never writes: a virtual host, an identity, a "-" for no bytes, no referrer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import modsecurity
from secops.normalise.parser import LineParser, ProgramParser
from secops.normalise.schema import address, number
from secops.normalise.times import MONTHS, iso
from secops.normalise.weblog import Line, access, common_time, request

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_LEVELS: Final = {"emerg": 0, "alert": 1, "crit": 2, "error": 3, "warn": 4, "notice": 5, "info": 6, "debug": 7}
_BRACKETS: Final = 6  # parts in brackets that may stand before an error's text
_NAMES: Final = ("httpd", "apache")
_LONGEST_HOST: Final = 261  # a name of 255 characters, a colon and a port


def parse_program(event: Event, message: str) -> None:
    """Read what Apache sends by syslog: an access line or an error line; the syslog header has the time."""
    if (message[:1] == "[" and _error(event, message)) or _access(event, message):
        return
    event["event.module"], event["event.dataset"] = "apache", "apache.error"
    modsecurity.read(event, message)


def parse_access(event: Event, line: str, desk: Desk) -> bool:
    """Read an access line that is Apache's for certain; the others are left to nginx's parser."""
    named = _named(event)
    if not named and not _suspect(line):
        return False
    candidate: Event = {}
    found = _access(candidate, line)
    if found is None or not (named or "url.domain" in candidate or _its_own(found)):
        return False
    event.update(candidate)
    desk.stamp(event, common_time(found.time, desk.zone))
    return True


def parse_error(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of an error log, whose times are local."""
    if line[:1] != "[":
        return False
    found = _error(event, line)
    if found:
        desk.stamp(event, iso(found, desk.zone))
    return bool(found)


def _named(event: Event) -> bool:
    """Whether the file the line lies in is Apache's."""
    path = str(event["log.source.address"]).partition(":/")[2].lower()
    return any(name in path for name in _NAMES)


def _suspect(line: str) -> bool:
    """Whether the line may be Apache's: a quick look before it is read."""
    words = line.split(" ", 2)
    return len(words) > 2 and (words[1] != "-" or line[-1:] == "-" or line[-1:].isdigit() or ' - "' in line)  # noqa: PLR2004 - host, identity, rest


def _its_own(found: Line) -> bool:
    """Whether the line shows what nginx never writes."""
    return found.identity != "-" or found.size == "-" or not found.combined


def _virtual_host(first: str, second: str) -> bool:
    """Whether a line begins with ``name:port address``."""
    name, colon, port = first.rpartition(":")
    return bool(colon and port.isdigit() and "." in name and address(first) is None and address(second) is not None)


def _access(event: Event, line: str) -> Line | None:
    """Fill the event and give what tells whose line it is; ``None`` when it is no access line."""
    host, _, rest = line[: _LONGEST_HOST + 1].partition(" ")
    if _virtual_host(host, rest.partition(" ")[0]):
        found = access(event, line[len(host) + 1 :], "apache")
        if found:
            event["url.domain"] = host.rpartition(":")[0]
    else:
        found = access(event, line, "apache")
    return found


def _error(event: Event, line: str) -> str:
    """Read ``[Tue Nov 24 16:10:03.123456 2026] [core:error] [pid 1:tid 2] [client 192.0.2.1:5] AH00126: text``."""
    parts, message = _brackets(line)
    time = _time(parts[0]) if parts else ""
    if not time or len(parts) < 2:  # noqa: PLR2004 - time and level
        return ""
    module, _, level = parts[1].rpartition(":")
    if level not in _LEVELS and not level.startswith("trace"):
        return ""
    event["event.module"], event["event.dataset"] = "apache", "apache.error"
    event["event.category"], event["event.type"] = ["web"], ["error"]
    event["log.level"], event["event.severity"] = level[:16], _LEVELS.get(level, 7)
    if module:
        event["event.provider"] = module[:64]
    for part in parts[2:]:
        _detail(event, part)
    event["message"] = message
    code, colon, _ = message.partition(": ")
    if colon and code[:2] == "AH" and code[2:].isdigit():
        event["event.code"] = code[:16]
    if not modsecurity.read(event, message):
        _asked(event, message)
    return time


def _brackets(line: str) -> tuple[list[str], str]:
    """The parts in brackets at the beginning, and what follows."""
    parts: list[str] = []
    rest = line
    while rest[:1] == "[" and len(parts) < _BRACKETS:
        end = rest.find("]", 1, 512)
        if end < 0:
            break
        parts.append(rest[1:end])
        rest = rest[end + 1 :].lstrip(" ")
    return parts, rest


def _time(stamp: str) -> str:
    """``Tue Nov 24 16:10:03.123456 2026`` as ISO 8601 without a zone."""
    words = stamp.split()
    if len(words) != 5 or words[1] not in MONTHS or number(words[2]) is None:  # noqa: PLR2004 - weekday, month, day, time, year
        return ""
    return f"{words[4]}-{MONTHS[words[1]]:02d}-{int(words[2][:2]):02d}T{words[3]}"


def _detail(event: Event, part: str) -> None:
    word, _, rest = part.partition(" ")
    if word == "pid" and (process := number(rest.partition(":")[0])) is not None:
        event["process.pid"] = process
    elif word == "client":
        host, port = rest, ""
        if address(rest) is None:
            host, _, port = rest.rpartition(":")
        if (ip := address(host.strip("[]"))) is not None:
            event["source.ip"] = ip
        if (number_of := number(port)) is not None:
            event["source.port"] = number_of


def _asked(event: Event, message: str) -> None:
    """The request or file that the error is about, where the message names it."""
    for lead in ("in request ", "Invalid URI in request "):
        if lead in message[:512]:
            request(event, message.partition(lead)[2])
            return
    for lead in ("File does not exist: ", "denied by server configuration: ", "not found or unable to stat: "):
        if lead in message[:512]:
            event["file.path"] = message.partition(lead)[2].partition(",")[0][:4096].strip("'")
            return


PARSERS = (
    ProgramParser(("httpd", "apache2", "apache"), parse_program),
    LineParser(5, parse_access),
    LineParser(30, parse_error),
)
