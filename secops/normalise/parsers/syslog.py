from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secops.normalise.documents import embedded
from secops.normalise.parser import FormatParser, peer_host
from secops.normalise.schema import MAX_KEYS, number
from secops.normalise.times import EARLIEST, MONTHS, bsd, iso

if TYPE_CHECKING:
    from datetime import tzinfo

    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

# RFC 5424 section 6.2.1: names of facilities and severities by number.
FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
_PRIORITIES: Final = {
    f"<{code}>": (code, FACILITIES[code // 8], SEVERITIES[code % 8], code % 8) for code in range(8 * len(FACILITIES))
}
_VERSIONED: Final = {f"{text}1": priority for text, priority in _PRIORITIES.items()}

# Both read from left to right without a choice to come back to, so their time is linear in the message.
_ELEMENT = re.compile(
    r'\[([^ =\]"]{1,64})((?: [^ =\]"]{1,64}="[^"\\]*(?:\\.[^"\\]*)*")*) ?\]', re.DOTALL
)  # RFC 5424 section 6.3; an unescaped "]" inside quotes, which many senders write, is let through
_PARAMETER = re.compile(r' ([^ =\]"]{1,64})="([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')

# The usual form of RFC 3164, ``<38>Nov 24 08:00:00 host sshd[7]: ``; what it does not match takes the long way, to the same end.
PLAIN = re.compile(
    rf"(<\d{{1,3}}>)((?:{'|'.join(MONTHS)}) [ \d]\d \d\d:\d\d:\d\d) (?!20\d\d )([A-Za-z0-9][\w.-]{{0,62}}) "
    r"([A-Za-z_][\w./-]{0,47})(?:\[(\d{1,10})\])?: ?",
    re.ASCII,
)

_HEADER = 160  # characters in which the header of a device's message ends
_DEVICE = re.compile(
    r"(?:(?P<sequence>\d{1,10}): ?)?(?:(?P<host>[\w.-]{1,64}): )?[*.]?"
    rf"(?P<month>{'|'.join(MONTHS)}) {{1,2}}(?P<day>\d{{1,2}})(?: (?P<year>20\d\d))? (?P<clock>\d\d:\d\d:\d\d)"
    r"(?:[.:](?P<fraction>\d{1,9}))?(?P<offset>[+-]\d\d:\d\d)?(?: (?P<late_year>20\d\d)(?= ))?(?: (?:UTC|GMT|CST|BJT))?(?P<colon>:)? ",
    re.ASCII,
)
_UPTIME = re.compile(
    r"(?:\d{1,10}: ?)?[*.]?(?:\d{1,3}[ywd]\d{1,3}[wdh]|(?:\d{1,5}:)?\d\d:\d\d:\d\d(?:\.\d{1,6})?): (?:(?P<host>[\w.-]{1,64}) )?(?=%)",
    re.ASCII,
)  # a device that knows no time writes how long it has run
_BEHIND_RELAY = frozenset(
    "*.0123456789"
)  # a relay put a header of its own before the device's "1741: *Jan  7 01:21:44: "
_REPEATED = re.compile(r"message repeated (\d{1,6}) times: \[ ?(.*)\]$", re.DOTALL)
_MOST_REPEATS = 20  # copies made of a repeated message; the number it claims stays in labels.repeated
_LONGEST_REPEATED = 2048
_STAMP = 15  # characters of "Mmm dd hh:mm:ss"
_TAG = 80
_FORMATS = frozenset(
    {"CEF", "LEEF"}
)  # what stands before the colon is the name of the message's format, not a program's


def parse(record: Record, text: str, desk: Desk) -> list[Event]:
    """Read RFC 5424, else RFC 3164 and what devices make of it; anything else becomes a message without a header."""
    if text[6:7] == " " or text[5:6] == " " or text[4:5] == " ":  # where the version ends
        fields = text.split(" ", 6)
        priority = _VERSIONED.get(fields[0])
        if priority is not None and len(fields) == 7:  # noqa: PLR2004 - to structured data and message, which are one
            return _rfc5424(record, text, fields, priority, desk)
    plain = PLAIN.match(text)
    if plain is not None and (event := _plain(record, text, plain, desk)) is not None:
        return refine(event, plain[4], event["message"], desk)
    return read_rfc3164(record, text, desk)


def _rfc5424(
    record: Record, text: str, fields: list[str], priority: tuple[int, str, str, int], desk: Desk
) -> list[Event]:
    _, stamp, host, program, process, message_id, tail = fields
    structured: dict[str, Any] | None = None
    complete = True
    if tail[:1] == "[":
        structured, message, complete = structured_data(tail)
    else:
        message = tail[2:] if tail[:1] == "-" else tail
    if message[:1] == "\ufeff":
        message = message[1:]
    event: Event = {
        "@timestamp": desk.ingested,
        "event.ingested": desk.ingested,
        "organization.id": record.tenant,
        "event.kind": "event",
        "event.module": "syslog",
        "event.dataset": "syslog.generic",
        "event.original": text,
        "message": message,
        "host.name": host if host != "-" else peer_host(record.peer),
        "agent.type": record.collector,
        "log.source.address": record.peer,
        "log.syslog.priority": priority[0],
        "log.syslog.facility.name": priority[1],
        "log.syslog.severity.name": priority[2],
        "event.severity": priority[3],
    }
    if program != "-":
        event["process.name"] = program
    if process != "-" and (pid := number(process)) is not None:
        event["process.pid"] = pid
    if message_id != "-":
        event["log.syslog.msgid"] = message_id
    if structured:
        event["original"] = structured
    if not complete:
        event["tags"] = ["malformed_structured_data"]
    if stamp != "-":
        desk.stamp(event, iso(stamp, desk.zone))
    return refine(event, program, message, desk)


def structured_data(tail: str) -> tuple[dict[str, str], str, bool]:
    """Split structured data from the message: ``{"id.name": value}``, the message, and whether all of it could be read.

    A parameter that comes twice keeps its last value; at most ``MAX_KEYS`` are kept.
    """
    found: dict[str, str] = {}
    position, complete = 0, True
    while tail[position : position + 1] == "[":
        element = _ELEMENT.match(tail, position)
        if element is None:
            complete = False
            break
        identifier, parameters = element.groups()
        for name, value in _PARAMETER.findall(parameters):
            found[f"{identifier}.{name}"] = _ESCAPED.sub(r"\1", value) if "\\" in value else value
        if not parameters:
            found[identifier] = ""
        position = element.end()
    if len(found) > MAX_KEYS:
        found, complete = dict(list(found.items())[:MAX_KEYS]), False
    if tail[position : position + 1] == " ":
        position += 1
    return found, tail[position:], complete


def _plain(record: Record, text: str, found: re.Match[str], desk: Desk) -> Event | None:
    """Start the event of a message in the form that nearly all of RFC 3164 have; ``None`` if it is that in looks only."""
    head, stamp, host, program, process = found.groups()
    priority, claimed = _PRIORITIES.get(head), bsd(stamp, desk.ingested[:10], desk.zone)
    if priority is None or claimed is None or program in _FORMATS:
        return None
    event: Event = {
        "@timestamp": claimed,
        "event.ingested": desk.ingested,
        "organization.id": record.tenant,
        "event.kind": "event",
        "event.module": "syslog",
        "event.dataset": "syslog.generic",
        "event.original": text,
        "message": text[found.end() :],
        "host.name": host,
        "agent.type": record.collector,
        "log.source.address": record.peer,
        "log.syslog.priority": priority[0],
        "log.syslog.facility.name": priority[1],
        "log.syslog.severity.name": priority[2],
        "event.severity": priority[3],
    }
    if process:
        event["process.pid"] = int(process)
    event["process.name"] = program
    if not EARLIEST <= claimed <= desk.latest:
        desk.stamp(event, claimed)
    return event


def read_rfc3164(record: Record, text: str, desk: Desk) -> list[Event]:
    """Read RFC 3164 and what devices make of it, whatever its form."""
    event = desk.event(record, text)
    priority = _PRIORITIES.get(text[: text.find(">", 0, 6) + 1]) if text[:1] == "<" else None
    body = text
    if priority is not None:
        event["log.syslog.priority"], event["log.syslog.facility.name"] = priority[0], priority[1]
        event["log.syslog.severity.name"], event["event.severity"] = priority[2], priority[3]
        body = text[text.find(">") + 1 :].lstrip(" ")
    claimed, host, rest = _header(body, desk)
    if claimed and rest[:1] in _BEHIND_RELAY:
        inner, _, behind = _device_header(rest, desk)
        if inner:
            claimed, rest = inner, behind
    if claimed:
        desk.stamp(event, claimed)
    if host:
        event["host.name"] = host
    program, message = _tag(event, rest)
    return refine(event, program, message, desk)


def _header(body: str, desk: Desk) -> tuple[str | None, str, str]:
    """Give timestamp, host ("" when it names none) and what follows."""
    if body[:3] in MONTHS and body[_STAMP : _STAMP + 1] == " " and body[9:10] == ":" and not _late_year(body):
        claimed = bsd(body[:_STAMP], desk.ingested[:10], desk.zone)
        if claimed:
            host, rest = _host(body[_STAMP + 1 :])
            return claimed, host, rest
    if body[:4].isdigit() and body[4:5] == "-":
        stamp, _, rest = body.partition(" ")
        if len(stamp) == 10:  # noqa: PLR2004 - a date by itself: the time is the next word
            clock, _, rest = rest.partition(" ")
            stamp = f"{stamp}T{clock}"
        claimed = iso(stamp, desk.zone)
        if claimed:
            return claimed, *_host(rest)
    return _device_header(body, desk)


def _late_year(body: str) -> bool:
    """Say whether the year follows the time, as H3C's devices write it: it is no host's name."""
    return body[16:18] == "20" and body[18:20].isdigit() and body[20:21] == " "


def _device_header(body: str, desk: Desk) -> tuple[str | None, str, str]:
    found = _DEVICE.match(body[:_HEADER])
    if found is None:
        since_start = _UPTIME.match(body[:_HEADER])
        return (None, since_start["host"] or "", body[since_start.end() :]) if since_start else (None, "", body)
    _, host, month, day, year, clock, fraction, offset, late_year, colon = found.groups()
    claimed = _device_time((month, day, year or late_year, clock, offset or ""), desk.ingested[:10], desk.zone)
    if claimed and fraction:
        claimed = f"{claimed[:20]}{fraction[:6]:0<6}Z"
    rest = body[found.end() :]
    if host or (colon and rest[rest.find(" ") + 1 :][:1] != "%"):  # Ruijie's names its host behind it
        return claimed, host or "", rest
    return claimed, *_host(rest)


@lru_cache(maxsize=16_384)
def _device_time(written: tuple[str, str, str | None, str, str], received_day: str, zone: tzinfo) -> str | None:
    """The second that month, day, year, clock and offset mean. Devices repeat themselves: cached."""
    month, day, year, clock, offset = written
    if year:
        return iso(f"{year}-{MONTHS[month]:02d}-{int(day):02d}T{clock}{offset}", zone)
    return bsd(f"{month} {int(day):2d} {clock}", received_day, zone)


def _host(rest: str) -> tuple[str, str]:
    """Split the host off; a first word that is something else ("sshd[9]:", "%MNEMONIC", "id=tos", "CEF:0|") is no host."""
    word, space, after = rest.partition(" ")
    if not space or word[-1:] == ":" or word[:1] == "%" or (word[-1:] == "]" and "[" in word):
        return "", rest
    if "=" in word or word.startswith(("CEF:", "LEEF:")):
        return "", rest
    return word, after.lstrip(" ")


def _tag(event: Event, rest: str) -> tuple[str, str]:
    """Split "program[process]: " off (RFC 3164 section 4.1.3), note both, and give program and message."""
    if rest[:1] == "%":
        event["message"] = rest
        return "", rest
    tag, colon, message = rest[: _TAG + 1].partition(":")
    if not colon or not tag or " " in tag or tag in _FORMATS:
        event["message"] = rest
        return "", rest
    message = rest[len(tag) + 1 :]
    if message[:1] == " ":
        message = message[1:]
    if tag[-1] == "]":
        tag, _, process = tag[:-1].partition("[")
        if (pid := number(process)) is not None:
            event["process.pid"] = pid
    if tag:
        event["process.name"] = tag
    event["message"] = message
    return tag, message


def refine(event: Event, program: str, message: str, desk: Desk) -> list[Event]:
    """Let the parser of the program, or of the JSON document in the message, add what it knows; give one event or more."""
    if message[:17] == "message repeated " and len(message) < _LONGEST_REPEATED:
        found = _REPEATED.match(message)
        if found:
            return _repeat(event, program, found, desk)
    parse_program = desk.programs.get(program) or desk.programs.get(program.lower())
    if parse_program is not None:
        parse_program(event, message)
    elif message[:1] == "{" or message[:5] == "@cee:":
        embedded(event, message.removeprefix("@cee:"), desk)
    elif "/" in program and (parse_program := desk.programs.get(program.rpartition("/")[2].lower())):
        parse_program(event, message)
    else:
        desk.recognise(event, message)
    return [event]


def _repeat(event: Event, program: str, found: re.Match[str], desk: Desk) -> list[Event]:
    """Undo rsyslog's reduction of repeated messages: five failed logins must count as five."""
    event["labels"] = {**event.get("labels", {}), "repeated": found[1]}
    event["message"] = found[2]
    copies = max(1, min(int(found[1]), _MOST_REPEATS))
    if found[2][:17] != "message repeated ":
        refine(event, program, found[2], desk)
    return [dict(event) for _ in range(copies)]


PARSERS = (FormatParser("syslog", parse),)
