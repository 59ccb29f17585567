from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

FORMATS = frozenset({"syslog", "json", "line", "journal", "audit", "probe", "upload"})
"""What ``Record.format`` may say; the parser is chosen by it."""

ERRORS = frozenset({"oversized", "undecodable", "truncated", "malformed", "too_deep"})
"""What ``Record.error`` may say; the same words are an event's ``error.type``."""


class Record(NamedTuple):
    """One message as it came in, before anything was understood of it.

    ``raw`` of an oversized message is its beginning, as far as it was kept.
    """

    raw: bytes
    received: datetime  # aware, UTC
    collector: str  # kind of the collector or probe, e.g. syslog
    peer: str  # who sent it: "192.0.2.7:51422", a file's path, a unit; "" when nobody did
    tenant: str  # organisation whose message it is
    format: str  # one of FORMATS
    position: tuple[str, Any] | None = None  # (source, JSON value) from which the source resumes after this record
    error: str = ""  # one of ERRORS when the collector already knows that the message is not whole


class SinkFull(Exception):  # noqa: N818 - a state of the disk that callers answer, named as people say it
    """The disk has no room: nothing was taken; the sender keeps the records and tries again later."""


class Sink(Protocol):
    """Where collectors put records: the ingest role, in tests a list."""

    async def submit(self, records: Sequence[Record]) -> None:
        """Return when ``records`` and their positions are durable.

        Raises:
            SinkFull: the disk is full; none of the records was taken.
        """

    def offer(self, records: Sequence[Record]) -> bool:
        """Queue ``records`` without waiting; ``False`` when they were not taken, which the caller counts."""
        ...
