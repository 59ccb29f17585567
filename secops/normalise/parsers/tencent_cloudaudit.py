"""Events of Tencent Cloud's CloudAudit, field names after its manual, "Viewing Event Details in Operation Record".

The API hands an event on as the text ``CloudAuditEvent``, EventBridge as the ``data`` of a CloudEvent; both are opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import Call, describe, name_fields, opened, stamp
from secops.normalise.documents import load
from secops.normalise.parser import DocumentParser, UnreadableError

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_TEXTS: Final = ("userIdentity", "requestParameters", "responseElements", "resourceSet")
_FIELDS: Final = {
    "event.action": ("eventName",),
    "event.provider": ("eventSource", "resourceType"),
    "cloud.service.name": ("resourceType", "eventSource"),
    "cloud.account.id": ("userIdentity.accountId", "accountID", "ownerUin"),
    "cloud.region": ("eventRegion",),
    "user.name": ("userIdentity.userName", "userIdentity.principalId", "username"),
    "user.id": ("userIdentity.principalId",),
    "source.ip": ("sourceIPAddress",),
    "user_agent.original": ("userAgent",),
    "user.target.name": ("resourceName",),
}
_FINE: Final = (0, "0", "", None)


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a CloudAudit event, bare."""
    return "eventName" in document and "eventRegion" in document and "userIdentity" in document


def claims_wrapped(document: dict[str, Any]) -> bool:
    """Say whether it is one inside an API's answer or a CloudEvent."""
    kind = document.get("type")
    return isinstance(document.get("CloudAuditEvent"), str) or (
        isinstance(document.get("data"), dict) and isinstance(kind, str) and ":CloudEvent:" in kind
    )


def parse_wrapped(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read the event inside."""
    inner = load(text) if isinstance(text := document.get("CloudAuditEvent"), str) else document["data"]
    if not isinstance(inner, dict):
        raise UnreadableError("malformed", "a CloudAudit record without an event")
    parse(event, inner, desk)


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one event; ``errorCode`` is about signing the request, ``apiErrorCode`` about the call itself."""
    flat = opened(document, _TEXTS)
    name_fields(event, flat, _FIELDS)
    codes = [flat[name] for name in ("errorCode", "apiErrorCode") if flat.get(name) not in _FINE]
    if codes:
        code, text = str(codes[0])[:200], flat.get("apiErrorMessage") or flat.get("errorMessage")
        event["error.code"] = code
        if isinstance(text, str):
            event["error.message"] = text
    identity = str(flat.get("userIdentity.type", "")).lower()
    call = Call(
        "tencentcloud",
        "tencentcloud.cloudaudit",
        "failure" if codes else "success",
        login=str(flat.get("eventName", "")).lower() in ("consolelogin", "login"),
        root=identity in ("root", "mainaccount") or flat.get("userIdentity.userName") == "root",
        reading=flat.get("actionType") == "Read",
    )
    describe(event, flat, call)
    stamp(event, flat.get("eventTime"), desk)


PARSERS = (DocumentParser(43, claims, parse), DocumentParser(44, claims_wrapped, parse_wrapped))
