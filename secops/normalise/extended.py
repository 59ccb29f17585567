"""What CEF and LEEF have in common: a header that names the sender and the event, and fields whose meaning is fixed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from secops.normalise import appliance
from secops.normalise.schema import number
from secops.normalise.times import MONTHS, epoch, iso

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from secops.records import Event

_KNOWN: Final = {"sangfor": "sangfor.af", "hillstone": "hillstone.stoneos", "topsec": "topsec.firewall"}
_KINDS: Final = (
    ("vpn", "vpn"),
    ("waf", "waf"),
    ("ips", "ids"),
    ("ids", "ids"),
    ("proxy", "proxy"),
    ("firewall", "firewall"),
)
_LOGIN: Final = ("login", "logon", "log in", "logged in", "authentication", "登录", "登陆", "认证")
_LOGOUT: Final = ("logout", "logoff", "log out", "logged out", "注销", "退出登录")
_CHANGE: Final = (
    "config",
    "policy add",
    "policy modif",
    "policy delet",
    "policy chang",
    "policy disab",
    "rule added",
    "administrat",
    "系统操作",
    "配置",
    "策略变更",
    "管理员",
)
_OWN: Final = frozenset(
    {"signature_update", "signature_fail", "firmware_update", "firmware_fail", "license_expire", "ha_switch"}
)
_TRAFFIC: Final = ("traffic", "session", "connection", "control", "flow", "访问控制", "流量", "会话", "应用控制", "nat")
_SEVERE: Final = ((9, "critical"), (7, "high"), (4, "medium"), (0, "low"))


class Header(NamedTuple):
    """What stands before the fields."""

    vendor: str
    product: str
    version: str
    event: str  # device event class, event id
    name: str
    severity: str


def malformed(event: Event, form: str) -> None:
    """Mark a message of ``form`` without a whole header; it keeps its text."""
    event["event.module"], event["event.dataset"] = form, f"{form}.event"
    event["tags"] = [*event.get("tags", ()), f"malformed_{form}"]


def identify(event: Event, header: Header, dataset: str) -> None:
    """Say which device speaks; of a vendor whose messages have rules of their own it gets the dataset."""
    vendor = header.vendor.lower()
    known = next((found for name, found in _KNOWN.items() if name in vendor), dataset)
    product = header.product.lower()
    kind = next((found for word, found in _KINDS if word in product), "firewall" if known != dataset else "sensor")
    appliance.observer(event, known, header.vendor[:256], header.product[:256], kind)
    appliance.keyword(event, "observer.version", header.version)
    appliance.keyword(event, "event.code", header.event)
    if header.name:
        event["message"] = header.name


def take(event: Event, fields: Mapping[str, str], keywords: Mapping[str, str], counts: Mapping[str, str]) -> None:
    """Put the fields that are plain words or numbers where ECS has them."""
    for key, field in keywords.items():
        if key in fields:
            appliance.keyword(event, field, fields[key])
    for key, field in counts.items():
        if key in fields:
            appliance.count(event, field, fields[key])


def severity(written: str) -> str:
    """Read a severity from 0 to 10, or a vendor's word; "" for words that nobody knows."""
    if written.isascii() and written.isdigit() and len(written) <= 2:  # noqa: PLR2004 - 0 to 10
        return next(name for least, name in _SEVERE if int(written) >= least)
    return appliance.level(written)


def moment(written: str, zone: tzinfo) -> str | None:
    """Read milliseconds since 1970, ``MMM dd yyyy HH:mm:ss[.SSS][ zone]`` or ISO 8601."""
    if written.isascii() and written.isdigit() and 0 < len(written) <= 19:  # noqa: PLR2004 - below 2**64
        return epoch(int(written))
    words = written[:40].split()
    if len(words) >= 4 and words[0] in MONTHS and number(words[1]) is not None:  # noqa: PLR2004 - month, day, year, time
        stamp = f"{words[2]}-{MONTHS[words[0]]:02d}-{int(words[1][:2]):02d}T{words[3]}"
        return iso(stamp + ("Z" if words[4:5] in (["UTC"], ["GMT"]) else ""), zone)
    return iso(written[:40].replace(" ", "T", 1), zone) if written[4:5] == "-" else None


def report(event: Event, header: Header, severity: str, deed: str, more: str) -> None:
    """Say what kind of event it is, from its name, class and deed; ``more`` is its category.

    What the device does to itself goes first: an update of virus signatures is no virus.
    """
    said = f"{header.name} {header.event} {more}".strip()
    folded = said[:512].lower()
    if severity:
        event["log.level"] = severity
    kind = appliance.threat(said)
    if _has(folded, _LOGOUT):
        appliance.logout(event, f"{_who(event, folded)}_logout")
    elif kind != "brute_force" and _has(folded, _LOGIN):
        appliance.login(event, f"{_who(event, folded)}_login", f"{said} {deed}")
    elif _has(folded, _CHANGE) or appliance.operation(said) in _OWN or (not kind and _administration(header)):
        appliance.configuration(event, said)
    elif kind:
        appliance.attack(event, appliance.verdict(deed), kind, severity)
        appliance.keyword(event, "rule.name", header.name)
        appliance.keyword(event, "rule.id", header.event)
    elif appliance.verdict(deed) or _has(folded, _TRAFFIC):
        appliance.traffic(event, appliance.verdict(deed))
        kept = event.get("original", {})
        appliance.keyword(event, "rule.name", kept.get("PolicyName") or kept.get("policy"))
    else:
        event["event.category"], event["event.type"] = ["host"], ["info"]
        appliance.keyword(event, "event.action", deed)


@lru_cache(maxsize=4096)
def _has(folded: str, words: tuple[str, ...]) -> bool:
    """Whether one of the words occurs. Devices repeat their names of events: cached."""
    return any(word in folded for word in words)


def _administration(header: Header) -> bool:
    """Whether the message's name alone says that something was administered."""
    return appliance.operation(header.name) not in {"config_change", "session_limit"}


def _who(event: Event, folded: str) -> str:
    if event.get("observer.type") == "vpn" or "vpn" in folded:
        return "vpn"
    return "admin" if "admin" in folded or "管理员" in folded else "user"
