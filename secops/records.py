"""The shapes that travel along the sentence collect -> normalise -> store -> match -> alert -> ticket -> evidence.

An event is a flat ``dict`` whose keys are dotted ECS field names (Elastic Common Schema 8), because hot paths work on
lists of plain dicts. Everything after the match is a frozen dataclass. Every shape names its tenant.
``docs/data-model.md`` documents each field once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Event: TypeAlias = dict[str, Any]
"""A flat mapping of ECS field name to value; see the constants below for the fields every event has."""

# Fields that every stored event has.
TIMESTAMP: Final = "@timestamp"  # when it happened: RFC 3339, UTC, microseconds, "Z"
INGESTED: Final = "event.ingested"  # when we received it, same form
EVENT_ID: Final = "event.id"  # "<partition>-<offset>", set by the log when it is read
TENANT: Final = "organization.id"  # whose event it is
KIND: Final = "event.kind"  # event | metric | pipeline_error
MODULE: Final = "event.module"  # family of the parser: linux, windows, nginx, secops, json, syslog
DATASET: Final = "event.dataset"  # parser: linux.sshd, windows.security, nginx.access, secops.audit, ...
RAW: Final = "event.original"  # the message as it came, decoded
MESSAGE: Final = "message"
HOST: Final = "host.name"
ORIGINAL: Final = "original"  # nested dict: the original fields of structured formats, flattened to dotted keys

PIPELINE_ERROR: Final = "pipeline_error"  # event.kind of a quarantined message


class EventId(NamedTuple):
    """Where an event lies in the log; its text form ``partition-offset`` is ``event.id``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Read ``partition-offset``.

        Raises:
            ValueError: the text is not two decimal numbers joined by a hyphen.
        """
        partition, hyphen, offset = text.partition("-")
        if not (hyphen and partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
            raise ValueError(f"event id {text[:40]!r} is not <partition>-<offset>; copy it from the event's page")
        return cls(int(partition), int(offset))


class Level(StrEnum):
    """Sigma's rule levels, in rising order."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for informational to 4 for critical."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """What the stages after the match need to know of a rule, whatever its format."""

    id: str
    title: str
    level: Level
    title_zh: str = ""
    description: str = ""
    description_zh: str = ""
    tags: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()  # GB/T 22239 items it serves, e.g. 8.1.4.1-b
    owner: str = ""
    runbook: str = ""  # path below runbooks/, e.g. ssh-brute-force.md
    service: str = ""  # catalogue entry that works the ticket; empty: the ticket policy decides
    window: timedelta = timedelta(hours=1)  # matches of one fingerprint within it join one alert
    group_by: tuple[str, ...] = ()  # fields of the fingerprint beside rule and tenant
    alert: bool = True  # False for a rule that only feeds a correlation
    tenants: tuple[str, ...] = ()  # those it runs for; empty: all
    source: str = ""  # file the rule was read from


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A rule hit: one event, or the events that a correlation counted."""

    tenant: str
    rule_id: str
    at: datetime  # the (last) event's @timestamp
    event_ids: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)  # field -> value that matched
    group: tuple[tuple[str, str], ...] = ()  # what the alert is grouped by: ((field, value), ...)
    count: int = 1  # events behind the hit; may exceed len(event_ids)
    about: Mapping[str, Any] = field(default_factory=dict)  # host names and addresses of the event, matched or not


class AlertStatus(StrEnum):
    """What has been done about an alert."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Matches of one rule with one fingerprint, gathered within the rule's window."""

    id: int
    tenant: str
    rule_id: str
    title: str
    level: Level
    status: AlertStatus
    fingerprint: str
    first_seen: datetime
    last_seen: datetime
    created_at: datetime
    count: int
    group: Mapping[str, str]
    event_ids: tuple[str, ...]  # the first hundred
    tags: tuple[str, ...] = ()  # Sigma tags, e.g. attack.t1110
    clauses: tuple[str, ...] = ()  # GB/T 22239 items served, e.g. 8.1.5.4-f
    runbook: str = ""
    resolution: str = ""  # why it was closed
    disposition: str = ""  # what it turned out to be, once closed: true_positive, false_positive, ...
    title_zh: str = ""
    service: str = ""  # catalogue entry the rule asks for; empty: the ticket policy decides
    severity: Level | None = None  # the level, raised by asset and tenant; None: nobody weighed it, the level counts
    severity_reasons: tuple[Mapping[str, str], ...] = ()  # {"zh", "en"}, in the order of the steps
    hosts: tuple[str, ...] = ()  # hosts behind the first match
    fields: Mapping[str, str] = field(default_factory=dict)  # field -> value that made the first match
    muted_kind: str = ""  # silence, maintenance, inhibition; empty: not muted
    muted_by: str = ""  # which: silence:3, maintenance:5, inhibition:<name>
    muted_zh: str = ""
    muted_en: str = ""
    announced_at: datetime | None = None  # when tickets and people were told; None while muted
    closed_at: datetime | None = None
    storm: bool = False  # stands for many alerts of one rule that came faster than anybody could read


class TicketState(StrEnum):
    """A ticket's life: new -> assigned -> in_progress <-> pending -> resolved -> closed."""

    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    PENDING = "pending"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEvent:
    """One thing that happened to a ticket; the SLA clock is a pure function of these."""

    at: datetime
    kind: str  # opened, assigned, answered, on_site, paused, resumed, priority, comment, reported, resolved, reopened, closed
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Work for a contractor under a purchased service."""

    id: int
    tenant: str
    title: str
    service: str  # catalogue entry
    priority: int  # 1 (一级) to 4 (四级)
    state: TicketState
    assignee: str  # contractor organisation, "" when nobody has it
    opened_at: datetime
    alert_id: int | None = None
    events: tuple[TicketEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a check or probe saw: the four dates of an observation differ and stay apart."""

    tenant: str
    subject: str  # the object looked at, e.g. tls://127.0.0.1:8443
    check: str  # the probe or check kind
    outcome: str  # pass, fail, unknown: no data is never a pass
    observed_from: datetime
    observed_to: datetime
    collected_at: datetime
    received_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A file that a stage offers to an evidence pack."""

    tenant: str
    path: str  # inside the pack: relative, forward slashes, no ".."
    media_type: str
    content: bytes
