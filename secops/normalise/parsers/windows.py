from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from secops.normalise.documents import flatten
from secops.normalise.parser import DocumentParser
from secops.normalise.schema import MAX_VALUE, number, text
from secops.normalise.times import iso
from secops.normalise.windows_fields import COMMON, MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secops.normalise.parser import Desk
    from secops.records import Event

DATASETS: Final = {
    "security": "windows.security",
    "system": "windows.system",
    "application": "windows.application",
    "microsoft-windows-sysmon/operational": "windows.sysmon",
    "microsoft-windows-powershell/operational": "windows.powershell",
    "windows powershell": "windows.powershell",
    "powershellcore/operational": "windows.powershell",
}
_LEVELS: Final = {1: 2, 2: 3, 3: 4, 4: 6, 5: 7, 0: 6}  # Windows level -> syslog severity
# An event that has no local time but one of these says when it happened in UTC.
_EMPTY: Final = ("", "-")
_UTC_TIMES: Final = ("@timestamp", "SystemTime", "TimeCreated", "UtcTime", "TimeGenerated")


def claims_flat(document: dict[str, Any]) -> bool:
    """Say whether it is an event with its data at the top, as NXLog and others write it."""
    return "EventID" in document and "Channel" in document


def parse_flat(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read NXLog's shape: event data and system fields side by side."""
    _fill(event, flatten(document), desk)


def claims_winlogbeat(document: dict[str, Any]) -> bool:
    """Say whether it is an event of Elastic's Winlogbeat or Agent."""
    winlog = document.get("winlog")
    return isinstance(winlog, dict) and "event_id" in winlog


def parse_winlogbeat(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read Winlogbeat's shape; ``original`` gets the names that Windows itself uses, as rules are written for them."""
    winlog = document["winlog"]
    event_data = {**_table(winlog.get("event_data")), **_table(winlog.get("user_data"))}
    host = _table(document.get("host"))
    system = {
        "EventID": winlog["event_id"] if (code := number(winlog["event_id"])) is None else code,
        "Channel": winlog.get("channel"),
        "Computer": winlog.get("computer_name") or host.get("name"),
        "Provider_Name": winlog.get("provider_name"),
        "EventRecordID": winlog.get("record_id"),
        "Message": document.get("message"),
        "@timestamp": document.get("@timestamp"),
        "LevelText": _table(document.get("log")).get("level"),
        "Opcode": winlog.get("opcode"),
        "Task": winlog.get("task"),
    }
    _fill(event, {**flatten(event_data), **_present(flatten(system))}, desk)


def claims_evtx(document: dict[str, Any]) -> bool:
    """Say whether it is an event file's record as JSON."""
    return isinstance(document.get("Event"), dict) and isinstance(document["Event"].get("System"), dict)


def parse_evtx(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read the XML of an event as JSON, as evtx_dump and others write it."""
    root = document["Event"]
    system = root["System"]
    event_data = _event_data(root.get("EventData"))
    for part in _table(root.get("UserData")).values():
        event_data.update({key: value for key, value in _table(part).items() if key[:1] not in "#@"})
    named = {
        "EventID": _plain(system.get("EventID")),
        "Channel": system.get("Channel"),
        "Computer": system.get("Computer"),
        "Provider_Name": _attribute(system.get("Provider"), "Name"),
        "EventRecordID": _plain(system.get("EventRecordID")),
        "Level": _plain(system.get("Level")),
        "Task": _plain(system.get("Task")),
        "Opcode": _plain(system.get("Opcode")),
        "Keywords": _plain(system.get("Keywords")),
        "SystemTime": _attribute(system.get("TimeCreated"), "SystemTime"),
        "Security_UserID": _attribute(system.get("Security"), "UserID"),
    }
    _fill(event, {**flatten(event_data), **_present(flatten(named))}, desk)


def _event_data(found: object) -> dict[str, Any]:
    """Give named data; unnamed strings come as ``Data``, a list of ``{"@Name": …, "#text": …}`` is turned into names."""
    if not isinstance(found, dict):
        return {}
    items = found.get("Data")
    data = {key: value for key, value in found.items() if key != "#attributes"}
    if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
        del data["Data"]
        data.update({_attribute(item, "Name") or f"Data{place}": _plain(item) for place, item in enumerate(items)})
    elif isinstance(items, dict):
        data["Data"] = _plain(items)
    return data


def _attribute(node: object, name: str) -> str:
    table = _table(node)
    value = _table(table.get("#attributes")).get(name) or table.get(f"@{name}") or table.get(name)
    return value if isinstance(value, str) else ""


def _plain(node: object) -> object:
    return node.get("#text") if isinstance(node, dict) else node


def _table(node: object) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != ""}


def _fill(event: Event, flat: dict[str, Any], desk: Desk) -> None:
    """Name what Windows says in ECS; ``flat`` becomes ``original``."""
    channel = flat.get("Channel")
    dataset = DATASETS.get(channel) or _dataset(channel) if isinstance(channel, str) else "windows.other"
    event["event.module"] = "windows"
    event["event.dataset"] = dataset
    event["original"] = flat
    event["event.code"] = code = str(flat.get("EventID"))[:20]
    host = flat.get("Hostname") or flat.get("Computer")
    if isinstance(host, str):
        event["host.name"] = host
    message = flat.get("Message")
    event["message"] = message[:MAX_VALUE] if isinstance(message, str) else f"{channel}: {code}"
    level = flat.get("Level")
    if type(level) is int and level in _LEVELS:
        event["event.severity"] = _LEVELS[level]
    _when(event, flat, desk)
    meaning = MEANINGS.get((dataset, code))
    if meaning is None:
        _name(event, flat, COMMON)
        return
    event["event.action"], event["event.category"] = meaning.action, list(meaning.category)
    event["event.type"] = list(meaning.type)
    if meaning.outcome:
        event["event.outcome"] = meaning.outcome
    _name(event, flat, meaning.fields)


def _dataset(channel: str) -> str:
    return DATASETS.get(channel.lower(), "windows.other")


def _when(event: Event, flat: dict[str, Any], desk: Desk) -> None:
    for name in _UTC_TIMES:
        value = flat.get(name)
        if type(value) is str and (claimed := iso(value, UTC)):
            desk.stamp(event, claimed)
            return
    local = flat.get("EventTime")
    if isinstance(local, str) and (claimed := iso(local, desk.zone)):
        desk.stamp(event, claimed)


def _name(event: Event, flat: dict[str, Any], fields: Sequence[tuple[str, str, Callable[[Any], Any]]]) -> None:
    get = flat.get
    for theirs, ours, read in fields:
        value = get(theirs)
        if value is None or value in _EMPTY:
            continue
        if read is text and type(value) is str and len(value) <= MAX_VALUE:  # most are plain texts
            event[ours] = value
        elif (named := read(value)) is not None:
            event[ours] = named


PARSERS = (
    DocumentParser(10, claims_flat, parse_flat),
    DocumentParser(11, claims_winlogbeat, parse_winlogbeat),
    DocumentParser(12, claims_evtx, parse_evtx),
)
