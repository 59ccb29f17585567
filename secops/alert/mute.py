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
from itertools import product
from typing import TYPE_CHECKING, Final

from secops.alert.matchers import Matcher, Subject, all_hold, glob_holds
from secops.alert.schedule import SHANGHAI, Schedule, opening
from secops.records import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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

    def may_hold(self, subject: Subject) -> bool:
        """Say whether it is about alerts of the subject's rule and tenant, whatever else it asks for."""
        own = (matcher for matcher in self.matchers if matcher.field in {"rule", "tenant"})
        return self.tenant in {"", subject.tenant} and all_hold(own, subject)


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


class Sources:
    """The standing alerts that may explain others, by inhibition, tenant and the values of the fields that must be equal.

    Of those that are alike in all that, and in severity, the one seen last stands for the others: so a thousand alerts on
    one host cost a decision no more than one.
    """

    def __init__(self, inhibitions: Iterable[Inhibition] = (), standing: Iterable[Standing] = ()) -> None:
        self.inhibitions = sorted(inhibitions, key=lambda one: one.name)
        self._found: dict[tuple[str, str, tuple[str, ...]], dict[Level, Standing]] = {}
        for one in standing:
            self.add(one)

    def add(self, one: Standing) -> None:
        """Let one more alert explain others."""
        for rule in self.inhibitions:
            if all_hold(rule.source, one.subject):
                for key in _keys(rule, one.subject):
                    alike = self._found.setdefault(key, {})
                    before = alike.get(one.subject.severity)
                    if before is None or (one.last_seen, -one.id) > (before.last_seen, -before.id):
                        alike[one.subject.severity] = one

    def explaining(self, rule: Inhibition, target: Subject, now: datetime) -> Standing | None:
        """Give the first of those that ``rule`` lets explain ``target`` at ``now``."""
        return min(
            (
                one
                for key in _keys(rule, target)
                for one in self._found.get(key, {}).values()
                if one.subject.severity.rank > target.severity.rank and now < one.last_seen + rule.within
            ),
            key=lambda one: one.id,
            default=None,
        )


def _keys(rule: Inhibition, subject: Subject) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give the keys of every combination of values; none when the subject lacks one of the fields."""
    for values in product(*(subject.values(name) for name in rule.equal)):
        yield rule.name, subject.tenant, values


def decide(
    subject: Subject,
    now: datetime,
    silences: Iterable[Silence] = (),
    maintenance: Iterable[Maintenance] = (),
    sources: Sources | None = None,
) -> Muted | None:
    """Give the first stage's reason; None: announce it. The order within a kind does not matter."""
    if SELF in subject.tags and Level.CRITICAL in {subject.level, subject.severity}:
        return None
    stages: tuple[Callable[[], Muted | None], ...] = (
        lambda: _by_silence(subject, now, silences),
        lambda: _by_maintenance(subject, now, maintenance),
        lambda: _by_inhibition(subject, now, sources) if sources is not None else None,
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


def _by_inhibition(subject: Subject, now: datetime, sources: Sources) -> Muted | None:
    for rule in sources.inhibitions:
        if not all_hold(rule.target, subject):
            continue
        if (source := sources.explaining(rule, subject, now)) is not None:
            return Muted(
                kind="inhibition",
                by=f"inhibition:{rule.name}",
                zh=f"已有更严重的告警 #{source.id}“{source.title_zh or source.title}”：{rule.zh}",
                en=f"a graver alert stands, #{source.id} “{source.title}”: {rule.en}",
            )
    return None


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
