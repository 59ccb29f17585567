from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.normalise.times import AHEAD, EARLIEST, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from monitors.record import Record
    from secops.records import Event

START: Final = 160  # characters of a message by which a ``MessageParser`` knows it
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class UnreadableError(ValueError):
    """A message that goes to quarantine; ``type`` is one of ``monitors.record.ERRORS``."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.type = error_type


class FormatParser(NamedTuple):
    """Reads records of one ``Record.format``: ``parse(record, text, desk)`` gives at least one event."""

    format: str
    parse: Callable[[Record, str, Desk], list[Event]]


class ProgramParser(NamedTuple):
    """Refines an event by the program that wrote it: ``parse(event, message)`` changes the event in place."""

    programs: tuple[str, ...]  # lower case
    parse: Callable[[Event, str], None]


class DocumentParser(NamedTuple):
    """Reads JSON objects of one shape.

    ``claims(document)`` says whether it is that shape; ``parse(event, document, desk)`` changes the event in place,
    ``@timestamp`` included. Of several that claim a document the lowest ``order`` reads it.
    """

    order: int
    claims: Callable[[dict[str, Any]], bool]
    parse: Callable[[Event, dict[str, Any], Desk], None]


class LineParser(NamedTuple):
    """Reads bare lines of one shape: ``parse(event, line, desk)`` says whether it was that, and then filled the event."""

    order: int
    parse: Callable[[Event, str, Desk], bool]


class MessageParser(NamedTuple):
    """Reads messages that their beginning gives away, where no parser of the program does: devices name no program.

    ``claims(start)`` is asked with the first ``START`` characters of the message; ``parse(event, message, desk)``
    changes the event in place, ``@timestamp`` included. Of several that claim a message the lowest ``order`` reads it.
    """

    order: int
    claims: Callable[[str], bool]
    parse: Callable[[Event, str, Desk], None]
    first: str = ""  # the characters one of which begins all its messages; "" when that cannot be said


class Joiner(NamedTuple):
    """Completes events of ``datasets`` by one another: ``join(events)`` changes in place those that arrived in one batch."""

    datasets: frozenset[str]
    join: Callable[[Sequence[Event]], None]


class Desk:
    """What parsers have at hand for a batch: the other parsers, the zone of zoneless times, the moment of receipt."""

    __slots__ = (
        "_by_first",
        "_others",
        "_received",
        "documents",
        "ingested",
        "latest",
        "lines",
        "messages",
        "programs",
        "zone",
    )

    def __init__(
        self,
        programs: Mapping[str, Callable[[Event, str], None]],
        documents: Sequence[DocumentParser],
        lines: Sequence[LineParser],
        messages: Sequence[MessageParser],
        zone: tzinfo,
    ) -> None:
        self.programs = programs
        self.documents = documents
        self.lines = lines
        self.messages = messages
        self._by_first, self._others = by_first(tuple(messages))
        self.zone = zone
        self.ingested = ""
        self.latest = ""
        self._received = _NEVER

    def recognise(self, event: Event, message: str) -> bool:
        """Let the parser that claims the message by its beginning fill the event; say whether there is one."""
        start = message[:START]
        for parser in self._by_first.get(start[:1], self._others):
            if parser.claims(start):
                parser.parse(event, message, self)
                return True
        return False

    def receive(self, moment: datetime) -> None:
        """Take ``moment`` as the time of receipt of the records that follow; many share one."""
        if moment is not self._received:
            self._received = moment
            self.ingested = canonical(moment)
            self.latest = canonical(moment + AHEAD)

    def event(self, record: Record, text: str) -> Event:
        """Start an event with what every event has."""
        return {
            "@timestamp": self.ingested,
            "event.ingested": self.ingested,
            "organization.id": record.tenant,
            "event.kind": "event",
            "event.module": "syslog",
            "event.dataset": "syslog.generic",
            "event.original": text,
            "message": text,
            "host.name": peer_host(record.peer),
            "agent.type": record.collector,
            "log.source.address": record.peer,
        }

    def stamp(self, event: Event, claimed: str | None) -> None:
        """Set ``@timestamp`` to what the sender claims, if it is plausible, else to the time of receipt."""
        if claimed is None:
            event["@timestamp"] = self.ingested
        elif EARLIEST <= claimed <= self.latest:
            event["@timestamp"] = claimed
        else:
            event["@timestamp"] = self.ingested
            event["tags"] = [*event.get("tags", ()), "clock_skew"]
            event["labels"] = {**event.get("labels", {}), "claimed_time": claimed}


@lru_cache(maxsize=8)
def by_first(
    messages: tuple[MessageParser, ...],
) -> tuple[dict[str, tuple[MessageParser, ...]], tuple[MessageParser, ...]]:
    """The parsers to ask by a message's first character, and those to ask for any other; each in the order given."""
    characters = {character for parser in messages for character in parser.first}
    others = tuple(parser for parser in messages if not parser.first)
    return {
        character: tuple(parser for parser in messages if not parser.first or character in parser.first)
        for character in characters
    }, others


@lru_cache(maxsize=4096)
def peer_host(peer: str) -> str:
    """Give the address of ``address:port`` or ``[address]:port``, the host of ``host:/path``, else ``peer`` itself."""
    host, _, path = peer.partition(":/")
    if path:
        return host
    host, colon, port = peer.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else peer
