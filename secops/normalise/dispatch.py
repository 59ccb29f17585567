from __future__ import annotations

from typing import TYPE_CHECKING

from secops.normalise.custom import refine_unparsed
from secops.normalise.decode import UndecodableError, decode, decode_json
from secops.normalise.parser import Desk, UnreadableError
from secops.normalise.quarantine import quarantine
from secops.normalise.registry import registry
from secops.normalise.schema import MAX_RAW
from secops.normalise.times import SHANGHAI

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from monitors.record import Record
    from secops.normalise.custom import CustomParser
    from secops.records import Event

_JSON = frozenset({"json", "journal", "audit", "probe", "upload"})
_KNOWN = {
    "oversized": "longer than the collector takes; the beginning is kept",
    "truncated": "the sender stopped in the middle of the message",
    "malformed": "not framed as the protocol says",
    "undecodable": "not text",
    "too_deep": "nested too deeply",
}


def normalise(
    records: Sequence[Record], *, zone: tzinfo = SHANGHAI, custom: Mapping[str, Sequence[CustomParser]] | None = None
) -> list[Event]:
    """Turn records into events, in order, at least one event per record; what cannot be read is quarantined.

    Never raises for input, takes bounded time for every record, and gives the same events for the same batch.
    ``zone`` is where times without a zone are read; ``custom`` are the tenants' own parsers, asked when no other knew the message.
    """
    known = registry()
    desk = Desk(known.programs, known.documents, known.lines, known.messages, zone)
    events: list[Event] = []
    for record in records:
        desk.receive(record.received)
        try:
            read = _read(record, desk, known.formats)
            if custom and (own := custom.get(record.tenant)):
                refine_unparsed(read, own, desk)
            events += read
        except UnreadableError as error:
            events.append(quarantine(record, desk, error.type, str(error)))
        except UndecodableError as error:
            events.append(quarantine(record, desk, "undecodable", str(error)))
        except Exception as error:  # noqa: BLE001 - the loop guard: a parser's fault must not stop the other records
            events.append(quarantine(record, desk, "malformed", f"parser fault: {error!r}"[:500]))
    for joiner in known.joiners:
        together = [event for event in events if event["event.dataset"] in joiner.datasets]
        if len(together) > 1:
            joiner.join(together)
    return events


def _read(record: Record, desk: Desk, formats: Mapping[str, Callable[[Record, str, Desk], list[Event]]]) -> list[Event]:
    if record.error:
        raise UnreadableError(record.error, _KNOWN.get(record.error, record.error))
    if len(record.raw) > MAX_RAW:
        raise UnreadableError("oversized", f"{len(record.raw)} bytes; at most {MAX_RAW} are read")
    text, charset = decode_json(record.raw) if record.format in _JSON else decode(record.raw)
    parse = formats.get(record.format) or formats["line"]
    events = parse(record, text, desk)
    if charset:
        for event in events:
            event["labels"] = {**event.get("labels", {}), "charset": charset}
    return events
