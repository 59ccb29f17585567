"""Whether an alert is muted, and why: stages in a fixed order, each looks at one kind of reason. Pure.

1. A critical alert about the service itself (tag ``secops.self``) is never muted: nobody may switch off the alarm that
   says the alarms have stopped.
2. A silence: its matchers hold, and now lies from its start (inclusive) to its end (exclusive).
3. A maintenance window: it is open now, for this tenant and one of the alert's hosts.
4. An inhibition: a standing alert of higher severity explains this one. Only an alert that was itself announced explains
   another, so that no two can hide each other.

Now is the moment of the decision, not the event's own time: a sender who may write any time into his messages must not
be able to write himself into a window. What is muted is stored and shown all the same; it opens no ticket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.alert.matchers import Matcher, Subject, all_hold, glob_holds
from secops.alert.schedule import SHANGHAI, Schedule, opening
from secops.records import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta

SELF: Final = "secops.self"  # the tag of rules about the service itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """Why an alert is not announced."""

    kind: str  # silence, maintenance, inhibition
    by: str  # which one: silence:3, maintenance:5, inhibition:<name>
    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts nobody wants to hear of for a while."""

    id: int
    tenant: str  # "": every tenant
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    reason: str
    author: str

    def holds(self, subject: Subject, now: datetime) -> bool:
        """Say whether it mutes ``subject`` at ``now``."""
        here = self.tenant in {"", subject.tenant}
        return here and self.starts_at <= now < self.ends_at and all_hold(self.matchers, subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Announced work on hosts."""

    id: int
    tenant: str  # "": every tenant
    hosts: tuple[str, ...]  # globs; (): every host of the tenant
    change: str  # the change ticket's number
    schedule: Schedule
    reason: str
    author: str

    def covers(self, subject: Subject) -> bool:
        """Say whether the work is on this alert's tenant and hosts; an alert that names no host is on none."""
        if self.tenant not in {"", subject.tenant}:
            return False
        return not self.hosts or any(
            glob_holds(glob, host) for glob in self.hosts for host in subject.values("host.name")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """A graver alert (source) mutes lesser ones (target) that share the fields ``equal``."""

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
    within: timedelta  # how long ago the source may have been seen last
    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An announced alert that is not closed."""

    id: int
    title: str
    title_zh: str
    last_seen: datetime
    subject: Subject


def decide(
    subject: Subject,
    now: datetime,
    silences: Iterable[Silence] = (),
    maintenance: Iterable[Maintenance] = (),
    inhibitions: Iterable[Inhibition] = (),
    *,
    standing: Sequence[Standing] = (),
) -> Muted | None:
    """Give the first stage's reason; None: announce it. The order within a kind does not matter: the lowest id speaks."""
    if SELF in subject.tags and Level.CRITICAL in {subject.level, subject.severity}:
        return None
    stages: tuple[Callable[[], Muted | None], ...] = (
        lambda: _by_silence(subject, now, silences),
        lambda: _by_maintenance(subject, now, maintenance),
        lambda: _by_inhibition(subject, now, inhibitions, standing),
    )
    return next((muted for stage in stages if (muted := stage()) is not None), None)


def _by_silence(subject: Subject, now: datetime, silences: Iterable[Silence]) -> Muted | None:
    found = min((one for one in silences if one.holds(subject, now)), key=lambda one: one.id, default=None)
    if found is None:
        return None
    until = _shown(found.ends_at)
    return Muted(
        kind="silence",
        by=f"silence:{found.id}",
        zh=f"静默 #{found.id}（{found.author}，至 {until}）：{found.reason}",
        en=f"silence #{found.id} ({found.author}, until {until}): {found.reason}",
    )


def _by_maintenance(subject: Subject, now: datetime, windows: Iterable[Maintenance]) -> Muted | None:
    covering = sorted((one for one in windows if one.covers(subject)), key=lambda one: one.id)
    for window in covering:
        if (times := opening(window.schedule, now)) is not None:
            until = _shown(times[1])
            return Muted(
                kind="maintenance",
                by=f"maintenance:{window.id}",
                zh=f"维护窗口 #{window.id}（变更单 {window.change}，至 {until}）：{window.reason}",
                en=f"maintenance window #{window.id} (change {window.change}, until {until}): {window.reason}",
            )
    return None


def _by_inhibition(
    subject: Subject, now: datetime, inhibitions: Iterable[Inhibition], standing: Sequence[Standing]
) -> Muted | None:
    for rule in sorted(inhibitions, key=lambda one: one.name):
        if not all_hold(rule.target, subject):
            continue
        sources = [one for one in standing if _explains(rule, one, subject, now)]
        if sources:
            source = min(sources, key=lambda one: one.id)
            return Muted(
                kind="inhibition",
                by=f"inhibition:{rule.name}",
                zh=f"已有更严重的告警 #{source.id}“{source.title_zh or source.title}”：{rule.zh}",
                en=f"a graver alert stands, #{source.id} “{source.title}”: {rule.en}",
            )
    return None


def _explains(rule: Inhibition, source: Standing, target: Subject, now: datetime) -> bool:
    graver = source.subject.severity.rank > target.severity.rank and source.subject.tenant == target.tenant
    return (
        graver
        and now < source.last_seen + rule.within
        and all_hold(rule.source, source.subject)
        and all(_same(source.subject, target, name) for name in rule.equal)
    )


def _same(source: Subject, target: Subject, name: str) -> bool:
    """Say whether both have the field and share a value; a field that one of them lacks is not the same."""
    return bool(set(source.values(name)) & set(target.values(name)))


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
