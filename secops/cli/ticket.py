"""``secops ticket``: list, show with the SLA clock, open, and every action a ticket knows."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, fail, local, open_from, operator, table
from secops.errors import UserError
from secops.records import Ticket, TicketEvent, TicketState
from secops.ticket import desk
from secops.ticket.clock import Clock, Target, TargetState
from secops.ticket.states import ACTIONS, STATE_ZH
from secops.ticket.targets import Hours
from secops.wiring import Service

app = typer.Typer(help="工单 / tickets", no_args_is_help=True)

PRIORITY_ZH = {1: "一级", 2: "二级", 3: "三级", 4: "四级"}
TARGET_ZH = {
    TargetState.RUNNING: "计时中",
    TargetState.PAUSED: "已暂停",
    TargetState.MET: "达标",
    TargetState.BREACHED: "超时",
    TargetState.SUPERSEDED: "已被取代",
}


@app.command("list")
def list_tickets(
    ticket_state: Annotated[TicketState | None, typer.Option("--in", help="状态 / state of the ticket")] = None,
    service_id: Annotated[str, typer.Option("--service", help="服务 / catalogue entry")] = "",
    assignee: Annotated[str, typer.Option(help="服务商 / contractor")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    before: Annotated[int | None, typer.Option(help="此编号之前 / before this id")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出工单，新的在前 / List tickets, newest first."""
    with open_from(state, config) as service:
        with service.database.read() as tx:
            found = desk.find(tx, state=ticket_state, service=service_id, assignee=assignee, limit=limit, before=before)
        clocks = {ticket.id: desk.clock(ticket, service.calendar, service.clock()) for ticket in found}
    rows = [[*_row(ticket), _next(clocks[ticket.id])] for ticket in found]
    header = ["编号 id", "优先级", "状态", "服务 service", "服务商 assignee", "标题 title", "最近时限 next due"]
    emit([_data(ticket, clocks[ticket.id]) for ticket in found], as_json, lambda: table(rows, header))


@app.command()
def show(ticket_id: int, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """查看工单、时限与经过 / Show a ticket, its clock and what happened."""
    with open_from(state, config) as service:
        with service.database.read() as tx:
            ticket = desk.get(tx, ticket_id)
        _show(service, ticket, as_json)


@app.command("open")
def open_ticket(
    title: Annotated[str, typer.Argument(help="标题 / title")],
    service_id: Annotated[str, typer.Option("--service", help="服务 / catalogue entry")],
    priority: Annotated[int, typer.Option(min=1, max=4, help="1 一级 … 4 四级")] = 3,
    tenant: Annotated[str, typer.Option(help="单位 / organisation")] = "city",
    description: Annotated[str, typer.Option(help="说明 / description")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """手工开工单 / Open a ticket by hand."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            ticket = desk.open_manual(
                tx,
                service.catalogue,
                tenant=tenant,
                title=title,
                service=service_id,
                priority=priority,
                actor=operator().username,
                now=service.clock(),
                description=description,
            )
        _show(service, ticket, as_json)


@app.command()
def act(
    ticket_id: int,
    action: Annotated[str, typer.Argument(help=f"操作 / action: {', '.join(ACTIONS)}")],
    field: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="操作的数据，可多次 / data of the action, repeatable"),
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """对工单执行操作，如 act 12 comment --set text=已联系 / Do an action, e.g. act 12 assign --set assignee=ops."""
    data = _fields(field or [])
    with open_from(state, config) as service:
        if action == "assign":
            service.check_assignee(str(data.get("assignee", "")))
        with service.database.begin() as tx:
            ticket = desk.act(tx, ticket_id, action, actor=operator().username, now=service.clock(), data=data)
        _show(service, ticket, as_json)


def _fields(given: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            fail(UserError("ticket.data", f"--set {text!r} 应为 KEY=VALUE", f"--set {text!r} must be KEY=VALUE"))
        data[key] = int(value) if key == "priority" and value.isascii() and value.isdigit() else value
    return data


def _show(service: Service, ticket: Ticket, as_json: bool) -> None:
    clock = desk.clock(ticket, service.calendar, service.clock())
    emit(_data(ticket, clock), as_json, lambda: "\n".join(_lines(ticket, clock)))


def _data(ticket: Ticket, clock: Clock) -> dict[str, Any]:
    return {**asdict(ticket), "clock": clock.to_data()}


def _lines(ticket: Ticket, clock: Clock) -> list[str]:
    header = ["编号 id", "优先级", "状态", "服务 service", "服务商 assignee", "标题 title"]
    targets = [
        [t.zh, t.en, TARGET_ZH[t.state], f"{t.percent:.0f} %", local(t.due_at), _left(t)]
        for t in (*clock.targets, *clock.superseded)
    ]
    happened = [f"{local(event.at)}  {event.kind}  {event.actor}  {_said(event)}".rstrip() for event in ticket.events]
    return [
        table([_row(ticket)], header),
        "",
        table(targets, ["时限", "target", "状态", "已用", "到期 due", "剩余 left"]),
        "",
        *happened,
    ]


def _said(event: TicketEvent) -> str:
    """Give an event's short values; the promises a ticket was opened under stand in its clock already."""
    return "  ".join(f"{key}={value}" for key, value in event.data.items() if not isinstance(value, (dict, list)))


def _row(ticket: Ticket) -> list[str]:
    return [
        str(ticket.id),
        PRIORITY_ZH[ticket.priority],
        STATE_ZH[ticket.state],
        ticket.service,
        ticket.assignee or "-",
        ticket.title,
    ]


def _next(clock: Clock) -> str:
    target = clock.next_due
    return f"{target.zh} {local(target.due_at)}" if target is not None else "-"


def _left(target: Target) -> str:
    if target.stopped_at is not None:
        return "-"
    late = target.remaining < timedelta(0)
    minutes = int(abs(target.remaining).total_seconds() // 60)
    working = " 工时 working" if target.calendar == Hours.BUSINESS else ""
    return f"{'超 -' if late else ''}{minutes // 60}:{minutes % 60:02d}{working}"
