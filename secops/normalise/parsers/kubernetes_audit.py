"""Audit events of Kubernetes (``audit.k8s.io``), as the API server's log backend writes them, one object a line.

``original`` holds the event flat under the names of its API, so rules written for them match. Two short names
(``hostPath``, ``capabilities``) are added, because published rules ask for these keys wherever in the object they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import name_fields, stamp
from secops.normalise.documents import flatten
from secops.normalise.parser import DocumentParser
from secops.normalise.schema import address

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_FIELDS: Final = {
    "event.action": ("verb",),
    "user.name": ("user.username",),
    "user.id": ("user.uid",),
    "user.effective.name": ("impersonatedUser.username",),
    "user_agent.original": ("userAgent",),
    "url.original": ("requestURI",),
    "http.response.status_code": ("responseStatus.code",),
    "error.message": ("responseStatus.message",),
    "event.reason": ("annotations.authorization.k8s.io/reason",),
    "orchestrator.cluster.name": ("clusterName", "cluster_name", "cluster"),
    "orchestrator.namespace": ("objectRef.namespace",),
    "orchestrator.resource.name": ("objectRef.name",),
    "orchestrator.resource.type": ("objectRef.resource",),
    "orchestrator.api_version": ("objectRef.apiVersion",),
}
_TYPES: Final = {"create": "creation", "delete": "deletion", "deletecollection": "deletion"} | dict.fromkeys(
    ("get", "list", "watch"), "access"
)
_SHORT: Final = (("hostPath", ".hostPath.path"), ("capabilities", ".capabilities.add"))
_ERROR: Final = 400
_DENIED: Final = (401, 403)


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is an audit event of Kubernetes."""
    version = document.get("apiVersion")
    return isinstance(version, str) and version.startswith("audit.k8s.io/") and "verb" in document


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one audit event."""
    flat = dict(flatten(document))
    for short, suffix in _SHORT:
        found = next((value for name, value in flat.items() if name.endswith(suffix)), None)
        if found is not None:
            flat.setdefault(short, found)
    event["event.module"] = event["orchestrator.type"] = "kubernetes"
    event["event.dataset"] = "kubernetes.audit"
    event["original"] = flat
    name_fields(event, flat, _FIELDS)
    _source(event, flat)
    code, verb = event.get("http.response.status_code"), str(flat.get("verb", ""))
    event["event.outcome"] = "unknown" if code is None else "failure" if code >= _ERROR else "success"
    event["event.category"] = ["configuration"]
    event["event.type"] = [_TYPES.get(verb, "change"), *(["denied"] if code in _DENIED else [])]
    event["host.name"] = str(event.get("orchestrator.cluster.name") or event["host.name"])
    what = "/".join(
        str(flat[name]) for name in ("objectRef.resource", "objectRef.namespace", "objectRef.name") if name in flat
    )
    event["message"] = f"{event.get('user.name', '?')} {verb} {what or event.get('url.original', '')}: {code or '-'}"
    stamp(event, flat.get("stageTimestamp") or flat.get("requestReceivedTimestamp"), desk)


def _source(event: Event, flat: dict[str, Any]) -> None:
    """The last of the addresses is the one the API server saw itself; those before it the caller may have invented."""
    seen = flat.get("sourceIPs")
    found = [ip for item in seen if isinstance(item, str) and (ip := address(item))] if isinstance(seen, list) else []
    if found:
        event["source.ip"] = found[-1]


PARSERS = (DocumentParser(46, claims, parse),)
