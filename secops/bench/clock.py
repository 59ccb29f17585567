"""The SLA clock: tickets evaluated a second, each with pauses, a change of priority and four targets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from secops.bench.figures import Figure, stopwatch
from secops.records import TicketEvent
from secops.rule_source import content_dir
from secops.ticket.calendar_file import load_calendar
from secops.ticket.clock import evaluate
from secops.ticket.services import load_catalogue

ROUNDS: Final = 2000
OPENED: Final = datetime(2026, 9, 28, 1, 0, tzinfo=UTC)  # before National Day, with its make-up working days


def measure() -> list[Figure]:
    """Evaluate one eventful ticket again and again, at ever later instants."""
    rules = content_dir() / "rules"
    calendar = load_calendar([rules / "calendar"])
    table = load_catalogue([rules / "services"]).get("security-operations").response
    events = _events()
    with stopwatch() as watch:
        for number in range(ROUNDS):
            evaluate(events, table, calendar, OPENED + timedelta(days=12, minutes=number))
    return [Figure(name="clock evaluations", value=ROUNDS / watch.cpu, unit="tickets/CPU-s")]


def _events() -> list[TicketEvent]:
    def at(hours: float, kind: str, **data: object) -> TicketEvent:
        return TicketEvent(at=OPENED + timedelta(hours=hours), kind=kind, actor="bench", data=data)

    until = (OPENED + timedelta(hours=70)).isoformat()
    return [
        at(0, "opened", priority=3),
        at(0.2, "assigned", assignee="ops"),
        at(0.5, "answered"),
        at(2, "paused", reason="spare part", evidence="order 1", until=until),
        at(50, "resumed"),
        at(60, "priority", priority=2, reason="spread"),
        at(61, "comment", text="working"),
    ]
