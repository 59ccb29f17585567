"""The SLA clock: a pure function of a ticket's events, the targets agreed, and the calendar. Nothing is accumulated.

See docs/adr/0004-sla-clock.md for the choices; the rules in short:

* *answer* and *on_site* run from the opening and are never paused; *restore* leaves out pauses, each at most as long as it
  was granted.
* A priority counts from the opening, with every earlier pause kept; what was answered before the change is judged by the
  priority of that moment; the targets it replaces stay visible.
* Statutory duties run on wall time from the discovery and cannot be paused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol

from secops.ticket.story import Off, Story
from secops.ticket.targets import Hours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from secops.records import TicketEvent
    from secops.ticket.calendar import Calendar
    from secops.ticket.targets import Amount, Duty, ResponseTable

ZERO: Final = timedelta(0)
MARKS: Final = (50, 75, 90, 100)
NAMES: Final = {
    "answer": ("响应", "answer"),
    "on_site": ("到场", "on site"),
    "restore": ("恢复", "restore"),
    "update": ("进展通报", "update"),
}
_UPDATES: Final = ("comment", "on_site", "paused", "resumed", "reopened", "resolved")


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
        return {
            "at": _text(self.at),
            "priority": self.priority,
            "calendar_version": self.calendar_version,
            "targets": [_target_data(target) for target in self.targets],
            "superseded": [_target_data(target) for target in self.superseded],
            "pauses": [_stretch_data(pause) for pause in self.pauses],
        }


def evaluate(events: Sequence[TicketEvent], table: ResponseTable, calendar: Calendar, now: datetime) -> Clock:
    """Give the clock of a ticket at ``now``.

    ``events`` begin with ``opened`` (its data names the priority) and are in order; those after ``now`` are not looked at.

    Raises:
        ValueError: the events do not begin with ``opened``.
    """
    story = Story(events, table.longest_pause, now)
    current, superseded = _contract(story, table, calendar, now)
    current += _updates(story, table, calendar, now)
    current += [_duty(story, duty, calendar, now) for duty in table.duties]
    return Clock(
        at=now,
        priority=story.epochs[-1].priority,
        calendar_version=calendar.version,
        targets=tuple(current),
        superseded=tuple(superseded),
        pauses=tuple(Stretch(off.start, off.end, ZERO, off.reason) for off in story.pauses),
    )


def _contract(
    story: Story, table: ResponseTable, calendar: Calendar, now: datetime
) -> tuple[list[Target], list[Target]]:
    """Give answer, on_site and restore: those in force, and those that a change of priority replaced."""
    stops: tuple[tuple[str, datetime | None, Sequence[Off]], ...] = (
        ("answer", story.first("answered", "on_site", "resolved"), ()),
        ("on_site", story.first("on_site") or story.resolved, ()),  # mended from afar: nobody need come
        ("restore", story.resolved, story.off),
    )
    current: list[Target] = []
    superseded: list[Target] = []
    for name, stopped, off in stops:
        for epoch in story.epochs:
            final = epoch.until is None or (stopped is not None and stopped <= epoch.until)
            promise = _promise(table, calendar, epoch.priority, name)
            if promise is not None:
                end = stopped if final else epoch.until
                target = _measure(promise, calendar, story.opened.at, end, now=now, off=off, replaced=not final)
                (current if final else superseded).append(target)
            if final:
                break
    return current, superseded


@dataclass(frozen=True, slots=True)
class _Promise:
    """A duration to be kept, with its names."""

    name: str
    zh: str
    en: str
    priority: int
    hours: Hours
    length: timedelta


def _promise(table: ResponseTable, calendar: Calendar, priority: int, name: str) -> _Promise | None:
    response = table.responses[priority]
    amount: Amount | None = getattr(response, name)
    if amount is None:
        return None
    return _Promise(name, *NAMES[name], priority, response.hours, amount.length(calendar))


def _duty(story: Story, duty: Duty, calendar: Calendar, now: datetime) -> Target:
    """Measure a statutory duty: wall time from the discovery, nothing left out."""
    found = story.opened.data.get("discovered_at")
    start = datetime.fromisoformat(found) if found else story.opened.at
    promise = _Promise(duty.id, duty.zh, duty.en, 0, Hours.WALL, duty.within)
    return _measure(promise, calendar, start, story.reported(duty.id), now=now)


def _updates(story: Story, table: ResponseTable, calendar: Calendar, now: datetime) -> list[Target]:
    """Measure the promise of regular updates; it begins with the answer and never touches the answer's own target."""
    priority = story.epochs[-1].priority
    promise = _promise(table, calendar, priority, "update")
    answered = story.first("answered", "on_site", "resolved")
    if promise is None or answered is None:
        return []
    start = max(answered, story.epochs[-1].since)
    marks = [start, *(e.at for e in story.events if e.kind in _UPDATES and e.at > start)]
    done = [Off(e.at, e.at, e.kind) for e in story.events if e.kind in ("resolved", "reopened") and e.at >= start]
    idle = [Off(one.start, two.start, "resolved") for one, two in pairwise(done) if one.reason == "resolved"]
    off = sorted((*story.pauses, *idle), key=lambda stretch: stretch.start)
    gaps = [_measure(promise, calendar, one, two, now=now, off=off) for one, two in pairwise(marks)]
    missed = sum(gap.state is TargetState.BREACHED for gap in gaps)
    last = _measure(promise, calendar, marks[-1], story.resolved, now=now, off=off)
    late = missed > 0 and last.state is TargetState.MET
    return [replace(last, missed=missed, state=TargetState.BREACHED if late else last.state)]


def _measure(
    promise: _Promise,
    calendar: Calendar,
    start: datetime,
    stopped: datetime | None,
    *,
    now: datetime,
    off: Sequence[Off] = (),
    replaced: bool = False,
) -> Target:
    """Measure one promise from ``start`` until it stopped, or until now."""
    end = max(start, now if stopped is None else stopped)
    reckon = calendar if promise.hours is Hours.BUSINESS else _Wall()
    working = tuple(_stretches(start, end, off, reckon))
    elapsed = sum((stretch.counted for stretch in working), ZERO)
    due = _due(working, promise.length, end, reckon)
    business = promise.hours is Hours.BUSINESS
    paused = stopped is None and any(stretch.lasts for stretch in off)
    return Target(
        name=promise.name,
        zh=promise.zh,
        en=promise.en,
        priority=promise.priority,
        calendar=promise.hours.value,
        duration=promise.length,
        started_at=start,
        elapsed=elapsed,
        due_at=due,
        stopped_at=stopped,
        state=_state(late=end > due, stopped=stopped is not None, replaced=replaced, paused=paused),
        percent=round(100 * (elapsed / promise.length), 2),
        warn=max((mark for mark in MARKS if 100 * elapsed >= mark * promise.length), default=0),
        provisional=calendar.provisional_years(start, max(due, end)) if business else (),
        working=working,
    )


def _state(*, late: bool, stopped: bool, replaced: bool, paused: bool) -> TargetState:
    if late:
        return TargetState.BREACHED
    if replaced:
        return TargetState.SUPERSEDED
    if stopped:
        return TargetState.MET
    return TargetState.PAUSED if paused else TargetState.RUNNING


class _Reckoning(Protocol):
    """How time is counted: a calendar, or every second."""

    def between(self, start: datetime, end: datetime, /) -> timedelta: ...
    def add(self, start: datetime, amount: timedelta, /) -> datetime: ...


class _Wall:
    """Every second counts."""

    def between(self, start: datetime, end: datetime, /) -> timedelta:
        return end - start

    def add(self, start: datetime, amount: timedelta, /) -> datetime:
        return start.astimezone(UTC) + amount


def _stretches(start: datetime, end: datetime, off: Sequence[Off], reckon: _Reckoning) -> Iterator[Stretch]:
    """Cut the time between two instants into counted and left-out stretches."""
    at = start
    for one in off:
        begins, ends = max(at, one.start), min(end, one.end)
        if begins >= ends:
            continue
        if at < begins:
            yield Stretch(at, begins, reckon.between(at, begins))
        yield Stretch(begins, ends, ZERO, one.reason or "paused")
        at = ends
    if at < end:
        yield Stretch(at, end, reckon.between(at, end))


def _due(working: Sequence[Stretch], length: timedelta, end: datetime, reckon: _Reckoning) -> datetime:
    """Give the instant by which ``length`` was counted, or will be if nothing more is left out after ``end``."""
    for stretch in working:
        if stretch.counted >= length:
            return reckon.add(stretch.start, length)
        length -= stretch.counted
    return reckon.add(end, length)


def _target_data(target: Target) -> dict[str, Any]:
    plain = {
        name: getattr(target, name)
        for name in ("name", "zh", "en", "priority", "calendar", "percent", "warn", "missed")
    }
    return plain | {
        "state": target.state.value,
        "duration_seconds": target.duration.total_seconds(),
        "elapsed_seconds": target.elapsed.total_seconds(),
        "remaining_seconds": target.remaining.total_seconds(),
        "started_at": _text(target.started_at),
        "due_at": _text(target.due_at),
        "stopped_at": _text(target.stopped_at) if target.stopped_at else None,
        "provisional_years": list(target.provisional),
        "working": [_stretch_data(stretch) for stretch in target.working],
    }


def _stretch_data(stretch: Stretch) -> dict[str, Any]:
    return {
        "start": _text(stretch.start),
        "end": _text(stretch.end),
        "counted_seconds": stretch.counted.total_seconds(),
        "left_out": stretch.reason,
    }


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
