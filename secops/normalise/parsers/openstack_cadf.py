"""Notifications of OpenStack's services.

These are CADF events (DMTF DSP0262) of Keystone and of the audit middleware, and Nova's and Neutron's own; they come
bare, in a notification, or in the message bus's envelope (``oslo.message``).
``original`` holds the payload's fields by their own names, beside ``event_type`` and the like of the notification.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import Call, describe, name_fields, stamp
from secops.normalise.documents import flatten, load
from secops.normalise.parser import DocumentParser, UnreadableError

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_CADF: Final = "http://schemas.dmtf.org/cloud/audit/1.0"
_NESTED: Final = "nova_object.data."  # Nova's versioned notifications put their fields below this
_FIELDS: Final = {
    "event.action": ("event_type", "action"),
    "event.provider": ("publisher_id", "observer.name"),
    "cloud.account.id": ("initiator.project_id", "initiator.domain_id", "project_id", "tenant_id", "project"),
    "cloud.region": ("region", "_context_region_name"),
    "user.name": ("initiator.username", "initiator.name", "_context_user_name", "_context_user_identity.user_name"),
    "user.id": ("initiator.user_id", "initiator.id", "_context_user_id", "user_id", "user"),
    "source.ip": ("initiator.host.address", "_context_remote_address"),
    "user_agent.original": ("initiator.host.agent",),
    "url.path": ("requestPath",),
    "error.code": ("reason.reasonCode", "fault.exception"),
    "error.message": ("reason.reasonType", "fault.exception_message"),
    "user.target.name": ("target.name", "target.id", "display_name", "instance_id", "uuid"),
}
_OUTCOMES: Final = ("success", "failure")


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is an envelope, a notification or a CADF event."""
    if "oslo.message" in document or {"event_type", "payload", "publisher_id"} <= document.keys():
        return True
    kind = document.get("typeURI")
    return isinstance(kind, str) and kind.startswith(_CADF)


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one notification."""
    flat = _lifted(_inner(document))
    name_fields(event, flat, _FIELDS)
    action = str(event.get("event.action", ""))
    event["cloud.service.name"] = _service(flat, action)
    outcome = _outcome(flat, action)
    if outcome == "success":
        event.pop("error.code", None)
        event.pop("error.message", None)
    login = action == "identity.authenticate" or (flat.get("action") == "authenticate" and "event_type" not in flat)
    describe(event, flat, Call("openstack", "openstack.audit", outcome, login=login))
    if login and flat.get("target.name") is None:
        event.pop("user.target.name", None)
    stamp(event, flat.get("eventTime") or flat.get("timestamp"), desk, UTC)


def _inner(document: dict[str, Any]) -> dict[str, Any]:
    wrapped = document.get("oslo.message")
    inner = load(wrapped) if isinstance(wrapped, str) else document
    if not isinstance(inner, dict):
        raise UnreadableError("malformed", "an envelope without a notification")
    return inner


def _lifted(notification: dict[str, Any]) -> dict[str, Any]:
    """Give the payload's fields without the path to them; what the notification itself says comes first."""
    payload = notification.get("payload")
    if not isinstance(payload, dict):
        return flatten(notification)
    outer = flatten({key: value for key, value in notification.items() if key != "payload"})
    inner = {key.removeprefix(_NESTED): value for key, value in flatten(payload).items()}
    return {**inner, **outer}


def _service(flat: dict[str, Any], action: str) -> str:
    """``identity.user.created`` is Keystone's; Nova's and Neutron's bear the name of what they are about."""
    host = flat.get("publisher_id")
    if action.startswith("identity."):
        return "identity"
    if isinstance(kind := flat.get("target.typeURI"), str) and (action.startswith("audit.") or not host):
        return kind.removeprefix("service/").partition("/")[0][:100]
    name = host if isinstance(host, str) else action
    return name.partition(".")[0].partition(":")[0].removeprefix("nova-")[:100]


def _outcome(flat: dict[str, Any], action: str) -> str:
    outcome = flat.get("outcome")
    if outcome in _OUTCOMES:
        return str(outcome)
    if action.endswith(".error"):
        return "failure"
    return "success" if action.endswith((".end", ".created", ".deleted", ".updated")) else "unknown"


PARSERS = (DocumentParser(45, claims, parse),)
