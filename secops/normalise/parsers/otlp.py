from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.normalise import carried
from secops.normalise.documents import flatten
from secops.normalise.parser import DocumentParser
from secops.normalise.parsers import generic_json
from secops.normalise.schema import number, text
from secops.normalise.times import epoch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.normalise.parser import Desk
    from secops.records import Event

# OpenTelemetry's semantic conventions -> ECS, where the names differ
_NAMES: Final = {
    "client.address": "client.ip",
    "destination.address": "destination.ip",
    "enduser.id": "user.name",
    "exception.message": "error.message",
    "exception.stacktrace": "error.stack_trace",
    "hostname": "host.name",
    "k8s.cluster.name": "orchestrator.cluster.name",
    "k8s.namespace.name": "orchestrator.namespace",
    "k8s.pod.name": "orchestrator.resource.name",
    "server.address": "server.domain",
    "source.address": "source.ip",
}
# Severity numbers of the log data model, a name and a number of syslog for each range
_LEVELS: Final = ((21, "fatal", 2), (17, "error", 3), (13, "warn", 4), (10, "info", 5), (9, "info", 6), (5, "debug", 7))
_LOWEST: Final = ("trace", 7)
_PARTS: Final = ("resource", "scope", "logRecord")


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a log record with its resource and scope, as the collector hands it over."""
    return "logRecord" in document and all(isinstance(document.get(part), dict) for part in _PARTS)


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read a record of OpenTelemetry's log data model; a line in its body is read by its own parser."""
    resource, scope, log = (document[part] for part in _PARTS)
    attributes = log.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    known = flatten({**resource, **attributes})
    generic_json.parse_document(event, _in_ecs(known), desk)
    event["event.module"], event["event.dataset"] = "otel", "otel.log"
    event["original"] = flatten({"resource": resource, "scope": scope, "attributes": attributes, **_rest(log)})
    carried.host_of(event, known)
    _severity(event, log)
    if trace := text(log.get("traceId")):
        event["trace.id"] = trace
    if scope_name := text(scope.get("name")):
        event["log.logger"] = scope_name
    _when(event, log, desk)
    _body(event, log.get("body"), known, desk)


def _in_ecs(known: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes under ECS names; what the parser decides itself is left out."""
    return {_NAMES.get(name, name): value for name, value in known.items() if name not in {"message", "timestamp"}}


def _rest(log: Mapping[str, Any]) -> dict[str, Any]:
    return {name: log[name] for name in ("spanId", "eventName", "flags", "droppedAttributesCount") if log.get(name)}


def _severity(event: Event, log: Mapping[str, Any]) -> None:
    said, written = number(log.get("severityNumber")) or 0, text(log.get("severityText"))
    if said:
        name, syslog = next(((name, code) for least, name, code in _LEVELS if said >= least), _LOWEST)
        event["log.level"], event["event.severity"] = name, syslog
    if written:
        event["log.level"] = written[:32].lower()


def _when(event: Event, log: Mapping[str, Any], desk: Desk) -> None:
    for name in ("timeUnixNano", "observedTimeUnixNano"):
        if nanoseconds := number(log.get(name)):
            desk.stamp(event, epoch(nanoseconds))
            return


def _body(event: Event, body: object, known: Mapping[str, Any], desk: Desk) -> None:
    """Set the message, and read the line or the document that the body is."""
    if isinstance(body, (dict, list)):
        fields = body if isinstance(body, dict) else {}
        carried.host_of(event, fields)
        said = carried.first_text(fields, "MESSAGE") or orjson.dumps(body).decode()
        program = carried.program_of({**known, **fields})
    else:
        said, program = text(body) or "", carried.program_of(known)
    event["message"] = text(said) or ""
    if said:
        carried.join(event, carried.line(event, said, program, desk), desk)


PARSERS = (DocumentParser(5, claims, parse),)
