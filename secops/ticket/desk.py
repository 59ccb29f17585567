"""The service desk: tickets are opened, worked and closed here; every act is an event, and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from secops.records import Alert, Exhibit, Ticket, TicketState
    from secops.ticket.calendar import Calendar
    from secops.ticket.clock import Clock
    from secops.ticket.policy import Policy
    from secops.ticket.services import Catalogue


def open_for_alert(tx: Session, alert: Alert, policy: Policy, now: datetime) -> Ticket | None:
    """Open the alert's ticket as the policy says and give it; the same ticket when it is open already.

    None when the policy opens none.
    """
    raise NotImplementedError


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
    raise NotImplementedError


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
    raise NotImplementedError


def get(tx: Session, ticket_id: int, *, tenants: frozenset[str] | None = None) -> Ticket:
    """Give one ticket with its events; ``tenants`` None sees all.

    Raises:
        UserError: ``ticket.unknown``.
    """
    raise NotImplementedError


def find(
    tx: Session,
    *,
    tenants: frozenset[str] | None = None,
    state: TicketState | None = None,
    service: str = "",
    assignee: str = "",
    limit: int = 50,
    before: int | None = None,
) -> list[Ticket]:
    """Give tickets with their events, newest first; the next page starts ``before`` the last one's id."""
    raise NotImplementedError


def for_alert(tx: Session, alert_id: int) -> Ticket | None:
    """Give the alert's ticket."""
    raise NotImplementedError


def clock(ticket: Ticket, calendar: Calendar, now: datetime) -> Clock:
    """Evaluate the ticket's clock with the targets it was opened under."""
    raise NotImplementedError


def exhibits(tx: Session, ticket_id: int, *, calendar: Calendar, now: datetime) -> list[Exhibit]:
    """Give the ticket, its events and its clock's full working as files for an evidence pack.

    Raises:
        UserError: ``ticket.unknown``.
    """
    raise NotImplementedError
