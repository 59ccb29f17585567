"""Tickets as lists show them: with their clock, and only those that are the visitor's to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from identity.principal import Role
from secops.ticket import desk

if TYPE_CHECKING:
    from secops.console.visit import Visit
    from secops.records import Ticket, TicketState
    from secops.ticket.clock import Clock


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket and how its clock stands now."""

    ticket: Ticket
    clock: Clock


def visible_tickets(
    visit: Visit, *, state: TicketState | None = None, limit: int = 50, before: int | None = None
) -> list[Row]:
    """Tickets of the visitor's tenants; for a contractor those assigned to his organisation, whoever's they are."""
    tenants, assignee = visit.visible_tenants(), ""
    if Role.CONTRACTOR in visit.principal.roles:
        tenants, assignee = None, visit.principal.organization_id
    with visit.service.database.read() as tx:
        found = desk.find(tx, tenants=tenants, state=state, assignee=assignee, limit=limit, before=before)
    return [Row(ticket, desk.clock(ticket, visit.service.calendar, visit.now)) for ticket in found]
