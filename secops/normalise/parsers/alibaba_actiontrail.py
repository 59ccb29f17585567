"""Events of Alibaba Cloud's ActionTrail, field names after its manual, "Management event structure".

The Simple Log Service wraps an event as ``{"event": {…}}`` or as its text; both are opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import Call, describe, name_fields, opened, stamp
from secops.normalise.documents import load
from secops.normalise.parser import DocumentParser, UnreadableError

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_TEXTS: Final = ("requestParameterJson", "requestParameters", "responseElements", "additionalEventData")
_FIELDS: Final = {
    "event.action": ("eventName",),
    "event.provider": ("eventSource", "serviceName"),
    "cloud.service.name": ("serviceName",),
    "cloud.account.id": ("userIdentity.accountId", "recipientAccountId"),
    "cloud.region": ("acsRegion",),
    "user.name": ("userIdentity.userName", "additionalEventData.loginAccount", "userIdentity.principalId"),
    "user.id": ("userIdentity.principalId",),
    "source.ip": ("sourceIpAddress",),
    "user_agent.original": ("userAgent",),
    "error.code": ("errorCode",),
    "error.message": ("errorMessage",),
    "user.target.name": ("resourceName",),
}
_TOPICS: Final = ("actiontrail_event", "actiontrail_audit_event")


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is an ActionTrail event, bare."""
    return "eventName" in document and "eventVersion" in document and ("acsRegion" in document or _ali(document))


def _ali(document: dict[str, Any]) -> bool:
    source = document.get("eventSource")
    return isinstance(source, str) and source.endswith((".aliyuncs.com", ".aliyun.com", ".alibabacloud.com"))


def claims_wrapped(document: dict[str, Any]) -> bool:
    """Say whether it is an ActionTrail event as the log service hands it on."""
    return document.get("__topic__") in _TOPICS and isinstance(document.get("event"), (dict, str))


def parse_wrapped(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read the event inside."""
    inner = document["event"]
    if isinstance(inner, str):
        inner = load(inner)
    if not isinstance(inner, dict):
        raise UnreadableError("malformed", "an ActionTrail log without an event")
    parse(event, inner, desk)


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one event."""
    flat = opened(document, _TEXTS)
    name_fields(event, flat, _FIELDS)
    failed = bool(event.get("error.code") or event.get("error.message"))
    login = str(flat.get("eventType", "")).lower() == "consolesignin"
    call = Call(
        "aliyun",
        "aliyun.actiontrail",
        "failure" if failed else "success",
        login=login,
        root=flat.get("userIdentity.type") == "root-account",
        reading=flat.get("eventRW") == "Read",
    )
    describe(event, flat, call)
    stamp(event, flat.get("eventTime"), desk)


PARSERS = (DocumentParser(41, claims, parse), DocumentParser(42, claims_wrapped, parse_wrapped))
