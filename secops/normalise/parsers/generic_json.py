from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.normalise.documents import flatten, load, read
from secops.normalise.parser import DocumentParser, FormatParser, UnreadableError
from secops.normalise.schema import DATES, FIELDS, SENDERS_MAY_NOT_SET, date, text

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

MOST_ITEMS: Final = 10_000  # objects of one array
_TIMES: Final = ("@timestamp", "timestamp", "time", "ts", "datetime", "eventTime")
_HOSTS: Final = ("host.name", "host", "hostname", "host.hostname", "agent.hostname", "log.syslog.hostname")
_MESSAGES: Final = ("message", "msg", "log", "short_message")
_KINDS: Final = frozenset({"event", "metric"})


def parse(record: Record, line: str, desk: Desk) -> list[Event]:
    """Read a JSON object, an array of them, or a Kubernetes list of them; each becomes one event."""
    document = load(line)
    if isinstance(document, dict) and (items := _listed(document)):
        document = items
    if isinstance(document, dict):
        event = desk.event(record, line)
        read(event, document, desk)
        return [event]
    if not isinstance(document, list) or not document:
        raise UnreadableError("malformed", "JSON, but no object")
    if len(document) > MOST_ITEMS:
        raise UnreadableError("oversized", f"an array of more than {MOST_ITEMS} objects")
    return [_item(record, item, desk) for item in document]


def _listed(document: dict[str, Any]) -> list[Any]:
    """Give the objects of an audit webhook's ``EventList``; nothing for any other document."""
    if document.get("kind") != "EventList":
        return []
    version, items = document.get("apiVersion"), document.get("items")
    if not isinstance(version, str) or not version.startswith("audit.k8s.io/"):
        return []
    return items if isinstance(items, list) else []


def _item(record: Record, item: object, desk: Desk) -> Event:
    if not isinstance(item, dict):
        raise UnreadableError("malformed", "an array of something else than objects")
    event = desk.event(record, orjson.dumps(item).decode())
    read(event, item, desk)
    return event


def claims(_document: dict[str, Any]) -> bool:
    """Say yes: this parser comes last and takes what no other knows."""
    return True


def parse_document(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Keep every field in ``original``; fields with ECS names become the event's own where they fit their type."""
    flat = flatten(document)
    event["event.module"] = "json"
    event["event.dataset"] = "json.generic"
    event["original"] = flat
    _own(event, flat, desk)
    _first_text(event, "message", flat, _MESSAGES)
    _first_text(event, "host.name", flat, _HOSTS)
    for name in _TIMES:
        if name in flat and (claimed := date(flat[name], desk.zone)):
            desk.stamp(event, claimed)
            break


def _own(event: Event, flat: dict[str, Any], desk: Desk) -> None:
    """Take over what has an ECS name and type; what decides whose event it is and how it is treated stays ours."""
    labels = {key[7:]: word for key, value in flat.items() if key[:7] == "labels." and (word := text(value))}
    for key, value in flat.items():
        if key in DATES:
            if moment := date(value, desk.zone):
                event[key] = moment
        elif key in FIELDS and key not in SENDERS_MAY_NOT_SET:
            coerced = FIELDS[key](value)
            if coerced is not None and _allowed(key, coerced):
                event[key] = coerced
    if labels:
        event["labels"] = {**event.get("labels", {}), **labels}


def _allowed(key: str, value: object) -> bool:
    """Say whether a sender may claim it: nobody outside speaks as the service itself or sends to quarantine."""
    if key == "event.kind":
        return isinstance(value, str) and value in _KINDS
    if key in {"event.dataset", "event.module"}:
        return isinstance(value, str) and value.partition(".")[0].strip().casefold() != "secops"
    return not (key == "host.name" and not isinstance(value, str))


def _first_text(event: Event, field: str, flat: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        value = flat.get(name)
        if isinstance(value, str) and value:
            event[field] = text(value)
            return


PARSERS = (FormatParser("json", parse), DocumentParser(1000, claims, parse_document))
