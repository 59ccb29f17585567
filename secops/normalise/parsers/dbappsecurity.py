"""DBAPPSecurity's WAF: ``DBAppWAF: 发生时间/2026-11-24 15:40:01,威胁/高,事件/SQL注入,...``, a slash between key and value.

Keys as in messages that users have published. The URL and the body come from whoever is attacking and may hold commas, so
a piece begins a new pair only if it begins with the key that the product writes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import MessageParser, ProgramParser
from secops.normalise.schema import MAX_VALUE

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_MOST: Final = 256  # pieces of one message that are looked at
_KEYS: Final = (  # in the order in which the product writes them
    *("发生时间", "威胁", "事件", "请求方法", "URL地址", "POST数据", "服务器IP", "主机名", "服务器端口", "客户端IP"),
    *(
        "客户端端口",
        "客户端环境",
        "标签",
        "动作",
        "HTTP/S响应码",
        "攻击特征串",
        "触发规则",
        "访问唯一编号",
        "国家",
        "省",
        "市",
    ),
)


def parse_program(event: Event, message: str) -> None:
    """Read one message of the program."""
    pairs = read_pairs(message)
    appliance.observer(event, "dbappsecurity.waf", "DBAPPSecurity", "WAF", "waf")
    appliance.keep(event, pairs)
    appliance.endpoint(event, "source", pairs.get("客户端IP"), pairs.get("客户端端口"))
    appliance.endpoint(event, "destination", pairs.get("服务器IP"), pairs.get("服务器端口"))
    appliance.keyword(event, "http.request.method", pairs.get("请求方法"))
    appliance.keyword(event, "user_agent.original", pairs.get("客户端环境"))
    appliance.count(event, "http.response.status_code", pairs.get("HTTP/S响应码"))
    appliance.url(event, pairs.get("URL地址"))
    named = pairs.get("事件", "")
    appliance.attack(
        event,
        appliance.verdict(pairs.get("动作", "")),
        appliance.threat(f"{named} {pairs.get('标签', '')}"),
        appliance.level(pairs.get("威胁", "")),
    )
    event["event.category"] = ["intrusion_detection", "web"]
    appliance.keyword(event, "rule.name", named)
    appliance.keyword(event, "rule.id", pairs.get("触发规则"))


def parse(event: Event, message: str, _desk: Desk) -> None:
    """Read one message that comes without the program's name."""
    parse_program(event, message)


def read_pairs(message: str) -> dict[str, str]:
    """Split ``键/值,键/值`` at the product's keys, in its order."""
    found: dict[str, str] = {}
    key, due = "", 0
    for piece in message.split(",", _MOST):
        following = f"{_KEYS[due]}/" if due < len(_KEYS) else ""
        if following and piece.startswith(following):
            key, due = _KEYS[due], due + 1
            found[key] = piece[len(following) :][:MAX_VALUE]
        elif key:
            found[key] = f"{found[key]},{piece}"[:MAX_VALUE]
    return found


PARSERS = (
    ProgramParser(("dbappwaf",), parse_program),
    MessageParser(56, lambda start: start.startswith("发生时间/"), parse, "发"),
)
