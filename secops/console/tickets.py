"""Tickets: the list with due times, one with its clock and history, and every act that its state allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from identity.principal import Permission, Role
from identity.provider import OrganizationKind
from secops.alert import queries
from secops.api.problems import Forbidden, NotFound
from secops.console.moments import moment
from secops.console.runbooks import runbook
from secops.console.ticket_list import visible_tickets
from secops.console.visit import MAX_DIGITS, Page, Routes, member
from secops.errors import UserError
from secops.records import TicketState
from secops.ticket import desk
from secops.ticket.states import ACTIONS, allowed

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.records import Ticket

PAGE: Final = 50
WORK: Final = frozenset({"answer", "on_site", "pause", "resume", "resolve", "comment"})
ASSIGN: Final = frozenset({"assign", "priority", "report", "reopen", "close", "comment"})


def listing(visit: Visit) -> Response:
    """Tickets, newest first, with what is due next."""
    state = member(TicketState, visit.query("state"))
    before = visit.query("before")
    position = int(before) if before.isascii() and before.isdigit() and len(before) <= MAX_DIGITS else None
    rows = visible_tickets(visit, state=state, limit=PAGE + 1, before=position)
    return visit.page(
        "tickets.html",
        rows=rows[:PAGE],
        state=state,
        more=rows[PAGE - 1].ticket.id if len(rows) > PAGE else None,
        first=position is None,
        services=visit.service.catalogue.services.values(),
        names=organisation_names(visit),
        states=TicketState,
    )


def detail(visit: Visit) -> Response:
    """One ticket: clock, what can be done now, history."""
    ticket = _ticket(visit)
    clock = desk.clock(ticket, visit.service.calendar, visit.now)
    with visit.service.database.read() as tx:
        guide = queries.get(tx, ticket.alert_id).runbook if ticket.alert_id else ""
    contractors = [one for one in visit.service.identity.organizations() if one.kind is OrganizationKind.CONTRACTOR]
    return visit.page(
        "ticket.html",
        ticket=ticket,
        clock=clock,
        actions=[name for name in allowed(ticket.state) if name in _permitted(visit, ticket)],
        contractors=contractors,
        entry=visit.service.catalogue.services.get(ticket.service),
        guide=guide if runbook(visit.service.content_dir / "runbooks", guide) else "",
        duties=[target for target in clock.targets if target.priority == 0 and target.stopped_at is None],
        names=organisation_names(visit),
    )


def act(visit: Visit) -> Response:
    """Do one thing to a ticket."""
    ticket, action = _ticket(visit), visit.part("action")
    if action not in ACTIONS:
        raise NotFound
    if action not in _permitted(visit, ticket):
        raise Forbidden(f"ticket action {action}")
    data = _data(visit, action)
    if action == "assign":
        visit.service.check_assignee(str(data.get("assignee", "")))
    with visit.service.database.begin() as tx:
        desk.act(
            tx,
            ticket.id,
            action,
            actor=visit.principal.username,
            now=visit.now,
            data=data,
            source_ip=visit.source_ip,
        )
    return visit.to(f"/tickets/{ticket.id}", "ticket")


def open_one(visit: Visit) -> Response:
    """Open a ticket by hand, for the visitor's own organisation."""
    visit.need(Permission.TICKETS_ASSIGN, visit.tenant(visit.principal.organization_id))
    priority = visit.value("priority")
    with visit.service.database.begin() as tx:
        ticket = desk.open_manual(
            tx,
            visit.service.catalogue,
            tenant=visit.principal.organization_id,
            title=visit.value("title", limit=500),
            service=visit.value("service", limit=100),
            priority=int(priority) if priority in {"1", "2", "3", "4"} else 0,
            description=visit.value("description", limit=4000),
            actor=visit.principal.username,
            now=visit.now,
            source_ip=visit.source_ip,
        )
    return visit.to(f"/tickets/{ticket.id}", "ticket")


def organisation_names(visit: Visit) -> dict[str, str]:
    """What organisations are called in the visitor's language, by id."""
    return {one.id: visit.texts.pick(one.name_zh, one.name_en) for one in visit.service.identity.organizations()}


def _ticket(visit: Visit) -> Ticket:
    """The ticket of the address, if it is the visitor's to see; else as if it did not exist."""
    tenants = None if Role.CONTRACTOR in visit.principal.roles else visit.visible_tenants()
    with visit.service.database.read() as tx:
        ticket = desk.get(tx, visit.number("ticket_id"), tenants=tenants)
    if not visit.can(Permission.TICKETS_READ, visit.tenant(ticket.tenant, ticket.assignee)):
        raise NotFound
    return ticket


def _permitted(visit: Visit, ticket: Ticket) -> frozenset[str]:
    """The actions that the visitor's roles allow on this ticket, whatever its state."""
    resource = visit.tenant(ticket.tenant, ticket.assignee)
    works = WORK if visit.can(Permission.TICKETS_WORK, resource) else frozenset[str]()
    assigns = ASSIGN if visit.can(Permission.TICKETS_ASSIGN, resource) else frozenset[str]()
    return works | assigns


def _data(visit: Visit, action: str) -> dict[str, Any]:
    """The fields that the action needs or takes, as typed by the visitor."""
    known = ACTIONS[action]
    data: dict[str, Any] = {
        name: visit.value(name, limit=4000) for name in (*known.needs, *known.takes) if visit.value(name)
    }
    if "until" in data:
        data["until"] = _until(data["until"])
    if "priority" in data:
        data["priority"] = int(data["priority"]) if data["priority"] in {"1", "2", "3", "4"} else 0
    return data


def _until(text: str) -> str:
    """A browser's ``datetime-local`` value, meant in Shanghai, as RFC 3339."""
    value = moment(text)
    if value is None:
        raise UserError("ticket.data", "请填写有效的日期和时间。", "Give a valid date and time.")
    return value.isoformat()


ROUTES: Routes = (
    Page("GET", "/tickets", listing, Permission.TICKETS_READ),
    Page("POST", "/tickets", open_one, Permission.TICKETS_ASSIGN),
    Page("GET", "/tickets/{ticket_id}", detail, Permission.TICKETS_READ),
    Page("POST", "/tickets/{ticket_id}/{action}", act, Permission.TICKETS_READ),
)
