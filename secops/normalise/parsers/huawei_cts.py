"""Traces of Huawei Cloud's Cloud Trace Service (CTS), field names after its user guide, "Trace Structure".

``user``, ``request`` and ``response`` are objects in trace files and JSON texts in the API's answers; both are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import Call, describe, name_fields, opened, stamp
from secops.normalise.parser import DocumentParser

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_TEXTS: Final = ("user", "request", "response", "message")
_FIELDS: Final = {
    "event.action": ("trace_name",),
    "event.provider": ("service_type",),
    "cloud.service.name": ("service_type",),
    "cloud.account.id": ("user.domain.id", "user.account_id", "domain_id", "resource_account_id"),
    "cloud.region": ("region", "region_id"),
    "user.name": ("user.name", "user.user_name", "user"),
    "user.id": ("user.id", "user.principal_id"),
    "user.domain": ("user.domain.name",),
    "source.ip": ("source_ip",),
    "user_agent.original": ("user_agent",),
    "http.response.status_code": ("code",),
    "error.code": ("response.error_code", "response.error.code", "response.code", "code"),
    "error.message": ("response.error_msg", "response.error.message", "message"),
    "user.target.name": ("resource_name", "resource_id"),
}
_ERROR: Final = 400  # HTTP codes from here on are failures
_TRUE: Final = ("true", "True", True)


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a CTS trace."""
    return "trace_name" in document and "service_type" in document and "trace_rating" in document


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one trace."""
    flat = opened(document, _TEXTS)
    name_fields(event, flat, _FIELDS)
    action = str(flat.get("trace_name", "")).lower()
    outcome = _outcome(event, flat, action)
    if outcome == "success":
        event.pop("error.code", None)
        event.pop("error.message", None)
    reading = flat.get("read_only") in _TRUE
    describe(event, flat, Call("huaweicloud", "huaweicloud.cts", outcome, _login(flat, action), _root(flat), reading))
    stamp(event, flat.get("time") or flat.get("record_time"), desk)


def _login(flat: dict[str, Any], action: str) -> bool:
    return str(flat.get("service_type", "")).lower() == "iam" and "login" in action and "policy" not in action


def _outcome(event: Event, flat: dict[str, Any], action: str) -> str:
    """A trace rated other than normal failed or did harm; a failed login may be rated normal, but is named so."""
    if action.endswith("failed") or event.get("http.response.status_code", 0) >= _ERROR:
        return "failure"
    rating = flat.get("trace_rating")
    return "success" if rating == "normal" else "failure" if rating in ("warning", "incident") else "unknown"


def _root(flat: dict[str, Any]) -> bool:
    """The account's owner: said outright by newer traces, else the user who bears the account's own name."""
    name = flat.get("user.name")
    return flat.get("user.principal_is_root_user") in _TRUE or (bool(name) and name == flat.get("user.domain.name"))


PARSERS = (DocumentParser(40, claims, parse),)
