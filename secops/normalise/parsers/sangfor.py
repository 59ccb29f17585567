"""Sangfor's firewall (NGAF, AF) with its SSL VPN, which write ``键:值, 键:值`` or ``key:value, ...``.

Keys and kinds of message as in the vendor's manual of syslog formats and in messages that users have published (the
internet gateway AC and the stand-alone VPN are read as far as they write the same form). A URL
and a description stand last and may hold anything, commas and key-like words included, so they take all that follows;
of a key that comes twice the first counts: whoever is attacked through a URL must not be able to forge the verdict.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import MessageParser
from secops.normalise.schema import MAX_VALUE

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_KEY: Final = 24  # characters of the longest key
_MOST: Final = 64  # pairs of one message
_PIECES: Final = 4096  # pieces between commas that are looked at
_LAST: Final = frozenset({"url", "描述", "详情", "description", "details"})
_STARTS: Final = ("日志类型:", "日志类型：", "所属系统:", "Log type:", "Log Type:", "log type:")

# The same under its Chinese and English names; keys are compared in lower case.
_TYPE: Final = ("日志类型", "log type")
_SOURCE: Final = ("源ip", "src ip", "source ip", "ip地址", "ip address", "登录ip", "用户ip", "主机ip", "ip")
_DESTINATION: Final = ("目的ip", "dst ip", "destination ip")
_USER: Final = ("用户", "用户名", "user", "username", "user name", "管理员", "admin", "用户名/主机", "username/host")
_NAME: Final = (
    "漏洞名称",
    "病毒名",
    "病毒名称",
    "攻击名称",
    "规则名称",
    "vulnerability name",
    "virus name",
    "vulnerability",
    "threat name",
)
_KIND: Final = ("攻击类型", "attack type", "威胁类型", "threat type")
_LEVEL: Final = ("严重级别", "严重等级", "威胁等级", "风险等级", "threat level", "severity", "severity level")
_ACTION: Final = ("系统动作", "动作", "处理动作", "action", "system action")
_RULE: Final = ("规则id", "漏洞id", "rule id", "sid", "vulnerability id")
_POLICY: Final = ("策略名称", "policy name")
_SAID: Final = ("描述", "详情", "description", "details")
_OPERATION: Final = ("操作对象", "操作类型", "操作", "operation object", "operation type", "operation", "object")

# Words in a message's type -> what reads it; the first that occurs counts.
_VPN: Final = ("vpn",)
_ADMINISTRATION: Final = ("系统操作", "管理员", "操作日志", "system operation", "admin operation", "administrator")
_LOGIN: Final = ("用户认证", "登录", "认证", "user authentication", "auth")
_NAT: Final = ("nat",)
_TRAFFIC: Final = ("控制", "流量", "会话", "control", "traffic", "session", "access control")
_VISIT: Final = ("网站访问", "url过滤", "website", "url filter", "web access")
_ADMIN_WORDS: Final = ("登录", "登陆", "注销", "退出", "login", "log in", "logout", "log out")


def claims(start: str) -> bool:
    """Whether the message begins as the vendor's do."""
    return start.startswith(_STARTS)


def parse(event: Event, message: str, _desk: Desk) -> None:
    """Read one message; what its type is not known for still has its fields."""
    pairs = fields(message)
    written = {key.lower(): value for key, value in reversed(pairs.items())}
    kind = _of(written, _TYPE).lower()
    appliance.observer(event, _dataset(kind), "Sangfor", _product(kind), "firewall")
    appliance.keep(event, pairs)
    _common(event, written)
    if any(word in kind for word in _VPN):
        _vpn(event, written)
    elif any(word in kind for word in _ADMINISTRATION):
        _administration(event, written)
    elif any(word in kind for word in _LOGIN):
        _login(event, written)
    elif any(word in kind for word in _VISIT):
        _visit(event, written)
    elif any(word in kind for word in _NAT):
        _nat(event, written)
    elif any(word in kind for word in _TRAFFIC):
        appliance.traffic(event, appliance.verdict(_of(written, _ACTION)))
        appliance.keyword(event, "rule.name", _of(written, _POLICY))
    else:
        _attack(event, written, kind)


def fields(message: str) -> dict[str, str]:
    """Split ``键:值, 键:值`` in the order of the message; at most ``_MOST`` pairs. A value reaches to the next key."""
    found: dict[str, str] = {}
    position, key, begin = 0, "", 0
    for _ in range(_PIECES):
        end = message.find(", ", position)
        piece = message[position : end if end >= 0 else len(message)]
        name, value = _pair(piece)
        if name and name not in found and len(found) < _MOST:
            if key:
                found[key] = message[begin : max(begin, position - 2)].strip()[:MAX_VALUE]
            key, begin = name, position + len(piece) - len(value)
            found[key] = ""
        if end < 0 or key.lower() in _LAST:
            break
        position = end + 2
    if key:
        found[key] = message[begin : begin + MAX_VALUE].strip()
    return found


def _pair(piece: str) -> tuple[str, str]:
    """Split at the first colon, narrow or wide, if what stands before it can be a key."""
    place = piece.find(":", 0, _KEY + 1)
    wide = piece.find("：", 0, place if place > 0 else _KEY + 1)
    place = wide if wide > 0 else place
    name = _key(piece[:place]) if place > 0 else ""
    return (name, piece[place + 1 :]) if name else ("", piece)


@lru_cache(maxsize=4096)
def _key(written: str) -> str:
    """The key, "" if what is written can be none: part of a URL, a time, a sentence."""
    name = written.strip()
    if name.lower() in _USER:
        return name
    return "" if any(letter in "./=?&%<>\"'" for letter in name) else name


def _of(written: dict[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in written and (value := appliance.present(written[name])):
            return value
    return ""


def _dataset(kind: str) -> str:
    return "sangfor.vpn" if "vpn" in kind else "sangfor.af"


def _product(kind: str) -> str:
    return "SSL VPN" if "vpn" in kind else "AF"


def _common(event: Event, written: dict[str, str]) -> None:
    appliance.endpoint(event, "source", _of(written, _SOURCE), written.get("源端口") or written.get("src port"))
    appliance.endpoint(
        event, "destination", _of(written, _DESTINATION), written.get("目的端口") or written.get("dst port")
    )
    appliance.transport(event, written.get("协议") or written.get("protocol"))
    appliance.user(event, _of(written, _USER))
    appliance.keyword(
        event, "network.application", written.get("应用名称") or written.get("app name") or written.get("application")
    )
    appliance.keyword(event, "event.code", _of(written, _TYPE))
    appliance.url(event, written.get("url"))


def _attack(event: Event, written: dict[str, str], kind: str) -> None:
    named = _of(written, _NAME)
    attack_type = _of(written, _KIND)
    slug = appliance.threat(f"{attack_type} {named}")
    where = appliance.threat(kind)
    if where == "botnet" and slug not in {"mining", "dga", "dns_tunnel", "ransomware"}:
        slug = _botnet(written) or where
    if where == "virus" and slug != "ransomware":
        slug = where
    decision = appliance.verdict(_of(written, _ACTION))
    appliance.attack(event, decision, slug or where, appliance.level(_of(written, _LEVEL)))
    if "waf" in kind or "web应用" in kind or "web application" in kind:
        event["event.category"] = ["intrusion_detection", "web"]
    appliance.keyword(event, "rule.name", named or attack_type)
    appliance.keyword(event, "rule.id", _of(written, _RULE))
    appliance.keyword(event, "rule.ruleset", _of(written, _POLICY))


def _botnet(written: dict[str, str]) -> str:
    """A mining pool is reported as a botnet; the name in the URL tells."""
    found = appliance.threat(written.get("url", "").replace(".", " "))
    return found if found == "mining" else ""


def _administration(event: Event, written: dict[str, str]) -> None:
    said = _of(written, _SAID)
    done = " ".join(written.get(name, "") for name in _OPERATION)
    what = f"{done} {said}".lower()
    if any(word in what for word in _ADMIN_WORDS) and "策略" not in what:
        _session(event, "admin", what)
    else:
        appliance.configuration(event, f"{done} {said}")
    event["event.reason"] = said[:512] or done.strip()[:512]


def _login(event: Event, written: dict[str, str]) -> None:
    what = " ".join(written.get(name, "") for name in (*_OPERATION, *_SAID, "认证结果", "result")).lower()
    _session(event, "user", what)


def _vpn(event: Event, written: dict[str, str]) -> None:
    event["observer.type"] = "vpn"
    said = _of(written, _SAID)
    what = f"{written.get('操作', '')} {written.get('操作类型', '')} {written.get('operation', '')} {said}".lower()
    if any(word in what for word in _ADMIN_WORDS) or appliance.locked(what):
        _session(event, "vpn", what)
    else:
        event["event.category"], event["event.type"] = ["network"], ["access"]
        event["event.action"], event["event.outcome"] = "vpn_access", "failure" if appliance.failed(what) else "success"
    if said:
        event["event.reason"] = said[:512]


def _session(event: Event, who: str, what: str) -> None:
    if any(word in what for word in ("注销", "退出", "logout", "log out")) and "登录失败" not in what:
        appliance.logout(event, f"{who}_logout")
    else:
        appliance.login(event, f"{who}_login", what)


def _visit(event: Event, written: dict[str, str]) -> None:
    appliance.traffic(event, appliance.verdict(_of(written, _ACTION)))
    event["event.category"] = ["web", "network"]


def _nat(event: Event, written: dict[str, str]) -> None:
    side = "destination.nat" if "dnat" in written.get("nat类型", "").lower() else "source.nat"
    appliance.endpoint(event, side, written.get("转换后的ip"), written.get("转换后的端口"))
    appliance.traffic(event, appliance.ALLOW)


PARSERS = (MessageParser(50, claims, parse, "日所Ll"),)
