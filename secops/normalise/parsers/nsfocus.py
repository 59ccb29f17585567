"""NSFOCUS's WAF: ``waf: tag:waf_log_websec site_id:1  dst_ip:10.16.0.14  ...  action:Accept  block:No  ...``, two spaces between.

Keys as in messages that users have published; the request and what was found in it are in base64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import MessageParser
from secops.normalise.schema import MAX_VALUE
from secops.normalise.times import iso

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_MOST: Final = 64  # pairs of one message


def claims(start: str) -> bool:
    """Whether the message begins as the product's do."""
    return start.startswith("tag:waf_log_")


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one message; of a tag that comes twice the first counts."""
    pairs: dict[str, str] = {}
    for piece in (
        message.replace(" site_id:", "  site_id:", 1)
        .replace(" stat_time:", "  stat_time:", 1)
        .split("  ", _MOST)[:_MOST]
    ):
        name, colon, value = piece.strip().partition(":")
        if colon:
            pairs.setdefault(name[:64], value[:MAX_VALUE])
    appliance.observer(event, "nsfocus.waf", "NSFOCUS", "WAF", "waf")
    appliance.keep(event, pairs)
    desk.stamp(event, iso(pairs.get("stat_time", "").replace(" ", "T", 1), desk.zone))
    appliance.keyword(event, "event.code", pairs.get("tag"))
    appliance.endpoint(event, "source", pairs.get("src_ip"), pairs.get("src_port"))
    appliance.endpoint(event, "destination", pairs.get("dst_ip"), pairs.get("dst_port"))
    appliance.keyword(event, "http.request.method", pairs.get("method"))
    path = pairs.get("uri") or pairs.get("url") or ""
    appliance.url(event, (appliance.present(pairs.get("domain")) or appliance.present(pairs.get("wa_host"))) + path)
    if pairs.get("tag") == "waf_log_websec":
        _attack(event, pairs)
    elif pairs.get("tag") == "waf_log_webaccess":
        event["event.category"], event["event.type"] = ["web"], ["access"]
        appliance.count(event, "http.response.status_code", pairs.get("ser_status_code"))
    else:
        event["event.category"], event["event.type"] = ["host"], ["info"]
        appliance.keyword(event, "event.reason", pairs.get("info"))


def _attack(event: Event, pairs: dict[str, str]) -> None:
    named = pairs.get("event_type", "").replace("_", " ")
    blocked = (
        pairs.get("block", "").lower() in {"yes", "true", "1"}
        or appliance.verdict(pairs.get("action", "")) == appliance.DENY
    )
    appliance.attack(
        event,
        appliance.DENY if blocked else appliance.ALERT,
        appliance.threat(named),
        appliance.level(pairs.get("alertlevel", "")),
    )
    event["event.category"] = ["intrusion_detection", "web"]
    appliance.keyword(event, "rule.name", named)
    appliance.keyword(event, "rule.id", pairs.get("rule_id"))
    appliance.keyword(event, "rule.ruleset", pairs.get("policy_id"))


PARSERS = (MessageParser(55, claims, parse, "t"),)
