"""What a ticket's events say to its clock: under which priority it stood when, when it was paused, when it was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from secops.records import TicketEvent

_ENDS_PAUSE: Final = ("resumed", "resolved", "closed")


@dataclass(frozen=True, slots=True)
class Epoch:
    """A stretch of the ticket's life under one priority."""

    priority: int
    since: datetime
    until: datetime | None  # None: still


@dataclass(frozen=True, slots=True)
class Off:
    """A stretch that a pausable target leaves out."""

    start: datetime
    end: datetime
    reason: str
    lasts: bool = False  # it still holds at the clock's instant


class Story:
    """A ticket's events up to ``now``, read once."""

    def __init__(self, events: Sequence[TicketEvent], longest_pause: timedelta, now: datetime) -> None:
        self.events = [event for event in events if event.at <= now]
        if not self.events or self.events[0].kind != "opened":
            raise ValueError("a ticket's events begin with 'opened'; the clock cannot run without it")
        self.opened = self.events[0]
        self.epochs = tuple(_epochs(self.events))
        self.pauses = tuple(_pauses(self.events, longest_pause, now))
        self.off = tuple(sorted((*self.pauses, *_recurrences(self.events)), key=lambda off: off.start))

    def first(self, *kinds: str) -> datetime | None:
        """Give when one of the kinds first happened."""
        return next((event.at for event in self.events if event.kind in kinds), None)

    @property
    def resolved(self) -> datetime | None:
        """Give when it was last resolved, unless it was reopened since."""
        last = next((e for e in reversed(self.events) if e.kind in ("resolved", "reopened")), None)
        return last.at if last is not None and last.kind == "resolved" else None

    def reported(self, duty: str) -> datetime | None:
        """Give when a statutory duty was first reported."""
        return next((e.at for e in self.events if e.kind == "reported" and e.data.get("duty") == duty), None)


def _epochs(events: Sequence[TicketEvent]) -> Iterator[Epoch]:
    changes = [(int(e.data["priority"]), e.at) for e in events if e.kind in ("opened", "priority")]
    ends: list[datetime | None] = [since for _, since in changes[1:]]
    for (priority, since), until in zip(changes, [*ends, None], strict=True):
        yield Epoch(priority, since, until)


def _pauses(events: Sequence[TicketEvent], longest: timedelta, now: datetime) -> Iterator[Off]:
    """Give each pause as granted: it ends by being resumed, at its own limit, or at the longest one allowed."""
    began: TicketEvent | None = None
    for event in events:
        if event.kind == "paused" and began is None:
            began = event
        elif began is not None and event.kind in _ENDS_PAUSE:
            yield _pause(began, event.at, longest, lasts=False)
            began = None
    if began is not None:
        yield _pause(began, now, longest, lasts=True)


def _pause(began: TicketEvent, ended: datetime, longest: timedelta, *, lasts: bool) -> Off:
    limit = began.at + longest
    if until := began.data.get("until"):
        limit = min(limit, max(began.at, datetime.fromisoformat(until)))
    return Off(began.at, min(ended, limit), str(began.data.get("reason", "")), lasts and ended < limit)


def _recurrences(events: Sequence[TicketEvent]) -> Iterator[Off]:
    """Give the stretches in which the fault was really gone; "not fixed" means it never was, so that time counts."""
    resolved: datetime | None = None
    for event in events:
        if event.kind == "resolved":
            resolved = event.at
        elif event.kind == "reopened" and resolved is not None:
            if event.data.get("cause") == "recurred":
                yield Off(resolved, event.at, "recurred")
            resolved = None
