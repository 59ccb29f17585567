"""ArcSight's Common Event Format: ``CEF:0|vendor|product|version|class|name|severity|key=value key=value``.

Layout, escapes and keys as in the vendor's guide "Implementing ArcSight Common Event Format". In the header a pipe and a
backslash are escaped by a backslash; in the extension an equals sign and a backslash are, and line ends are written
as a backslash with n or r. A value runs to the next ``key=``, spaces included.
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

_HEADER: Final = 7  # version, vendor, product, version, class, name, severity
_KEY: Final = 64  # characters of the longest key
_SIGNS: Final = 20_000  # equals signs of one message that are looked at
_MARKS: Final = str.maketrans("", "", "_.-[]")

_KEYWORDS: Final = {
    "app": "network.protocol", "cat": "event.provider", "outcome": "event.reason", "reason": "event.reason",
    "externalId": "event.reference", "dhost": "destination.domain", "shost": "source.domain", "dvchost": "observer.name",
    "destinationServiceName": "service.name", "destinationDnsDomain": "destination.domain", "fname": "file.name",
    "filePath": "file.path", "fileHash": "file.hash.sha256", "fileType": "file.type", "requestMethod": "http.request.method",
    "requestClientApplication": "user_agent.original", "requestContext": "http.request.referrer",
    "dproc": "process.name", "sproc": "process.name", "sntdom": "source.user.domain", "dntdom": "user.domain",
    "deviceInboundInterface": "observer.ingress.interface.name", "deviceOutboundInterface": "observer.egress.interface.name",
}  # fmt: skip
_COUNTS: Final = {
    "in": "source.bytes", "out": "destination.bytes", "fsize": "file.size", "spid": "process.pid", "dpid": "process.pid",
    "cnt": "event.count",
}  # fmt: skip


class Parsed(NamedTuple):
    """A message of the format, unescaped."""

    header: Header
    extension: dict[str, str]


def claims(start: str) -> bool:
    """Whether the message begins as the format does."""
    return start.startswith(("CEF:0|", "CEF:1|", "CEF: 0|"))


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one message; one without a whole header keeps its text and is marked."""
    found = read(message)
    if found is None:
        malformed(event, "cef")
        return
    header, extension = found
    identify(event, header, "cef.event")
    appliance.keep(
        event,
        {
            **_labelled(extension),
            **extension,
            "deviceEventClassId": header.event,
            "name": header.name,
            "severity": header.severity,
        },
    )
    _time(event, extension, desk)
    _fields(event, extension)
    report(
        event,
        header,
        severity(header.severity),
        extension.get("act", ""),
        " ".join(extension.get(key, "") for key in ("cat", "outcome", "reason")),
    )


def read(message: str) -> Parsed | None:
    """Split and unescape a message; ``None`` if its header is not whole."""
    parts, end = _header(message)
    if len(parts) < _HEADER:
        return None
    header = Header(
        vendor=parts[1], product=parts[2], version=parts[3], event=parts[4], name=parts[5], severity=parts[6]
    )
    return Parsed(header, read_extension(message[end:]))


def _header(message: str) -> tuple[list[str], int]:
    """The first seven fields, and where the extension begins."""
    parts: list[str] = []
    start = position = 0
    while len(parts) < _HEADER:
        end = message.find("|", position)
        if end < 0:
            parts.append(_bare(message[start:]))
            return parts, len(message)
        if _escaped(message, end):
            position = end + 1
            continue
        parts.append(_bare(message[start:end]))
        start = position = end + 1
    return parts, start


def _escaped(text: str, place: int) -> bool:
    """Whether an odd number of backslashes stands before the place."""
    before = place
    while before > 0 and text[before - 1] == "\\":
        before -= 1
    return (place - before) % 2 == 1


def _bare(written: str) -> str:
    """Undo the header's escapes."""
    return (
        _unescape(written, {"|": "|", "\\": "\\"})[:MAX_VALUE].strip()
        if "\\" in written
        else written.strip()[:MAX_VALUE]
    )


def _unescape(written: str, meaning: dict[str, str]) -> str:
    """Replace a backslash and what follows by its meaning; what has none stays as written."""
    first, *rest = written.split("\\")
    out = [first]
    index = 0
    while index < len(rest):
        piece = rest[index]
        if piece == "" and index + 1 < len(rest):  # two backslashes
            out += [meaning.get("\\", "\\\\"), rest[index + 1]]
            index += 2
            continue
        known = meaning.get(piece[:1])
        out.append(known + piece[1:] if known is not None and piece else "\\" + piece)
        index += 1
    return "".join(out)


_IN_VALUES: Final = {"=": "=", "\\": "\\", "n": "\n", "r": "\r", "|": "|"}


def read_extension(text: str) -> dict[str, str]:
    """Split ``key=value key=value``; of a key that comes twice the first counts; at most ``MAX_KEYS``."""
    marks = _marks(text)
    found: dict[str, str] = {}
    ends = [start for start, _, _ in marks[1:]] + [len(text)]
    for (_, equals, key), end in zip(marks, ends, strict=False):  # no key, no value
        written = text[equals + 1 : end].rstrip(" ")
        value = _unescape(written, _IN_VALUES) if "\\" in written else written
        found.setdefault(key, value[:MAX_VALUE])
    return found


def _marks(text: str) -> list[tuple[int, int, str]]:
    """Where each key begins, where its equals sign stands, and the key; in order."""
    marks: list[tuple[int, int, str]] = []
    equals, last = text.find("="), -1
    for _ in range(_SIGNS):
        if equals < 0 or len(marks) >= MAX_KEYS:
            break
        start = text.rfind(" ", max(0, equals - _KEY - 1), equals) + 1
        if start > last and (start or equals <= _KEY) and _is_key(text[start:equals]):
            marks.append((start, equals, text[start:equals]))
            last = equals
        equals = text.find("=", equals + 1)
    return marks


def _is_key(key: str) -> bool:
    return key.isascii() and key.translate(_MARKS).isalnum()


def _labelled(extension: dict[str, str]) -> dict[str, str]:
    """Custom fields by the names that the sender gives them: ``cs1Label=Policy cs1=Web`` also becomes ``Policy: Web``."""
    return {
        label[:128]: extension[key[: -len("Label")]]
        for key, label in extension.items()
        if key.endswith("Label") and label and key[: -len("Label")] in extension
    }


def _time(event: Event, extension: dict[str, str], desk: Desk) -> None:
    for key in ("rt", "end", "start"):
        claimed = moment(extension.get(key, ""), desk.zone)
        if claimed:
            desk.stamp(event, claimed)
            return


def _fields(event: Event, extension: dict[str, str]) -> None:
    take(event, extension, _KEYWORDS, _COUNTS)
    get = extension.get
    appliance.endpoint(event, "source", get("src") or get("c6a2"), get("spt"))
    appliance.endpoint(event, "destination", get("dst") or get("c6a3"), get("dpt"))
    appliance.endpoint(event, "source.nat", get("sourceTranslatedAddress"), get("sourceTranslatedPort"))
    appliance.endpoint(event, "destination.nat", get("destinationTranslatedAddress"), get("destinationTranslatedPort"))
    appliance.endpoint(event, "observer", get("dvc"))
    appliance.transport(event, get("proto"))
    appliance.user(event, get("suser") or get("duser") or get("suid") or get("duid"))
    if "duser" in extension and "suser" in extension:
        appliance.keyword(event, "user.target.name", extension["duser"])
    appliance.url(event, get("request"))


PARSERS = (MessageParser(20, claims, parse, "C"),)
