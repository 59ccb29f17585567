"""Runs rules over what the log holds, by the same detector that runs live: for a rule before it is active, or afterwards.

The span is that of receipt (``event.ingested``), as live detection meets the events. Partitions are merged by it, so what
correlates over hosts comes in the order in which it came then. Nothing is stored and no alert is raised.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.errors import UserError
from secops.match.detector import Detector
from secops.match.overrides import Overrides
from secops.match.rule import Correlation, RuleSet
from secops.records import EVENT_ID, HOST, INGESTED, MESSAGE, TENANT, EventId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secops.match.rule import Rule
    from secops.records import Event, Match
    from secops.store.log import Log
    from secops.wiring import Service

BATCH: Final = 2000
PAGE: Final = 5000
JITTER: Final = timedelta(seconds=60)  # events of several collectors are stored this little out of order, at most
MOST_HOSTS: Final = 1000
MESSAGE_SHOWN: Final = 500
_LONGEST: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a replay may cost before it stops and says so."""

    events: int = 50_000_000
    seconds: float = 3600.0
    samples: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One hit: its last event, and the fields that made the rule hold."""

    rule_id: str
    event_id: str
    at: datetime
    tenant: str
    host: str
    message: str
    fields: dict[str, Any]
    count: int


@dataclass(slots=True, kw_only=True)
class Replay:
    """What came of it. ``by_hour`` is keyed by the hour of the event's own time, RFC 3339 in UTC."""

    events: int = 0
    hits: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    by_host: dict[str, int] = field(default_factory=dict)  # beyond a thousand hosts the rest is under ""
    by_hour: dict[str, int] = field(default_factory=dict)
    by_tenant: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    excepted: int = 0  # hits that an exception or a switch took out
    truncated: str = ""  # "events" or "seconds" when a limit ended it early
    seconds: float = 0.0


class Span(NamedTuple):
    """A partition's offsets that may lie in the span."""

    partition: int
    begin: int
    end: int


def replay(
    service: Service,
    rules: RuleSet,
    *,
    start: datetime,
    end: datetime,
    tenants: frozenset[str] | None = None,
    only: frozenset[str] | None = None,
    overrides: Overrides | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    limits: Limits | None = None,
) -> Replay:
    """Run ``rules`` over the events received in ``[start, end)``.

    ``tenants`` limits whose events are looked at (None: all), ``only`` which rules are reported (None: all; the others
    still feed them). ``progress(done, of)`` is told as it goes and may raise to stop it.

    Raises:
        UserError: the span is empty or its ends are no moments of one time.
    """
    _check(start, end)
    chosen = limits or Limits()
    began = time.monotonic()
    detector = Detector(_speaking(rules, only), overrides=overrides or Overrides())
    wanted = frozenset(rules.infos()) if only is None else only
    result = _Adding(Replay(), wanted, chosen.samples)
    spans = [_span(service.log, partition, start, end) for partition in range(service.log.partitions)]
    total = sum(span.end - span.begin for span in spans)
    events = _events(service.log, spans, _text(start), _text(end), tenants)
    while batch := list(islice(events, BATCH)):
        result.take(detector.run(batch), batch)
        result.found.events += len(batch)
        progress(min(result.found.events, total), total)
        if result.found.events >= chosen.events:
            result.found.truncated = "events"
            break
        if time.monotonic() - began > chosen.seconds:
            result.found.truncated = "seconds"
            break
    if not result.found.truncated:
        result.take(detector.tick(end, read_to_end=True), [])
        progress(total, total)
    return result.done(detector, time.monotonic() - began)


def rule_with_feeders(ruleset: RuleSet, rule: Rule) -> RuleSet:
    """A rule and what of the set it refers to, directly or through other correlations; those come first."""
    by_id = {each.id: each for each in ruleset.rules}
    found: dict[str, Rule] = {}

    def visit(each: Rule) -> None:
        for name in each.body.rules if isinstance(each.body, Correlation) else ():
            if name in by_id and name not in found:
                visit(by_id[name])
        found[each.id] = each

    visit(rule)
    return RuleSet(tuple(found.values()))


@dataclass(slots=True)
class _Adding:
    """Adds matches up."""

    found: Replay
    wanted: frozenset[str]
    samples: int
    rules: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)

    def take(self, matches: list[Match], batch: list[Event]) -> None:
        by_id: dict[str, Event] | None = None
        for match in matches:
            if match.rule_id not in self.wanted:
                continue
            if by_id is None:
                by_id = {event[EVENT_ID]: event for event in batch}
            event = by_id.get(match.event_ids[-1], {}) if match.event_ids else {}
            host = str(event.get(HOST) or dict(match.group).get(HOST) or "")
            self.hosts[host if host in self.hosts or len(self.hosts) < MOST_HOSTS else ""] += 1
            self.rules[match.rule_id] += 1
            self.tenants[match.tenant] += 1
            self.hours[match.at.astimezone(UTC).strftime("%Y-%m-%dT%H:00:00Z")] += 1
            if len(self.found.samples) < self.samples:
                self.found.samples.append(_sample(match, event, host))

    def done(self, detector: Detector, seconds: float) -> Replay:
        found = self.found
        found.hits = self.rules.total()
        found.by_rule = dict(self.rules.most_common())
        found.by_host, found.by_tenant = dict(self.hosts.most_common()), dict(self.tenants.most_common())
        found.by_hour = dict(sorted(self.hours.items()))
        for (rule_id, _), tally in detector.take_tally().items():
            found.excepted += (tally.excepted + tally.switched_off) if rule_id in self.wanted else 0
        found.seconds = seconds
        return found


def _sample(match: Match, event: Event, host: str) -> Sample:
    return Sample(
        rule_id=match.rule_id,
        event_id=match.event_ids[-1] if match.event_ids else "",
        at=match.at,
        tenant=match.tenant,
        host=host,
        message=str(event.get(MESSAGE) or "")[:MESSAGE_SHOWN],
        fields=dict(match.fields),
        count=match.count,
    )


def _speaking(rules: RuleSet, only: frozenset[str] | None) -> RuleSet:
    """The rules, where those asked for say what they find even if live they only feed others."""
    if only is None:
        return rules
    return replace(
        rules,
        rules=tuple(
            replace(rule, info=replace(rule.info, alert=True)) if rule.id in only else rule for rule in rules.rules
        ),
    )


def _check(start: datetime, end: datetime) -> None:
    if start.tzinfo is None or end.tzinfo is None or not start < end or end - start > _LONGEST:
        raise UserError(
            "replay.span",
            "起止时间无效：起始须早于结束，且不超过十年。",
            "The span is no span: it must begin before it ends, and cover no more than ten years.",
        )


def _text(moment: datetime) -> str:
    """The form that ``event.ingested`` has; texts of this form sort like the moments."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _span(log: Log, partition: int, start: datetime, end: datetime) -> Span:
    begin = _seek(log, partition, _text(start - JITTER))
    return Span(partition, begin, max(begin, _seek(log, partition, _text(end + JITTER))))


def _seek(log: Log, partition: int, ingested: str) -> int:
    """The first offset whose event was received at ``ingested`` or later, by halving: what is stored is almost in order."""
    oldest = log.read(partition, 0, 1)
    if not oldest:
        return log.end(partition)
    low, high = EventId.parse(oldest[0][EVENT_ID]).offset, log.end(partition)
    while low < high:
        middle = (low + high) // 2
        event = log.read(partition, middle, 1)
        if event and str(event[0].get(INGESTED, "")) < ingested:
            low = middle + 1
        else:
            high = middle
    return low


def _events(log: Log, spans: list[Span], start: str, end: str, tenants: frozenset[str] | None) -> Iterator[Event]:
    """The events of the span in the order of their receipt."""
    pages = (_partition(log, span, start, end, tenants) for span in spans)
    return heapq.merge(*pages, key=_received)


def _received(event: Event) -> str:
    return str(event.get(INGESTED, ""))


def _partition(log: Log, span: Span, start: str, end: str, tenants: frozenset[str] | None) -> Iterator[Event]:
    offset = span.begin
    while offset < span.end and (events := log.read(span.partition, offset, min(PAGE, span.end - offset))):
        offset = EventId.parse(events[-1][EVENT_ID]).offset + 1
        for event in events:
            if start <= event.get(INGESTED, "") < end and (tenants is None or event.get(TENANT) in tenants):
                yield event
