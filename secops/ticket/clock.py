"""The SLA clock: a pure function of a ticket's events, the targets agreed, and the calendar. Nothing is accumulated.

See docs/adr/0004-sla-clock.md for the choices; the rules in short:

* *answer* and *on_site* run from the opening and are never paused; *restore* leaves out pauses, each at most as long as it
  was granted.
* A priority counts from the opening, with every earlier pause kept; what was answered before the change is judged by the
  priority of that moment; the targets it replaces stay visible.
* Statutory duties run on wall time from the discovery and cannot be paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from secops.records import TicketEvent
    from secops.ticket.calendar import Calendar
    from secops.ticket.targets import ResponseTable


class TargetState(StrEnum):
    """How a target stands."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    SUPERSEDED = "superseded"  # the priority changed while it ran; kept to be seen


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time and what the clock made of it."""

    start: datetime
    end: datetime
    counted: timedelta  # working time in it; zero for a pause
    reason: str = ""  # why it was left out; empty for a counted one


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One promise and how it stands at the clock's instant."""

    name: str  # answer, on_site, restore, update, or a statutory duty's id
    zh: str
    en: str
    priority: int  # 0 for a statutory duty
    calendar: str  # always, business, or wall (statutory)
    duration: timedelta
    started_at: datetime
    elapsed: timedelta
    due_at: datetime  # for a paused target: as if the pause ended now
    stopped_at: datetime | None
    state: TargetState
    percent: float  # elapsed of duration; above 100 when late
    warn: int  # 0, 50, 75, 90 or 100: the highest mark reached
    provisional: tuple[int, ...] = ()  # years it crosses that are not announced: to be recomputed
    missed: int = 0  # update only: earlier updates that came late
    working: tuple[Stretch, ...] = ()  # the full working: every counted and every left-out stretch

    @property
    def remaining(self) -> timedelta:
        """What is left; negative when late."""
        return self.duration - self.elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Every target of a ticket at one instant."""

    at: datetime
    priority: int
    calendar_version: str
    targets: tuple[Target, ...]  # of the present priority, then the statutory ones
    superseded: tuple[Target, ...]  # of earlier priorities
    pauses: tuple[Stretch, ...]  # as granted: cut at their longest duration

    def target(self, name: str) -> Target | None:
        """Give a present target by name."""
        return next((target for target in self.targets if target.name == name), None)

    @property
    def next_due(self) -> Target | None:
        """Give the unfinished target that is due first (late ones first); None when all is done."""
        open_ones = [t for t in self.targets if t.stopped_at is None]
        return min(open_ones, key=lambda target: target.due_at, default=None)

    @property
    def warn(self) -> int:
        """Give the highest mark (0, 50, 75, 90, 100) among unfinished targets, for colouring."""
        return max((t.warn for t in self.targets if t.stopped_at is None), default=0)

    def to_data(self) -> dict[str, Any]:
        """Give the clock with its full working as plain data (RFC 3339 texts, seconds), for JSON and evidence."""
        raise NotImplementedError


def evaluate(events: Sequence[TicketEvent], table: ResponseTable, calendar: Calendar, now: datetime) -> Clock:
    """Give the clock of a ticket at ``now``.

    ``events`` begin with ``opened`` (its data names the priority) and are in order; those after ``now`` are not looked at.

    Raises:
        ValueError: the events do not begin with ``opened``.
    """
    raise NotImplementedError
