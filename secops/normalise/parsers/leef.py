"""IBM's Log Event Extended Format, 1.0 and 2.0: ``LEEF:2.0|vendor|product|version|event|^|key=value^key=value``.

Layout and keys as in IBM's guide. Version 1.0 separates fields by a tab; 2.0 by the character that the sixth header field
names, itself or as ``0x5E`` or ``x5E``, and by a tab when that field is empty. Nothing is escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from secops.normalise import appliance
from secops.normalise.extended import Header, identify, malformed, moment, report, severity, take
from secops.normalise.parser import MessageParser
from secops.normalise.schema import MAX_KEYS, MAX_VALUE

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_V1: Final = 5  # version, vendor, product, version, event
_TAB: Final = "\t"
_DIGITS: Final = 4  # hexadecimal digits of the longest delimiter

_KEYWORDS: Final = {
    "cat": "event.provider", "domain": "user.domain", "resource": "file.path", "policy": "rule.ruleset", "realm": "user.group.name",
    "role": "user.roles", "groupID": "group.id", "identHostName": "host.hostname", "srcMAC": "source.mac", "dstMAC": "destination.mac",
    "method": "http.request.method", "userAgent": "user_agent.original",
}  # fmt: skip
_COUNTS: Final = {
    "srcBytes": "source.bytes", "dstBytes": "destination.bytes", "srcPackets": "source.packets", "dstPackets": "destination.packets",
    "totalPackets": "network.packets",
}  # fmt: skip


class Parsed(NamedTuple):
    """A message of the format."""

    header: Header
    fields: dict[str, str]


def claims(start: str) -> bool:
    """Whether the message begins as the format does."""
    return start.startswith(("LEEF:1.0|", "LEEF:2.0|", "LEEF:1|", "LEEF:2|"))


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one message; one without a whole header keeps its text and is marked."""
    found = read(message)
    if found is None:
        malformed(event, "leef")
        return
    header, fields = found
    identify(event, header, "leef.event")
    appliance.keep(event, fields)
    claimed = moment(fields.get("devTime", ""), desk.zone)
    if claimed:
        desk.stamp(event, claimed)
    _fields(event, fields)
    report(
        event,
        header,
        severity(fields.get("sev", "")),
        fields.get("action", "") or fields.get("act", ""),
        " ".join(fields.get(key, "") for key in ("cat", "reason")),
    )
    if fields.get("isLoginEvent", "").lower() == "true":
        appliance.login(event, "user_login", f"{header.event} {fields.get('msg', '')}")


def read(message: str) -> Parsed | None:
    """Split a message; ``None`` if its header is not whole."""
    second = message.startswith("LEEF:2")
    parts = message.split("|", _V1 + second)
    if len(parts) < _V1 + 1:
        return None
    header = Header(
        vendor=parts[1].strip(),
        product=parts[2].strip(),
        version=parts[3].strip(),
        event=parts[4].strip(),
        name=parts[4].strip(),
        severity="",
    )
    delimiter, rest = _TAB, parts[-1]
    if second and len(parts) > _V1 + 1:
        named = _delimiter(parts[_V1])
        if named is None:  # the optional field was left out, and the fields hold a pipe
            rest = f"{parts[_V1]}|{parts[_V1 + 1]}"
        else:
            delimiter = named
    return Parsed(header, read_fields(rest, delimiter))


def _delimiter(written: str) -> str | None:
    """The character that the header names; ``None`` when it names none."""
    if not written:
        return _TAB
    if len(written) == 1:
        return written
    digits = written.lower().removeprefix("0").removeprefix("x")
    hexadecimal = 0 < len(digits) <= _DIGITS and all(digit in "0123456789abcdef" for digit in digits)
    return chr(int(digits, 16)) if hexadecimal and written.lower().startswith(("0x", "x")) else None


def read_fields(text: str, delimiter: str) -> dict[str, str]:
    """Split ``key=value`` by the delimiter; of a key that comes twice the first counts; at most ``MAX_KEYS``."""
    found: dict[str, str] = {}
    for piece in text.split(delimiter, MAX_KEYS)[:MAX_KEYS]:
        key, equals, value = piece.partition("=")
        if equals and key.strip():
            found.setdefault(key.strip()[:128], value[:MAX_VALUE])
    return found


def _fields(event: Event, fields: dict[str, str]) -> None:
    take(event, fields, _KEYWORDS, _COUNTS)
    get = fields.get
    appliance.endpoint(event, "source", get("src") or get("identSrc"), get("srcPort"))
    appliance.endpoint(event, "destination", get("dst"), get("dstPort"))
    appliance.endpoint(event, "source.nat", get("srcPostNAT"), get("srcPostNATPort"))
    appliance.endpoint(event, "destination.nat", get("dstPostNAT"), get("dstPostNATPort"))
    appliance.transport(event, get("proto"))
    appliance.user(event, get("usrName") or get("accountName"))
    appliance.url(event, get("url"))


PARSERS = (MessageParser(21, claims, parse, "L"),)
