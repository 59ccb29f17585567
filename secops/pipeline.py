"""The sentence as code: collect -> normalise -> store -> match -> alert -> ticket -> evidence.

Each step takes what it works on as arguments; who runs it, and how often, is the roles' business (``secops.worker``).
Three commits make it safe to pull the plug anywhere: an event is durable before it is acknowledged; an alert is stored
with the matcher's cursor and the outbox row that announces it; a ticket is stored with the outbox row that it consumes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from secops import audit, lease, progress
from secops.alert import queries as alerts
from secops.alert.group import NO_CONTROLS, raise_alerts
from secops.alert.severity import ADDRESS_FIELDS, HOST_FIELDS
from secops.errors import UserError
from secops.evidence import bundle
from secops.match.detector import microseconds
from secops.match.overrides import Overrides, RuleException, read_exception
from secops.match.source import RuleError, document_at
from secops.normalise import normalise
from secops.records import EVENT_ID, HOST, INGESTED, KIND, PIPELINE_ERROR, TENANT, Event, EventId, Exhibit
from secops.rulebook import exceptions, stats, switches
from secops.store.index import Query
from secops.store.log import partition_of
from secops.store.sqlite import SqliteIndex
from secops.ticket import desk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from sqlalchemy.orm import Session

    from monitors.record import Record
    from secops.alert.controls import Controls
    from secops.db import Database
    from secops.evidence.bundle import Pack
    from secops.lease import Lease
    from secops.normalise.custom import CustomParser
    from secops.records import Alert, Match, RuleInfo, Ticket
    from secops.store.index import Index
    from secops.store.log import Log
    from secops.wiring import Service

DETECT = "detect"  # the matcher's name among the log's consumers
PACK_BUILT = "evidence.build"  # audited act; its detail links each pack to the one before
PAGE_EVENTS = 1000
WINDOW_EVENTS = 100_000
WINDOW_ALERTS = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def ingest(
    records: Sequence[Record],
    log: Log,
    zone: tzinfo,
    seen: Callable[[Sequence[Event]], None] | None = None,
    custom: Mapping[str, Sequence[CustomParser]] | None = None,
) -> tuple[int, int]:
    """Collect -> normalise -> store: durable when it returns.

    ``zone`` is that of times that name none; ``seen`` hears of the events once they are durable; ``custom`` are the
    tenants' own parsers. Gives how many events were
    stored and how many of them are quarantined.

    Raises:
        LogFull: nothing was stored.
    """
    events = normalise(records, zone=zone, custom=custom)
    batches: dict[int, list[Event]] = defaultdict(list)
    quarantined = 0
    for event in events:
        batches[partition_of(event[TENANT], event.get(HOST) or "", log.partitions)].append(event)
        quarantined += event[KIND] == PIPELINE_ERROR
    log.append(batches, positions_of(records))
    if seen is not None:
        seen(events)
    return len(events), quarantined


def positions_of(records: Sequence[Record]) -> dict[str, Any]:
    """Give the last position of each source among ``records``."""
    return dict(record.position for record in records if record.position is not None)


def index_next(log: Log, index: Index, partition: int, limit: int) -> int:
    """Store -> index: add the next events of ``partition``; the index keeps its own place. Gives how many."""
    events = log.read(partition, index.position(partition), limit)
    if events:
        index.add(partition, events)
    return len(events)


def index_drop(log: Log, index: Index) -> int:
    """Store -> index: forget what the log no longer has. Gives how many of the index's files went."""
    return index.drop({partition: log.first(partition) for partition in range(log.partitions)})


def index_compact(index: Index) -> bool:
    """Bring one finished file of the index into its smallest form; whether there was one. Takes some seconds.

    Elasticsearch merges by itself.
    """
    return index.compact() if isinstance(index, SqliteIndex) else False


class Passed(NamedTuple):
    """What some batches, or the mere passing of time, come to."""

    matches: Sequence[Match]
    changes: Mapping[str, bytes | None]  # of the detector's state
    tally: Mapping[tuple[str, str], stats.Tally]
    costs: Mapping[str, tuple[int, int]]  # rule id -> evaluations, CPU microseconds


def commit_detected(
    database: Database,
    passed: Passed,
    rules: Mapping[str, RuleInfo],
    *,
    now: datetime,
    cursors: Mapping[int, int],
    controls: Controls = NO_CONTROLS,
    held: Lease | None = None,
) -> None:
    """Match -> alert: alerts, the detector's state, the cursors (partition: next offset) and statistics in one commit.

    Raises:
        LeaseLost: detection is another machine's by now, and nothing was stored.
    """
    with database.begin() as tx:
        if held is not None:
            lease.keep(tx, held, now)
        if passed.matches:
            raise_alerts(tx, passed.matches, rules, now, controls)
        if passed.changes:
            progress.save_state(tx, DETECT, passed.changes)
        for partition, offset in cursors.items():
            progress.advance(tx, DETECT, partition, offset)
        if passed.tally:
            stats.add(tx, passed.tally, now)
        if passed.costs:
            stats.add_costs(tx, passed.costs)


def about(matches: Sequence[Match], events: Sequence[Event]) -> list[Match]:
    """Give the matches with the hosts and addresses of their last event: what is decided about an alert looks at them."""
    wanted = {match.event_ids[-1] for match in matches if match.event_ids}
    by_id = {event[EVENT_ID]: event for event in events if event[EVENT_ID] in wanted}
    found = []
    for match in matches:
        event = by_id.get(match.event_ids[-1], {}) if match.event_ids else {}
        known = {name: event[name] for name in (*HOST_FIELDS, *ADDRESS_FIELDS) if event.get(name)}
        found.append(replace(match, about=known) if known else match)
    return found


class Lag(NamedTuple):
    """How far the matcher is behind the log."""

    events: int
    seconds: float  # since the oldest unmatched event was received


def lag(log: Log, offsets: Mapping[int, int], now: datetime) -> Lag:
    """Compare the log with the matcher's next ``offsets``; needs nothing of the matcher, which may hang."""
    behind = {partition: n for partition, offset in offsets.items() if (n := log.end(partition) - offset) > 0}
    waited = 0.0
    for partition in behind:
        for event in log.read(partition, offsets[partition], 1):
            received = microseconds(event.get(INGESTED))
            waited = max(waited, 0 if received is None else ((now - _EPOCH) // _MICROSECOND - received) / 1e6)
    return Lag(sum(behind.values()), waited)


def detect_offsets(tx: Session, partitions: int) -> dict[int, int]:
    """The matcher's next offset in every partition, as last committed."""
    return {partition: progress.cursor(tx, DETECT, partition) for partition in range(partitions)}


def overrides(tx: Session, now: datetime) -> tuple[Overrides, list[tuple[int, RuleError]]]:
    """Rulebook -> match: what people have switched off and excepted, and the exceptions that can no longer be read."""
    listed: dict[str, list[RuleException]] = defaultdict(list)
    unreadable = []
    for each in exceptions.active(tx, now):
        try:
            expression = read_exception(each.condition)
        except RuleError as error:
            unreadable.append((each.id, error))
            continue
        expires = None if each.expires_at is None else (each.expires_at - _EPOCH) // _MICROSECOND
        listed[each.rule_id].append(RuleException(each.id, each.tenant, expression, expires))
    by_rule = {rule_id: tuple(found) for rule_id, found in listed.items()}
    return Overrides(switches.off(tx), by_rule), unreadable


def events_exhibit(tenant: str, events: Sequence[Event]) -> Exhibit:
    """Give the events of a case as one file of JSON lines, in the order given."""
    lines = [orjson.dumps(event, option=orjson.OPT_SORT_KEYS) for event in events]
    return Exhibit(
        tenant=tenant, path="events/events.jsonl", media_type="application/jsonl", content=b"\n".join([*lines, b""])
    )


def case_exhibits(
    service: Service,
    *,
    tenants: frozenset[str] | None,
    alert_id: int | None = None,
    ticket_id: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> tuple[list[Exhibit], dict[str, Any], tuple[datetime, datetime]]:
    """Alert -> ticket -> evidence: gather what the stages have on one alert, one ticket, or a span of time.

    ``tenants`` limits what may go in (None: all). Gives the exhibits, the scope for the manifest, and the window.

    Raises:
        UserError: nothing was asked for, it is unknown or another tenant's, or the span holds more than one pack takes.
    """
    with service.database.read() as tx:
        if ticket_id is not None and alert_id is None:
            alert_id = desk.get(tx, ticket_id, tenants=tenants).alert_id
        if alert_id is not None:
            return _alert_case(service, tx, alerts.get(tx, alert_id, tenants=tenants))
        if ticket_id is not None:
            return _ticket_case(service, tx, desk.get(tx, ticket_id, tenants=tenants))
        if start is not None and end is not None:
            return _window_case(service, tx, tenants, start, end)
    raise UserError(
        "evidence.case",
        "请指明告警、工单，或起止时间（--alert、--ticket、--from 与 --to）。",
        "Name an alert, a ticket, or a span of time (--alert, --ticket, --from with --to).",
    )


def build_pack(
    service: Service,
    *,
    out: Path,
    actor: str,
    tenants: frozenset[str] | None,
    source_ip: str = "",
    progress_to: Callable[[int, str], None] | None = None,
    **case: Any,  # noqa: ANN401 - the case's arguments, checked by case_exhibits
) -> Pack:
    """Build the pack of a case, sealed by the authority, linked to the pack before it, and audited."""
    exhibits, scope, window = case_exhibits(service, tenants=tenants, **case)
    now = service.clock()
    pack = bundle.build(
        exhibits,
        scope=scope,
        window=window,
        sign=lambda data: service.authority.sign_manifest(data, now),
        now=now,
        out=out,
        roots=[service.authority.root_fingerprint()],
        previous=_previous_pack(service),
        progress=progress_to,
    )
    with service.database.begin() as tx:
        audit.record(
            tx,
            at=now,
            actor=actor,
            action=PACK_BUILT,
            target=out.name,
            tenant=str(scope["tenant"]),
            source_ip=source_ip,
            detail={"manifest_sha256": pack.manifest_sha256, "files": pack.files, "scope": scope},
        )
    return pack


def _alert_case(
    service: Service, tx: Session, alert: Alert
) -> tuple[list[Exhibit], dict[str, Any], tuple[datetime, datetime]]:
    exhibits = alerts.exhibits(tx, alert.id)
    targets = [f"alert:{alert.id}"]
    scope: dict[str, Any] = {"tenant": alert.tenant, "alert": alert.id, "rule": alert.rule_id}
    if (ticket := desk.for_alert(tx, alert.id)) is not None:
        exhibits += desk.exhibits(tx, ticket.id, calendar=service.calendar, now=service.clock())
        targets.append(f"ticket:{ticket.id}")
        scope["ticket"] = ticket.id
    events = service.log.get([EventId.parse(text) for text in alert.event_ids])
    exhibits.append(events_exhibit(alert.tenant, events))
    exhibits.append(_audit_exhibit(tx, alert.tenant, targets))
    if (rule := _rule_exhibit(service, alert)) is not None:
        exhibits.append(rule)
    return exhibits, scope, (alert.first_seen, max(alert.last_seen, service.clock()))


def _ticket_case(
    service: Service, tx: Session, ticket: Ticket
) -> tuple[list[Exhibit], dict[str, Any], tuple[datetime, datetime]]:
    exhibits = desk.exhibits(tx, ticket.id, calendar=service.calendar, now=service.clock())
    exhibits.append(_audit_exhibit(tx, ticket.tenant, [f"ticket:{ticket.id}"]))
    return exhibits, {"tenant": ticket.tenant, "ticket": ticket.id}, (ticket.opened_at, service.clock())


def _window_case(
    service: Service, tx: Session, tenants: frozenset[str] | None, start: datetime, end: datetime
) -> tuple[list[Exhibit], dict[str, Any], tuple[datetime, datetime]]:
    scope = {"tenant": "city" if tenants is None else ",".join(sorted(tenants))}
    events = _window_events(service, tenants, start, end)
    exhibits = [events_exhibit(scope["tenant"], events)]
    for alert in alerts.overlapping(tx, tenants=tenants, start=start, end=end, limit=WINDOW_ALERTS):
        exhibits += alerts.exhibits(tx, alert.id)
        if (ticket := desk.for_alert(tx, alert.id)) is not None:
            exhibits += desk.exhibits(tx, ticket.id, calendar=service.calendar, now=service.clock())
    return exhibits, scope, (start, end)


def _window_events(service: Service, tenants: frozenset[str] | None, start: datetime, end: datetime) -> list[Event]:
    events: list[Event] = []
    before: str | None = None
    while True:
        page = service.index.search(Query(tenants=tenants, start=start, end=end, limit=PAGE_EVENTS, before=before))
        events += page.hits
        if len(events) > WINDOW_EVENTS:
            raise UserError(
                "evidence.large",
                f"该时间段超过 {WINDOW_EVENTS} 条日志，请缩短时间段分多个证据包导出。",
                f"The span holds more than {WINDOW_EVENTS} events; build several packs of shorter spans.",
            )
        if page.next is None:
            return events[::-1]
        before = page.next


def _audit_exhibit(tx: Session, tenant: str, targets: list[str]) -> Exhibit:
    rows = [{**audit.as_dict(row), "previous": row.previous, "hash": row.hash} for row in audit.about(tx, targets)]
    content = orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    return Exhibit(tenant=tenant, path="records/audit.json", media_type="application/json", content=content)


def _rule_exhibit(service: Service, alert: Alert) -> Exhibit | None:
    """Give the rule as its file holds it now; none for rules of the service's own code.

    A file in which other tenants have rules of their own is not given whole.
    """
    rules = service.rules.rules
    rule = next((one for one in rules if one.id == alert.rule_id), None)
    if rule is None or not (path := Path(rule.file)).is_file():
        return None
    content = path.read_bytes()
    if any(one.tenants and alert.tenant not in one.tenants for one in rules if one.file == rule.file):
        content = f"{document_at(content.decode('utf-8', 'replace'), rule.line)}\n".encode()
    return Exhibit(tenant=alert.tenant, path=f"rules/{path.name}", media_type="application/yaml", content=content)


def _previous_pack(service: Service) -> str:
    with service.database.read() as tx:
        row = audit.last(tx, PACK_BUILT)
    return str(row.detail.get("manifest_sha256", "")) if row is not None else ""
