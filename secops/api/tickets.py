"""``/api/v1/tickets``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from identity.principal import Permission, Role
from secops.api.access import Caller, require
from secops.api.problems import NotFound
from secops.records import TicketState
from secops.ticket import desk

if TYPE_CHECKING:
    from secops.records import Ticket

_MOST_ID = 2**62


def tickets(
    caller: Annotated[Caller, require(Permission.TICKETS_READ)],
    state: TicketState | None = None,
    service: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        int | None, Query(ge=1, le=_MOST_ID, description="id of the last ticket of the page before")
    ] = None,
) -> dict[str, Any]:
    """List tickets, newest first; a contractor's are those assigned to him."""
    contractor = Role.CONTRACTOR in caller.principal.roles
    with caller.service.database.read() as tx:
        found = desk.find(
            tx,
            tenants=None if contractor else caller.visible_tenants(),
            assignee=caller.principal.organization_id if contractor else "",
            state=state,
            service=service,
            limit=limit,
            before=before,
        )
    return {"tickets": [_shown(caller, one) for one in found], "next": found[-1].id if len(found) == limit else None}


def ticket(ticket_id: int, caller: Annotated[Caller, require(Permission.TICKETS_READ)]) -> dict[str, Any]:
    """Give one ticket with its clock."""
    contractor = Role.CONTRACTOR in caller.principal.roles
    with caller.service.database.read() as tx:
        found = desk.get(tx, min(max(ticket_id, 0), _MOST_ID), tenants=None if contractor else caller.visible_tenants())
    if contractor and found.assignee != caller.principal.organization_id:
        raise NotFound
    return _shown(caller, found)


def _shown(caller: Caller, one: Ticket) -> dict[str, Any]:
    return asdict(one) | {"clock": desk.clock(one, caller.service.calendar, caller.now).to_data()}


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["tickets"])
    made.add_api_route("/tickets", tickets, methods=["GET"])
    made.add_api_route("/tickets/{ticket_id}", ticket, methods=["GET"])
    return made
