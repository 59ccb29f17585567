"""The clock against an oracle that lives through the ticket minute by minute, as a person with a stopwatch would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from secops.records import TicketEvent, TicketState
from secops.ticket.calendar import Calendar, DayKind
from secops.ticket.clock import TargetState, evaluate
from secops.ticket.states import ACTIONS, allowed, step
from secops.ticket.targets import Hours, Response, ResponseTable, amount

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 2, tzinfo=UTC)  # Friday, then a weekend whose Sunday is worked
CN = Calendar({date(2026, 1, 4): DayKind.MAKEUP}, official=frozenset({2026}))
TABLE = ResponseTable(
    responses={
        1: Response(hours=Hours.ALWAYS, answer=amount("15 min"), on_site=amount("1 h"), restore=amount("4 h")),
        2: Response(hours=Hours.ALWAYS, answer=amount("30 min"), on_site=amount("2 h"), restore=amount("8 h")),
        3: Response(hours=Hours.BUSINESS, answer=amount("1 h"), on_site=amount("4 h"), restore=amount("1 working day")),
        4: Response(hours=Hours.BUSINESS, answer=amount("4 h"), restore=amount("3 working days")),
    },
    longest_pause=timedelta(hours=30),
)
DULL = (
    "report",
    "comment",
    "assign",
    "close",
)  # they change nothing that the clock looks at, unless nothing else can be done


def _choices(state: TicketState) -> list[str]:
    return [name for name in allowed(state) if name not in DULL] + ["assign"] * (state is TicketState.NEW)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[TicketEvent], datetime]:
    """A lawful life of a ticket in whole minutes, and the instant to look at it."""
    now = START + draw(st.integers(0, 36 * 60)) * MINUTE
    opened = now
    events = [TicketEvent(at=now, kind="opened", actor="a", data={"priority": draw(st.integers(1, 4))})]
    state = TicketState.NEW
    for _ in range(draw(st.integers(0, 14))):
        name = draw(st.sampled_from(_choices(state)))
        decision = step(state, name)
        now += draw(st.integers(1, 9 * 60)) * MINUTE
        data: dict[str, Any] = {}
        if name == "pause" and draw(st.booleans()):
            data["until"] = (now + draw(st.integers(1, 20 * 60)) * MINUTE).isoformat()
        elif name == "priority":
            data["priority"] = draw(st.integers(1, 4))
        elif name == "reopen":
            data["cause"] = draw(st.sampled_from(["not_fixed", "recurred"]))
        events.append(TicketEvent(at=now, kind=ACTIONS[name].event, actor="a", data=data))
        state = decision.state
    span = int((now - opened) / MINUTE) + 12 * 60
    return events, opened + draw(st.integers(0, span)) * MINUTE


@dataclass
class Seen:
    elapsed: timedelta
    late: bool
    paused: bool
    stopped: bool
    priority: int


def lived(events: list[TicketEvent], name: str, end: datetime) -> Seen | None:
    """Walk from the opening to ``end`` and look at everything anew each minute."""
    opened = events[0].at
    past = [e for e in events if e.at <= end]
    stop = _stop(past, name)
    moment = end if stop is None else stop
    priority = next(
        e.data["priority"] for e in reversed(past) if ("priority" in e.data and e.at < moment) or e is past[0]
    )
    if stop is None:
        priority = next(e.data["priority"] for e in reversed(past) if "priority" in e.data)
    response = TABLE.responses[priority]
    promise = getattr(response, name)
    if promise is None:
        return None
    length, counted, minute, finished = promise.length(CN), timedelta(0), opened, None
    while minute < moment:
        known = past if name == "restore" else []
        if _counts(response.hours, minute) and not _left_out(known, minute):
            counted += MINUTE
            if counted == length:
                finished = minute + MINUTE
        minute += MINUTE
    paused = stop is None and name == "restore" and past[-1:] != [] and _left_out([*past], end)
    return Seen(counted, finished is not None and moment > finished, paused, stop is not None, priority)


def _stop(past: list[TicketEvent], name: str) -> datetime | None:
    resolved = None
    for e in past:
        resolved = e.at if e.kind == "resolved" else None if e.kind == "reopened" else resolved
    if name == "restore":
        return resolved
    kinds = ("answered", "on_site", "resolved") if name == "answer" else ("on_site",)
    first = next((e.at for e in past if e.kind in kinds), None)
    return first if first is not None or name == "answer" else resolved


def _counts(hours: Hours, minute: datetime) -> bool:
    return hours is Hours.ALWAYS or CN.working(minute)


def _left_out(past: list[TicketEvent], minute: datetime) -> bool:
    for index, e in enumerate(past):
        following = next((f for f in past[index + 1 :] if f.kind in ("resumed", "resolved", "reopened")), None)
        until = following.at if following else datetime.max.replace(tzinfo=UTC)
        if e.kind == "paused":
            limit = datetime.fromisoformat(e.data["until"]) if "until" in e.data else until
            if e.at <= minute < min(until, limit, e.at + TABLE.longest_pause):
                return True
        elif (
            e.kind == "resolved" and following and following.data.get("cause") == "recurred" and e.at <= minute < until
        ):
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(stories())
def test_the_clock_agrees_with_living_through_it(story: tuple[list[TicketEvent], datetime]) -> None:
    events, now = story
    clock = evaluate(events, TABLE, CN, now)
    for name in ("answer", "on_site", "restore"):
        seen, found = lived(events, name, now), clock.target(name)
        if seen is None or found is None:
            assert seen is None
            assert found is None
            continue
        assert found.priority == seen.priority
        assert found.elapsed == seen.elapsed
        assert (found.stopped_at is not None) == seen.stopped
        expected = (
            TargetState.BREACHED
            if seen.late
            else TargetState.MET
            if seen.stopped
            else TargetState.PAUSED
            if seen.paused
            else TargetState.RUNNING
        )
        assert found.state is expected


@settings(max_examples=150, deadline=None)
@given(stories())
def test_every_minute_is_counted_or_left_out_exactly_once(story: tuple[list[TicketEvent], datetime]) -> None:
    events, now = story
    for target in evaluate(events, TABLE, CN, now).targets:
        edges = [(stretch.start, stretch.end) for stretch in target.working]
        whole = (target.stopped_at or now) - target.started_at
        assert sum((end - start for start, end in edges), timedelta(0)) == max(whole, timedelta(0))
        assert all(one[1] == two[0] for one, two in pairwise(edges))
        assert sum((stretch.counted for stretch in target.working), timedelta(0)) == target.elapsed


@settings(max_examples=150, deadline=None)
@given(stories(), st.integers(1, 3 * 24 * 60))
def test_time_only_ever_adds(story: tuple[list[TicketEvent], datetime], minutes: int) -> None:
    events, now = story
    known = [event for event in events if event.at <= now]
    early, late = (evaluate(known, TABLE, CN, moment) for moment in (now, now + minutes * MINUTE))
    for before, after in zip(early.targets, late.targets, strict=True):
        assert after.elapsed >= before.elapsed
        assert after.due_at >= before.due_at
        assert not (before.state is TargetState.BREACHED and after.state is not TargetState.BREACHED)
