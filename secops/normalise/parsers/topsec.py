"""Topsec's firewalls, VPN gateways, IPS and WAF (TOS and NGTOS): ``id=tos time="..." fw=NAME pri=5 type=mgmt ...``.

Keys as in the vendor's manual of log formats and in messages that users have published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.pairs import read_pairs
from secops.normalise.parser import MessageParser
from secops.normalise.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.normalise.parser import Desk
    from secops.records import Event

_STARTS: Final = ("id=tos ", 'id="tos"', "id=ngtos ", 'id="ngtos"', 'id="NGTOS"', "id=TOS ")
_SERIOUS: Final = {
    "0": "critical",
    "1": "critical",
    "2": "high",
    "3": "high",
    "4": "medium",
    "5": "low",
    "6": "info",
    "7": "info",
}
_NAMES: Final = (
    "attack_name",
    "virus_name",
    "event_name",
    "rule_name",
    "name",
    "signature",
    "attack_type",
    "event_type",
    "msg",
)
_DEEDS: Final = ("action", "virus_deal", "rule", "act", "result_action")


def claims(start: str) -> bool:
    """Whether the message begins as the vendor's do."""
    return start.startswith(_STARTS)


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one message; what its type is not known for still has its fields."""
    pairs = read_pairs(message)
    kind = pairs.get("type", "").lower()
    vpn = kind.startswith("sv_") or "vpn" in kind
    appliance.observer(event, "topsec.vpn" if vpn else "topsec.firewall", "Topsec", "TOS", "vpn" if vpn else "firewall")
    _time(event, pairs, desk)
    appliance.keep(event, pairs)
    appliance.keyword(event, "observer.name", pairs.get("fw") or pairs.get("dev"))
    appliance.keyword(event, "event.code", pairs.get("type"))
    appliance.keyword(event, "event.provider", pairs.get("recorder"))
    _common(event, pairs)
    _reader(kind)(event, pairs)


def _time(event: Event, pairs: dict[str, str], desk: Desk) -> None:
    claimed = iso(pairs.get("time", "").replace(" ", "T", 1), desk.zone)
    if claimed:
        desk.stamp(event, claimed)


def _common(event: Event, pairs: dict[str, str]) -> None:
    appliance.endpoint(
        event,
        "source",
        pairs.get("src") or pairs.get("src_ip") or pairs.get("sip"),
        pairs.get("sport") or pairs.get("src_port"),
    )
    appliance.endpoint(
        event,
        "destination",
        pairs.get("dst") or pairs.get("dst_ip") or pairs.get("dip"),
        pairs.get("dport") or pairs.get("dst_port"),
    )
    appliance.transport(event, pairs.get("proto") or pairs.get("protocol"))
    appliance.user(event, pairs.get("user") or pairs.get("admin"))
    appliance.url(event, pairs.get("url") or pairs.get("uri"))
    appliance.keyword(event, "http.request.method", pairs.get("method"))
    appliance.keyword(event, "file.name", pairs.get("filename"))
    appliance.count(event, "source.bytes", pairs.get("sent"))
    appliance.count(event, "destination.bytes", pairs.get("rcvd"))


def _reader(kind: str) -> Callable[[Event, dict[str, str]], None]:
    if kind.startswith("sv_") or "vpn" in kind:
        return _vpn
    if kind in _READERS:
        return _READERS[kind]
    return (
        _attack
        if any(word in kind for word in ("attack", "ips", "idp", "ids", "waf", "av", "ads", "virus"))
        else _other
    )


def _access(event: Event, pairs: dict[str, str]) -> None:
    appliance.traffic(event, appliance.verdict(pairs.get("rule") or pairs.get("action") or ""))
    appliance.keyword(event, "rule.id", pairs.get("policyid"))
    appliance.keyword(event, "rule.name", pairs.get("policyname"))


def _connection(event: Event, pairs: dict[str, str]) -> None:
    appliance.traffic(event, appliance.ALLOW)
    event["event.type"] = ["connection", "end"]
    appliance.count(event, "source.packets", pairs.get("inpkt"))
    appliance.count(event, "destination.packets", pairs.get("outpkt"))


def _management(event: Event, pairs: dict[str, str]) -> None:
    """``mgmt`` and ``system``: what administrators do and what the device reports of itself; result 0 is success."""
    said = f"{appliance.present(pairs.get('op'))} {appliance.present(pairs.get('msg'))}".strip()
    what = said.lower()
    result = appliance.present(pairs.get("result"))
    success = result == "0" if result else None
    if "logout" in what or "注销" in what:
        appliance.logout(event, "admin_logout")
    elif "login" in what or "登录" in what or pairs.get("recorder", "").lower() == "auth":
        appliance.login(event, "admin_login", what, success=success)
    elif pairs.get("type") == "system" and not appliance.present(pairs.get("user")):
        _other(event, pairs)
    else:
        appliance.configuration(event, said, success=success)
    if said:
        event["event.reason"] = said[:512]


def _vpn(event: Event, pairs: dict[str, str]) -> None:
    said = " ".join(pairs.get(name, "") for name in ("op", "session", "vip", "msg", "result")).lower()
    if appliance.locked(said):
        appliance.login(event, "vpn_login", said)
    elif "logout" in said or "disconnect" in said or "下线" in said:
        appliance.logout(event, "vpn_logout")
    elif "login" in said or "connect" in said or "登录" in said:
        appliance.login(event, "vpn_login", said)
    else:
        _other(event, pairs)
    appliance.endpoint(event, "source.nat", pairs.get("vip", "").partition(" ")[0])
    event["event.reason"] = said.strip()[:512]


def _attack(event: Event, pairs: dict[str, str]) -> None:
    named = next((pairs[name] for name in _NAMES if appliance.present(pairs.get(name))), "")
    slug = appliance.threat(" ".join(pairs.get(name, "") for name in _NAMES)) or appliance.threat(pairs.get("type", ""))
    decision = appliance.verdict(next((pairs[name] for name in _DEEDS if pairs.get(name)), ""))
    severity = appliance.level(pairs.get("severity") or pairs.get("alarm_level") or pairs.get("level") or "")
    appliance.attack(
        event,
        decision,
        slug,
        severity or _SERIOUS.get(pairs.get("pri", ""), "") or appliance.level(pairs.get("pri", "")),
    )
    if "waf" in pairs.get("type", "").lower():
        event["event.category"] = ["intrusion_detection", "web"]
    appliance.keyword(event, "rule.name", named)
    appliance.keyword(event, "rule.id", pairs.get("ruleid") or pairs.get("rule_id") or pairs.get("sid"))


def _virus(event: Event, pairs: dict[str, str]) -> None:
    _attack(event, pairs)
    event["event.category"], event["rule.category"] = ["malware", "network"], "virus"


def _other(event: Event, pairs: dict[str, str]) -> None:
    said = appliance.present(pairs.get("msg")) or appliance.present(pairs.get("op"))
    if said:
        event["event.reason"] = said[:512]
    event["event.category"], event["event.type"] = ["host"], ["info"]
    operation = appliance.operation(said)
    if operation != "config_change":
        event["event.action"] = operation


_READERS: Final[dict[str, Callable[[Event, dict[str, str]], None]]] = {
    "ac": _access,
    "acl": _access,
    "pf": _access,
    "conn": _connection,
    "mgmt": _management,
    "system": _management,
    "auth": _management,
    "dpi": _access,
    "avse": _virus,
    "av": _virus,
}
PARSERS = (MessageParser(40, claims, parse, "i"),)
