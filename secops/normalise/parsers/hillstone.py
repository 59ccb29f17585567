"""Hillstone's StoneOS: ``SERIAL(VSYS) 4424362f [HillstoneNetworks#]Event@MGMT: text`` and ``TIME, WARNING@MGMT: text``.

The layout is that of the vendor's manual, the sentences those of messages that users have published. Session, NAT and
threat messages are lists of ``name value`` or ``name: value`` between commas.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import MessageParser
from secops.normalise.schema import address
from secops.normalise.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.normalise.parser import Desk
    from secops.records import Event

_CODE: Final = 8  # hexadecimal digits of a message's number
_CLASSES: Final = frozenset(
    {
        "event",
        "traffic",
        "threat",
        "config",
        "alarm",
        "network",
        "nat",
        "session",
        "ips",
        "av",
        "url",
        "nbc",
        "cloudsandbox",
    }
)
_LEVELS: Final = {
    "EMERG": 0,
    "ALERT": 1,
    "CRIT": 2,
    "ERR": 3,
    "ERROR": 3,
    "WARNING": 4,
    "NOTIFICATION": 5,
    "NOTICE": 5,
    "INFO": 6,
    "DEBUG": 7,
}
_MOST: Final = 64  # parts of one message
_STAMP: Final = 19  # characters of "YYYY-MM-DD hh:mm:ss"
_REFUSED: Final = '" attempted to login'
_COMPANY: Final = "HillstoneNetworks#"


def claims(start: str) -> bool:
    """Whether the message begins as the vendor's do."""
    return "@" in start and _layout(start) is not None


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one message; a module that is not known still has its number, class and text."""
    found = _layout(message)
    if found is None:
        return
    serial, code, kind, module, said = found
    said = said.removesuffix("\\n\\000").removesuffix("\\n").rstrip()
    appliance.observer(event, "hillstone.stoneos", "Hillstone", "StoneOS", "firewall")
    _device(event, serial)
    if kind in _LEVELS:
        event["event.severity"] = _LEVELS[kind]
        desk.stamp(event, iso(message[:_STAMP].replace(" ", "T"), desk.zone))
    event["event.code"] = code or f"{kind}@{module}"
    event["event.provider"] = module
    event["message"] = said
    appliance.keep(event, {"class": kind, "module": module})
    reader = _READERS.get(module)
    if said.startswith(("SESSION: ", "NAT: ", "NAT64: ", "srcip ")):
        _session(event, said)
    elif reader is not None:
        reader(event, said)
    elif "threat name:" in said or "detected network intrusion" in said:
        _threat(event, said)
    else:
        _state(event, said)


def _layout(message: str) -> tuple[str, str, str, str, str] | None:
    """Serial number with its system, number, class or level, module, text; ``None`` when it is no such message."""
    head, colon, said = message.partition(": ")
    if not colon or "@" not in head or len(head) > 120:  # noqa: PLR2004 - serial number, host's name, number, class, module
        return None
    before, _, module = head.rpartition("@")
    words = before.split(" ")
    kind = words[-1].removeprefix(_COMPANY)
    if not module.isalnum() or not module.isupper():
        return None
    if kind in _LEVELS and head[4:5] == "-" and head[_STAMP : _STAMP + 1] == ",":
        return "", "", kind, module, said
    code = words[-2] if len(words) > 1 else ""
    if kind.lower() not in _CLASSES or len(code) != _CODE or not _is_hexadecimal(code):
        return None
    return (words[-3] if len(words) > 2 else ""), code, kind, module, said  # noqa: PLR2004 - serial, number, class


def _is_hexadecimal(code: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in code)


def _device(event: Event, serial: str) -> None:
    """The serial number stands where others write the host's name; ``[h:NAME]`` brings the name along."""
    where = serial or str(event.get("host.name", ""))
    tag = str(event.get("process.name", ""))
    if "(" in tag and tag.endswith("[h"):  # the header's reader took it for a program
        where = f"{tag}:{serial}"
        del event["process.name"]
    number, bracket, rest = where.partition("(")
    if not bracket:
        return
    event["observer.serial_number"] = number[:64]
    name = rest.partition("[h:")[2].partition("]")[0]
    event["host.name"] = name[:255] or number[:255]


def _management(event: Event, said: str) -> None:
    """What administrators do: ``Admin user "NAME" logined through SSH, from A:P to A:P(TCP)`` and the like."""
    name, text = _named(said)
    appliance.user(event, name or (said.partition(" ")[0] if " via " in said else ""))
    appliance.endpoint(event, "source", *_from(said))
    event["event.reason"] = said[:512]
    if "logout" in text or "logged out" in text:
        appliance.logout(event, "admin_logout")
    elif "login" in text or "logged in" in text or "logined" in text:
        appliance.login(event, "admin_login", text)
    else:
        appliance.configuration(event, text)


def _named(said: str) -> tuple[str, str]:
    """The user's name, and what the device says of the user.

    Whoever knocks chooses the name, quotes and all; the device's own words about a refused login are the last of that kind.
    """
    if not said.startswith(("Admin user", "User ")):
        return "", said
    quoted = said.partition('"')[2]
    refused, found, rest = quoted.rpartition(_REFUSED)
    if found:
        return refused, _REFUSED + rest
    name, _, rest = quoted.partition('"')
    return name, rest or said


def _from(said: str) -> tuple[str, str]:
    """The address that the sentence names as where someone came from."""
    for lead in (" from ", "the IP is ", "The IP "):
        word = said.rpartition(lead)[2].partition(" ")[0].rstrip(",.").partition("(")[0]
        if address(word) is not None:
            return word, ""
        host, colon, port = word.rpartition(":")
        if colon and address(host.strip("[]")) is not None:
            return host.strip("[]"), port
    return "", ""


def _vpn(event: Event, said: str) -> None:
    """``User NAME on SCVPN INSTANCE logs on from ADDRESS(client), ...``."""
    event["observer.type"] = "vpn"
    event["event.reason"] = said[:512]
    appliance.user(event, said.partition("User ")[2].partition(" ")[0].strip('"'))
    appliance.endpoint(event, "source", *_from(said))
    text = said.rpartition(" on SCVPN ")[2].lower()
    if "logs on" in text or "login" in text or "logged in" in text or appliance.locked(text):
        appliance.login(event, "vpn_login", text)
    elif "logs off" in text or "logout" in text or "logged out" in text:
        appliance.logout(event, "vpn_logout")
    else:
        _state(event, said)


def _state(event: Event, said: str) -> None:
    """What the device reports of itself."""
    event["event.reason"] = said[:512]
    event["event.category"], event["event.type"] = ["host"], ["info"]
    operation = appliance.operation(said)
    if operation != "config_change":
        event["event.action"] = operation
        event["event.outcome"] = "failure" if appliance.failed(said) else "success"


def _configuration(event: Event, said: str) -> None:
    _management(event, said)


def _session(event: Event, said: str) -> None:
    """``SESSION: A:P->A:P(TCP), application X, policy 3, ..., session end`` and ``NAT: A:P->A:P(TCP), snat to A:P, ...``."""
    kind, _, rest = said.partition(": ") if said.startswith(("SESSION", "NAT")) else ("", "", said)
    parts = _parts(rest)
    flow = rest.split(",", 1)[0]
    if "->" in flow:
        source, _, target = flow.partition("->")
        target, _, protocol = target.partition("(")
        _endpoint(event, "source", source)
        _endpoint(event, "destination", target)
        appliance.transport(event, parts.get("Protocol") or protocol.rstrip(")"))
    else:
        appliance.endpoint(event, "source", parts.get("srcip"), parts.get("srcport"))
        appliance.endpoint(event, "destination", parts.get("dstip"), parts.get("dstport"))
        appliance.transport(event, parts.get("protocol"))
    for lead, side in (("snat to", "source.nat"), ("dnat to", "destination.nat")):
        if lead in parts:
            _endpoint(event, side, parts[lead])
    appliance.traffic(
        event, appliance.DENY if "policy deny" in rest or "policy default deny" in rest else appliance.ALLOW
    )
    _details(event, parts)
    if "session end" in rest:
        event["event.type"] = ["connection", "end"]
    if kind.startswith("NAT"):
        event["event.type"] = ["connection", "info"]


def _details(event: Event, parts: dict[str, str]) -> None:
    appliance.keyword(event, "rule.id", parts.get("policy") or parts.get("policyid") or parts.get("rule"))
    appliance.keyword(event, "rule.name", parts.get("policy-name"))
    appliance.keyword(event, "network.application", parts.get("application"))
    appliance.user(event, parts.get("user", "").partition("@")[0])
    for name, field in (("send bytes", "source.bytes"), ("receive bytes", "destination.bytes")):
        appliance.count(event, field, parts.get(name))
    appliance.keep(event, parts)


def _endpoint(event: Event, side: str, written: str) -> None:
    """Read ``address:port`` or ``address:port(interface)``."""
    host, _, port = written.strip().partition("(")[0].rpartition(":")
    appliance.endpoint(event, side, host.strip("[]"), port)


_LEADS: Final = {
    first: tuple(leads.split("|"))
    for first, leads in {
        "snat": "snat to", "dnat": "dnat to", "send": "send packets|send bytes", "receive": "receive packets|receive bytes",
        "start": "start time", "close": "close time", "policy": "policy", "policy-name": "policy-name",
        **{name: name for name in ("application", "interface", "vr", "user", "host", "mac", "Protocol", "rule", "srcip", "srcport",
                                   "dstip", "dstport", "protocol", "nattype", "transip", "transport", "ruleid", "policyid")},
    }.items()
}  # fmt: skip


def _parts(rest: str) -> dict[str, str]:
    """``name value``, ``name: value`` and ``name:value`` between commas; of a name that comes twice the first counts."""
    found: dict[str, str] = {}
    for part in rest.split(",", _MOST)[:_MOST]:
        piece = part.strip()
        name, colon, value = piece.partition(":")
        if not colon or not _is_name(name):
            leads = _LEADS.get(piece.partition(" ")[0], ())
            name = next((lead for lead in leads if piece.startswith(f"{lead} ")), "")
            value = piece[len(name) + 1 :]
        if name:
            found.setdefault(name, value.strip()[:1024])
    return found


@lru_cache(maxsize=4096)
def _is_name(name: str) -> bool:
    return 0 < len(name) <= 24 and name.count(" ") <= 2 and name.replace(" ", "").replace("/", "").isalpha()  # noqa: PLR2004 - "threat severity"


def _threat(event: Event, said: str) -> None:
    """``From A:P(if) to A:P(if), threat name: X, threat type: Y, ..., action: log-only, threat severity: High``."""
    before, found, flow = said.partition("From ")
    if not found or len(before) > _STAMP:
        _state(event, said)
        return
    flow = flow.partition(", ")[0]
    source, _, target = flow.partition(" to ")
    _endpoint(event, "source", source)
    _endpoint(event, "destination", target)
    parts = _parts(said)
    named = parts.get("threat name") or parts.get("Name") or parts.get("virus name") or ""
    slug = appliance.threat(f"{named} {parts.get('threat subtype', '')} {parts.get('threat type', '')}")
    severity = appliance.level(parts.get("threat severity", "")) or appliance.level(parts.get("severity", ""))
    appliance.attack(event, appliance.verdict(parts.get("action", "")), slug, severity)
    appliance.keyword(event, "rule.name", named or said)
    appliance.keyword(event, "rule.id", parts.get("signature ID") or parts.get("ID"))
    appliance.keyword(event, "network.application", parts.get("App/Protocol"))
    appliance.url(event, parts.get("url") or parts.get("URL"))
    appliance.keep(event, parts)


_READERS: Final[dict[str, Callable[[Event, str], None]]] = {
    "MGMT": _management,
    "LOGIN": _management,
    "CONFIG": _configuration,
    "CLI": _configuration,
    "VPN": _vpn,
    "SCVPN": _vpn,
    "IPS": _threat,
    "AV": _threat,
    "AD": _threat,
    "PTF": _threat,
    "BOTNET": _threat,
}
PARSERS = (MessageParser(45, claims, parse),)
