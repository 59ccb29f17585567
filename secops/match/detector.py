"""All rules together: batches of events in, matches, changed state and counts out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secops.match.correlate import Correlator
from secops.match.keys import plain_group
from secops.match.kind import made
from secops.match.overrides import Overrides, Tallies
from secops.match.rule import Detection, Watch
from secops.match.stateful import Occurrence
from secops.match.tenants import Engines
from secops.match.text import EPOCH
from secops.records import EVENT_ID, INGESTED, TENANT, TIMESTAMP, Match

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from secops.match.engine import Found
    from secops.match.overrides import Tally
    from secops.match.rule import Rule, RuleSet
    from secops.match.scan import Databases
    from secops.match.stateful import Firing, Stateful
    from secops.records import Event, RuleInfo

LATENESS: Final = timedelta(minutes=5)  # how far behind its key's newest event an event may come and still count
MAX_EVENT_IDS: Final = 100
_MICROSECOND: Final = timedelta(microseconds=1)
_AHEAD: Final = 300_000_000  # microseconds that a sender's clock may run ahead
_STAMP: Final = 64  # characters of a time
_STANDS, _EXCEPTED, _OFF = range(3)
_NOTHING: Final = Occurrence("", "", 0, 0, "", {})


class Detector:
    """One shard's detection.

    The caller stores the matches of ``run`` and ``tick``, the entries of ``take_changes`` and the log offset in one
    transaction, and hands the stored entries back as ``state`` after a restart: then nothing is lost or repeated.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        state: Mapping[str, bytes] | None = None,
        *,
        databases: Databases | None = None,
        engine: Engines | None = None,
        overrides: Overrides = Overrides(),  # noqa: B008 - immutable
        lateness: timedelta = LATENESS,
        cached: bool = True,
    ) -> None:
        """``engine`` is that of the same rules when it was made already; it holds nothing that a restart would lose."""
        self.ruleset = ruleset
        self.overrides = overrides  # may be replaced at any time
        self.engine = engine or Engines(searched(ruleset.rules), databases=databases, cached=cached)
        self.undated = 0  # events whose @timestamp could not be read
        self._infos = ruleset.infos()
        late = lateness // _MICROSECOND
        self._correlators = {rule.id: Correlator(rule, lateness=late) for rule in ruleset.correlations}
        self._watchers = {rule.id: made(rule, late) for rule in ruleset.watches}
        self._stateful: dict[str, Stateful] = {**self._correlators, **self._watchers}
        self.correlates = bool(self._stateful)
        self._listeners: dict[str, list[Stateful]] = defaultdict(list)
        for correlator in self._correlators.values():
            for rule_id in correlator.body.rules:
                self._listeners[rule_id].append(correlator)
        self._changes: dict[str, bytes | None] = {}
        self._tallies = Tallies()
        self._resuming = bool(state) and bool(self._watchers)
        self._reached: dict[str, int] = {}  # partition -> ingestion time of its last event since the last tick
        self._restore(state or {})

    def _restore(self, state: Mapping[str, bytes]) -> None:
        """Take state back; entries of rules that are gone or have changed are deleted."""
        for key, data in state.items():
            holder = self._stateful.get(key.rpartition(":")[0])
            try:
                if holder is None:
                    raise ValueError("the rule is gone")  # noqa: TRY301 - one way out for both
                holder.restore(data)
            except (ValueError, KeyError, TypeError):
                self._changes[key] = None
        for holder in self._stateful.values():
            holder.order()

    def watches(self, rule_id: str) -> bool:
        """Whether hits of the rule are only what a watch looks at, and say nothing by themselves."""
        return rule_id in self._watchers

    def run(self, events: Sequence[Event], hits: Sequence[Found] | None = None) -> list[Match]:
        """Matches of a batch of consecutive events of one partition, in the order in which they came about.

        ``hits`` are those of the batch when they were found already (``engine.found`` makes them of pairs).
        """
        if self._resuming:
            self._recall(events)
        matches = list(self._matches(self.engine.find(events) if hits is None else hits, events))
        if events:
            self._passed(events[-1])
        return matches

    def correlate(self, hits: Sequence[Found], events: Sequence[Event]) -> list[Match]:
        """What correlations and watches make of the hits of a batch, for callers that already have these."""
        return [match for match in self._matches(hits, events) if match.rule_id in self._stateful]

    def tick(self, now: datetime, *, read_to_end: bool = False) -> list[Match]:
        """What the mere passing of time brings about; call it after each round over all partitions.

        What counts is not the clock on the wall but how far the log has been read: a partition that had events since
        the last tick may hold more, so time has passed only to its last event's ingestion; one that had none was read
        to its end. So detection that lags behind does not take its own delay for silence. ``read_to_end``: the caller
        knows that nothing ingested before ``now`` is left to be read.
        """
        if read_to_end:
            self._reached.clear()
        clock = (now - EPOCH) // _MICROSECOND
        time = min([clock, *self._reached.values()])
        behind = time < clock
        self._reached.clear()
        self._resuming &= behind
        return [
            match
            for watcher in self._watchers.values()
            for firing in watcher.tick(time, behind=behind)
            for match in self._fired(watcher, firing, _moment(firing), None)
        ]

    def _matches(self, hits: Iterable[Found], events: Sequence[Event]) -> Iterator[Match]:
        index, time, occurrence = -1, 0, _NOTHING
        for hit in hits:
            if hit.index != index:  # hits come by event, often several
                index = hit.index
                time, occurrence = self._happened(events[index], hit.view)
            rule_id = hit.rule.info.id
            watcher = self._watchers.get(rule_id)
            if watcher is not None:
                firing = watcher.feed(occurrence)
                if firing is not None:
                    yield from self._fired(watcher, firing, occurrence, hit)
                continue
            _, tenant, capped, seen, event_id, view = occurrence
            if not self._stands(rule_id, tenant, time, seen, view):
                continue
            info = self._infos[rule_id]
            if info.alert:
                yield _match(info, hit, self.engine.explain(hit), time)
            if rule_id in self._listeners:
                yield from self._correlate(Occurrence(rule_id, tenant, capped, seen, event_id, view), hit)

    def _happened(self, event: Event, view: Mapping[str, Any]) -> tuple[int, Occurrence]:
        """The time that an event tells, and what rules that remember see of it, of whatever rule it is a hit.

        Nothing happens long after it was ingested: one event with a time far ahead would else make all later ones of
        its key late, which a sender could use to go unseen.
        """
        time, seen = self._times(event)
        tenant, event_id = str(event.get(TENANT, "")), str(event.get(EVENT_ID, ""))
        return time, Occurrence("", tenant, min(time, seen + _AHEAD), seen, event_id, view)

    def _stands(self, rule_id: str, tenant: str, time: int, seen: int, view: Mapping[str, Any]) -> bool:
        """Count a hit; False when it is switched off or excepted."""
        what = _STANDS
        if self.overrides:
            if self.overrides.is_off(tenant, rule_id):
                what = _OFF
            elif self.overrides.excepting(rule_id, tenant, seen, view) is not None:
                what = _EXCEPTED
        self._tallies.count(rule_id, tenant, time, what)
        return what == _STANDS

    def _correlate(self, occurrence: Occurrence, hit: Found | None) -> Iterator[Match]:
        """Feed those that listen, and those that listen to these."""
        for correlator in self._listeners.get(occurrence.rule_id, ()):
            tenants = correlator.rule.info.tenants
            if tenants and occurrence.tenant not in tenants:
                continue
            firing = correlator.feed(occurrence)
            if firing is not None:
                yield from self._fired(correlator, firing, occurrence, hit)

    def _fired(self, holder: Stateful, firing: Firing, occurrence: Occurrence, hit: Found | None) -> Iterator[Match]:
        """A rule that remembers fired: its match, unless it is taken out, and what those that listen make of it."""
        info = self._infos[holder.rule.id]
        view = {**occurrence.fields, **dict(firing.group)}
        if not self._stands(info.id, occurrence.tenant, occurrence.time, occurrence.seen, view):
            return
        if info.alert:
            yield _fired(info, firing, occurrence, {} if hit is None else self.engine.explain(hit))
        yield from self._correlate(occurrence._replace(rule_id=info.id, fields=view), hit)

    def _recall(self, events: Sequence[Event]) -> None:
        """Tell the watchers, which did not run for a while, when anything was ingested meanwhile."""
        minutes = {str(event.get(INGESTED))[:16] for event in events}
        times = sorted(time for minute in minutes if (time := microseconds(minute)) is not None)
        for watcher in self._watchers.values():
            watcher.heard(times)

    def _passed(self, event: Event) -> None:
        """The batch that ends with this event is done."""
        _, seen = self._times(event)
        self._reached[str(event.get(EVENT_ID, "")).partition("-")[0]] = seen
        for holder in self._stateful.values():
            holder.expire(seen)

    def _times(self, event: Event) -> tuple[int, int]:
        """Event time and time of ingestion in microseconds; each stands in for the other where it cannot be read."""
        time, seen = microseconds(event.get(TIMESTAMP)), microseconds(event.get(INGESTED))
        if time is None:
            self.undated += 1
            time = seen or 0
        return time, time if seen is None else seen

    def take_changes(self) -> dict[str, bytes | None]:
        """State entries that changed since the last call; None means that the entry is to be deleted."""
        changes, self._changes = self._changes, {}
        for holder in self._stateful.values():
            changes.update(holder.take_changes())
        return changes

    def take_tally(self) -> dict[tuple[str, str], Tally]:
        """Hits by (rule id, tenant) since the last call: those that stood, were excepted, or are switched off."""
        return self._tallies.take()

    def statistics(self) -> dict[str, int]:
        """What was not used or not kept since the start: late and undated events, dropped entries, evicted keys."""
        holders = self._stateful.values()
        return {
            "late": sum(each.late for each in holders),
            "undated": self.undated,
            "dropped": sum(each.dropped for each in holders),
            "evicted": sum(each.evicted for each in holders),
        }


def searched(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that the engine looks for in events: detections, and for each watch the events that it watches."""
    found = []
    for rule in rules:
        if isinstance(rule.body, Detection):
            found.append(rule)
        elif isinstance(rule.body, Watch):
            found.append(replace(rule, body=rule.body.detection))
    return found


def microseconds(value: object) -> int | None:
    """An RFC 3339 time as microseconds since 1970; None when it is not one."""
    return _microseconds(value) if isinstance(value, str) and len(value) <= _STAMP else None


@lru_cache(4096)  # events of one second or of one round of receiving share theirs
def _microseconds(value: str) -> int | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // _MICROSECOND


def _match(info: RuleInfo, hit: Found, fields: Mapping[str, Any], time: int) -> Match:
    view = hit.view
    return Match(
        tenant=str(view.get(TENANT, "")),
        rule_id=info.id,
        at=EPOCH + timedelta(microseconds=time),
        event_ids=(str(view.get(EVENT_ID, "")),),
        fields=fields,
        group=plain_group(info, view),
    )


def _fired(info: RuleInfo, firing: Firing, occurrence: Occurrence, fields: Mapping[str, Any]) -> Match:
    return Match(
        tenant=occurrence.tenant,
        rule_id=info.id,
        at=EPOCH + timedelta(microseconds=occurrence.time),
        event_ids=firing.event_ids[-MAX_EVENT_IDS:],
        fields={**fields, **firing.fields, **dict(firing.group)},
        group=firing.group,
        count=firing.count,
    )


def _moment(firing: Firing) -> Occurrence:
    """What stands for the event of a firing that no event brought about."""
    last = firing.event_ids[-1] if firing.event_ids else ""
    return Occurrence("", firing.tenant, firing.time, firing.time, last, firing.fields)
