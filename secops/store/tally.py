"""What a segment holds of each tenant: written into its seal, so that retention and statistics need not read it again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.records import TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMED: Final = re.compile(b'"' + re.escape(TENANT.encode()) + rb'":"((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Share:
    """One tenant's part: events, bytes of their JSON lines, when the first and the last of them were written."""

    events: int = 0
    raw: int = 0
    since: str = ""  # RFC 3339, UTC, as frames say it: comparable as text
    until: str = ""

    def add(self, events: int, raw: int, since: str, until: str) -> None:
        """Count more of the same tenant."""
        self.events += events
        self.raw += raw
        self.since = min(self.since, since) if self.since else since
        self.until = max(self.until, until)

    def as_list(self) -> list[Any]:
        """The form in a seal."""
        return [self.events, self.raw, self.since, self.until]


@dataclass(slots=True)
class Tally:
    """Shares by tenant."""

    shares: dict[str, Share] = field(default_factory=dict)

    def count(self, lines: Sequence[bytes], written: str) -> None:
        """Count the events of one frame, written at ``written``."""
        events: dict[bytes | str, int] = {}
        raw: dict[bytes | str, int] = {}
        for line in lines:
            key = _key(line)
            events[key] = events.get(key, 0) + 1
            raw[key] = raw.get(key, 0) + len(line) + 1
        for key, number in events.items():
            tenant = key if isinstance(key, str) else orjson.loads(b'"' + key + b'"')
            self.add(tenant, number, raw[key], written, written)

    def add(self, tenant: str, events: int, raw: int, since: str, until: str) -> None:
        """Count events of a tenant."""
        self.shares.setdefault(tenant, Share()).add(events, raw, since, until)

    def add_all(self, tenants: Mapping[str, Sequence[Any]]) -> None:
        """Count what a seal says."""
        for tenant, (events, raw, since, until) in tenants.items():
            self.add(tenant, events, raw, since, until)

    @property
    def events(self) -> int:
        """Events of all tenants."""
        return sum(share.events for share in self.shares.values())

    @property
    def raw(self) -> int:
        """Bytes of all tenants' JSON lines."""
        return sum(share.raw for share in self.shares.values())

    def span(self) -> tuple[str, str]:
        """When the first and the last event were written; empty texts when there are none."""
        shares = self.shares.values()
        return min((s.since for s in shares), default=""), max((s.until for s in shares), default="")

    def as_dict(self) -> dict[str, list[Any]]:
        """The form in a seal."""
        return {tenant: share.as_list() for tenant, share in sorted(self.shares.items())}


def tenant_of(line: bytes) -> str:
    """The tenant of a stored event; empty when it has none."""
    key = _key(line)
    return key if isinstance(key, str) else str(orjson.loads(b'"' + key + b'"'))


def _key(line: bytes) -> bytes | str:
    """The tenant's JSON text where one look finds it; else parsed.

    A quote inside a string is escaped, so what is found is a key; before the first brace it is the event's own.
    """
    found = NAMED.search(line)
    if found is not None and line.find(b"{", 1, found.start()) < 0:
        return found[1]
    tenant = orjson.loads(line).get(TENANT)
    return tenant if isinstance(tenant, str) else ""
