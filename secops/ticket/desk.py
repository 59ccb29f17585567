"""The service desk: tickets are opened, worked and closed here; every act is an event, and audited."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from secops import audit
from secops.errors import UserError
from secops.records import Exhibit, Ticket, TicketEvent, TicketState
from secops.ticket import forms
from secops.ticket.clock import Clock, evaluate
from secops.ticket.states import ACTIONS, step
from secops.ticket.tables import TicketEventRow, TicketRow
from secops.ticket.targets import PRIORITIES, ResponseTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from secops.records import Alert
    from secops.ticket.calendar import Calendar
    from secops.ticket.policy import Policy
    from secops.ticket.services import Catalogue, ServiceEntry

MOST: Final = 500  # rows of one page
SERVICE: Final = "secops.ticket"  # the actor when the service itself acts
_TITLE: Final = 500
_FINISHED: Final = (TicketState.RESOLVED.value, TicketState.CLOSED.value)


def open_for_alert(tx: Session, alert: Alert, policy: Policy, now: datetime) -> Ticket | None:
    """Open the alert's ticket as the policy says and give it; the same ticket when there is one already.

    None when the policy opens none. Two workers at once still open one ticket: the alert's id is unique.
    """
    if (present := for_alert(tx, alert.id)) is not None:
        return present
    decision = policy.decide(alert)
    if decision is None:
        return None
    entry = policy.catalogue.get(decision.service)
    row = _row(alert.tenant, alert.title_zh or alert.title, entry, decision.priority, now)
    row.alert_id = alert.id
    said = {"alert_id": alert.id, "rule_id": alert.rule_id, "policy_rule": decision.rule}
    if decision.duties:
        said["discovered_at"] = alert.created_at.isoformat()
    table = replace(entry.response, duties=decision.duties)
    try:
        with tx.begin_nested():
            _open(tx, row, entry, table, said, actor=SERVICE, now=now)
    except IntegrityError:
        return for_alert(tx, alert.id)
    return _record(tx, row)


def open_manual(
    tx: Session,
    catalogue: Catalogue,
    *,
    tenant: str,
    title: str,
    service: str,
    priority: int,
    actor: str,
    now: datetime,
    description: str = "",
    source_ip: str = "",
) -> Ticket:
    """Open a ticket by hand.

    Raises:
        UserError: ``service.unknown``, ``ticket.data``.
    """
    entry = catalogue.get(service)
    named = forms.text(title, _TITLE)
    if not named:
        raise UserError("ticket.data", "须填写标题", "a ticket needs a title")
    if priority not in PRIORITIES:
        raise UserError("ticket.data", "优先级为 1 到 4", "a priority is 1 to 4")
    row = _row(tenant, named, entry, priority, now)
    said = {"description": forms.text(description)}
    _open(tx, row, entry, entry.response, said, actor=actor, now=now, source_ip=source_ip)
    return _record(tx, row)


def act(
    tx: Session,
    ticket_id: int,
    kind: str,
    *,
    actor: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> Ticket:
    """Do one action (see ``states.ACTIONS``) and give the ticket after it.

    ``data`` by action: assign {assignee}, comment {text}, pause {reason, evidence, until (RFC 3339)}, priority
    {priority, reason}, report {duty, reference}, resolve {resolution}, reopen {reason, cause: not_fixed|recurred},
    close {reason}; answer, on_site and resume take an optional {text}.

    Raises:
        UserError: ``ticket.unknown``, ``ticket.state`` (not now, with the reason), ``ticket.data`` (what is missing).
    """
    row = _find_row(tx, ticket_id, tenants, lock=True)
    events = _events(tx, [row.id])[row.id]
    decision = step(TicketState(row.state), kind)
    if not decision.allowed:
        raise UserError("ticket.state", decision.zh, decision.en)
    now = max(now, events[-1].at)  # a clock that was set back must not put an act before the one it follows
    clean = forms.check(kind, data or {}, priority=row.priority, table=promises(events), now=now)
    row.state = decision.state.value
    row.assignee = clean["assignee"] if kind == "assign" else row.assignee
    row.priority = clean["priority"] if kind == "priority" else row.priority
    _add(tx, row, ACTIONS[kind].event, clean, actor=actor, now=now)
    _audit(tx, row, kind, clean, actor=actor, now=now, source_ip=source_ip)
    return _record(tx, row)


def get(tx: Session, ticket_id: int, *, tenants: frozenset[str] | None = None) -> Ticket:
    """Give one ticket with its events; ``tenants`` None sees all.

    Raises:
        UserError: ``ticket.unknown``, also when it belongs to a tenant that is not among ``tenants``.
    """
    return _record(tx, _find_row(tx, ticket_id, tenants))


def find(
    tx: Session,
    *,
    tenants: frozenset[str] | None = None,
    state: TicketState | None = None,
    unfinished: bool = False,
    service: str = "",
    assignee: str = "",
    limit: int = 50,
    before: int | None = None,
) -> list[Ticket]:
    """Give tickets with their events, newest first; the next page starts ``before`` the last one's id.

    ``unfinished`` leaves out what is resolved or closed.
    """
    query = _seen_by(sa.select(TicketRow), tenants).order_by(TicketRow.id.desc()).limit(max(1, min(limit, MOST)))
    if state is not None:
        query = query.where(TicketRow.state == state.value)
    if unfinished:
        query = query.where(TicketRow.state.not_in(_FINISHED))
    if service:
        query = query.where(TicketRow.service == service)
    if assignee:
        query = query.where(TicketRow.assignee == assignee)
    if before is not None:
        query = query.where(TicketRow.id < before)
    rows = tx.scalars(query).all()
    events = _events(tx, [row.id for row in rows])
    return [_ticket(row, events[row.id]) for row in rows]


def counts(tx: Session, *, tenants: frozenset[str] | None = None) -> dict[tuple[TicketState, int], int]:
    """Count tickets by state and priority; pairs without tickets are absent."""
    columns = (TicketRow.state, TicketRow.priority, sa.func.count())
    query = _seen_by(sa.select(*columns), tenants).group_by(TicketRow.state, TicketRow.priority)
    return {(TicketState(state), priority): number for state, priority, number in tx.execute(query)}


def for_alert(tx: Session, alert_id: int) -> Ticket | None:
    """Give the alert's ticket; None when it has none."""
    row = tx.scalar(sa.select(TicketRow).where(TicketRow.alert_id == alert_id))
    return _record(tx, row) if row is not None else None


def promises(events: Sequence[TicketEvent]) -> ResponseTable:
    """Give the targets a ticket was opened under; a later change of the catalogue does not touch them."""
    return ResponseTable.from_data(events[0].data["response"])


def clock(ticket: Ticket, calendar: Calendar, now: datetime) -> Clock:
    """Evaluate the ticket's clock with the targets it was opened under."""
    return evaluate(ticket.events, promises(ticket.events), calendar, now)


def exhibits(tx: Session, ticket_id: int, *, calendar: Calendar, now: datetime) -> list[Exhibit]:
    """Give the ticket, its events and its clock's full working as files for an evidence pack.

    Raises:
        UserError: ``ticket.unknown``.
    """
    ticket = get(tx, ticket_id)
    plain = {name: getattr(ticket, name) for name in _PLAIN} | {"state": ticket.state.value}
    events = [{"at": e.at, "kind": e.kind, "actor": e.actor, "data": e.data} for e in ticket.events]
    files = {"ticket.json": plain, "events.json": events, "clock.json": clock(ticket, calendar, now).to_data()}
    return [_exhibit(ticket, name, content) for name, content in files.items()]


_PLAIN: Final = ("id", "tenant", "title", "service", "priority", "assignee", "opened_at", "alert_id")


def _exhibit(ticket: Ticket, name: str, content: object) -> Exhibit:
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)
    return Exhibit(
        tenant=ticket.tenant, path=f"tickets/{ticket.id}/{name}", media_type="application/json", content=body
    )


def _row(tenant: str, title: str, entry: ServiceEntry, priority: int, now: datetime) -> TicketRow:
    return TicketRow(
        tenant=tenant,
        title=title[:_TITLE],
        service=entry.id,
        priority=priority,
        state=TicketState.NEW.value,
        assignee="",
        opened_at=now,
    )


def _open(
    tx: Session,
    row: TicketRow,
    entry: ServiceEntry,
    table: ResponseTable,
    said: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    source_ip: str = "",
) -> None:
    """Store a new ticket with its promises, and hand it to the service's provider when there is one."""
    tx.add(row)
    tx.flush()
    opened = {**said, "service": row.service, "priority": row.priority, "response": table.to_data()}
    _add(tx, row, "opened", opened, actor=actor, now=now)
    _audit(
        tx, row, "open", {"service": row.service, "priority": row.priority}, actor=actor, now=now, source_ip=source_ip
    )
    if entry.provider:
        row.assignee = entry.provider
        row.state = TicketState.ASSIGNED.value
        _add(tx, row, "assigned", {"assignee": entry.provider, "reason": "catalogue"}, actor=SERVICE, now=now)


def _add(tx: Session, row: TicketRow, kind: str, data: Mapping[str, Any], *, actor: str, now: datetime) -> None:
    tx.add(TicketEventRow(ticket_id=row.id, at=now, kind=kind, actor=actor[:200], data=dict(data)))
    tx.flush()


def _audit(
    tx: Session, row: TicketRow, verb: str, data: Mapping[str, Any], *, actor: str, now: datetime, source_ip: str
) -> None:
    audit.record(
        tx,
        at=now,
        actor=actor,
        action=f"ticket.{verb}",
        target=f"ticket:{row.id}",
        tenant=row.tenant,
        reason=str(data.get("reason", "")),
        source_ip=source_ip,
        detail={name: value for name, value in data.items() if name != "text"},
    )


def _seen_by(query: Any, tenants: frozenset[str] | None) -> Any:  # noqa: ANN401 - sa.Select of whatever columns
    return query if tenants is None else query.where(TicketRow.tenant.in_(sorted(tenants)))


def _find_row(tx: Session, ticket_id: int, tenants: frozenset[str] | None, *, lock: bool = False) -> TicketRow:
    query = _seen_by(sa.select(TicketRow).where(TicketRow.id == ticket_id), tenants)
    row: TicketRow | None = tx.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise UserError(
            "ticket.unknown",
            f"没有编号为 {ticket_id} 的工单，或无权查看",
            f"there is no ticket {ticket_id} that you may see",
        )
    return row


def _events(tx: Session, ticket_ids: Iterable[int]) -> dict[int, tuple[TicketEvent, ...]]:
    """Give the events of several tickets with one query."""
    found: dict[int, list[TicketEvent]] = {ticket_id: [] for ticket_id in ticket_ids}
    query = sa.select(TicketEventRow).where(TicketEventRow.ticket_id.in_(list(found))).order_by(TicketEventRow.id)
    for row in tx.scalars(query):
        found[row.ticket_id].append(TicketEvent(at=row.at, kind=row.kind, actor=row.actor, data=row.data))
    return {ticket_id: tuple(events) for ticket_id, events in found.items()}


def _record(tx: Session, row: TicketRow) -> Ticket:
    return _ticket(row, _events(tx, [row.id])[row.id])


def _ticket(row: TicketRow, events: tuple[TicketEvent, ...]) -> Ticket:
    return Ticket(
        id=row.id,
        tenant=row.tenant,
        title=row.title,
        service=row.service,
        priority=row.priority,
        state=TicketState(row.state),
        assignee=row.assignee,
        opened_at=row.opened_at,
        alert_id=row.alert_id,
        events=events,
    )
