"""Rules and correlations together: batches of events in, matches and changed state out."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from secops.match.correlate import Correlator, Firing, Occurrence
from secops.match.engine import Engine, Found
from secops.match.text import scalars, text_of
from secops.records import EVENT_ID, INGESTED, TENANT, TIMESTAMP, Match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from secops.match.rule import RuleSet
    from secops.match.scan import Databases
    from secops.records import Event, RuleInfo

LATENESS: Final = timedelta(minutes=5)  # how far behind its key's newest event an event may come and still count
MAX_EVENT_IDS: Final = 100
DEFAULT_GROUP: Final = ("host.name",)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Detector:
    """One shard's detection.

    The caller stores the matches of ``run``, the entries of ``take_changes`` and the log offset in one transaction,
    and hands the stored entries back as ``state`` after a restart: then nothing is lost or repeated.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        state: Mapping[str, bytes] | None = None,
        *,
        databases: Databases | None = None,
        lateness: timedelta = LATENESS,
        cached: bool = True,
    ) -> None:
        self.ruleset = ruleset
        self.engine = Engine(ruleset.detections, databases=databases, cached=cached)
        self.undated = 0  # events whose @timestamp could not be read
        self._infos = ruleset.infos()
        self.correlates = bool(ruleset.correlations)
        late = lateness // _MICROSECOND
        self._correlators = {rule.id: Correlator(rule, lateness=late) for rule in ruleset.correlations}
        self._listeners: dict[str, list[Correlator]] = defaultdict(list)
        for correlator in self._correlators.values():
            for rule_id in correlator.body.rules:
                self._listeners[rule_id].append(correlator)
        self._changes: dict[str, bytes | None] = {}
        self._restore(state or {})

    def _restore(self, state: Mapping[str, bytes]) -> None:
        """Take state back; entries of rules that are gone or have changed are deleted."""
        for key, data in state.items():
            correlator = self._correlators.get(key.rpartition(":")[0])
            try:
                if correlator is None:
                    raise ValueError("the rule is gone")  # noqa: TRY301 - one way out for both
                correlator.restore(data)
            except (ValueError, KeyError, TypeError):
                self._changes[key] = None
        for correlator in self._correlators.values():
            correlator.order()

    def run(self, events: Sequence[Event]) -> list[Match]:
        """Matches of a batch of consecutive events of one shard, in the order in which they came about."""
        matches = list(self._matches(self.engine.find(events), events))
        if events:
            self._expire(events[-1])
        return matches

    def correlate(self, hits: Sequence[Found], events: Sequence[Event]) -> list[Match]:
        """What correlations make of the hits of a batch, for callers that already have these."""
        return [match for match in self._matches(hits, events) if match.rule_id in self._correlators]

    def _matches(self, hits: Sequence[Found], events: Sequence[Event]) -> Iterator[Match]:
        for hit in hits:
            info = self._infos[hit.rule.info.id]
            listeners = self._listeners.get(info.id)
            if not info.alert and not listeners:
                continue
            event = events[hit.index]
            time, seen = self._times(event)
            if info.alert:
                yield _match(info, hit, self.engine.explain(hit), time)
            if listeners:
                occurrence = Occurrence(
                    info.id, str(event.get(TENANT, "")), time, seen, str(event.get(EVENT_ID, "")), hit.view
                )
                yield from self._correlate(occurrence, hit)

    def _correlate(self, occurrence: Occurrence, hit: Found) -> Iterator[Match]:
        """Feed those that listen, and those that listen to these."""
        for correlator in self._listeners.get(occurrence.rule_id, ()):
            firing = correlator.feed(occurrence)
            if firing is None:
                continue
            info = self._infos[correlator.rule.id]
            if info.alert:
                yield _correlated(info, firing, occurrence, self.engine.explain(hit))
            chained = {**occurrence.fields, **dict(firing.group)}
            yield from self._correlate(occurrence._replace(rule_id=info.id, fields=chained), hit)

    def _expire(self, event: Event) -> None:
        _, seen = self._times(event)
        for correlator in self._correlators.values():
            correlator.expire(seen)

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
        for correlator in self._correlators.values():
            changes.update(correlator.take_changes())
        return changes

    def statistics(self) -> dict[str, int]:
        """What was not used or not kept since the start: late and undated events, dropped entries, evicted keys."""
        correlators = self._correlators.values()
        return {
            "late": sum(each.late for each in correlators),
            "undated": self.undated,
            "dropped": sum(each.dropped for each in correlators),
            "evicted": sum(each.evicted for each in correlators),
        }


def microseconds(value: object) -> int | None:
    """An RFC 3339 time as microseconds since 1970; None when it is not one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _match(info: RuleInfo, hit: Found, fields: Mapping[str, Any], time: int) -> Match:
    view = hit.view
    return Match(
        tenant=str(view.get(TENANT, "")),
        rule_id=info.id,
        at=_EPOCH + timedelta(microseconds=time),
        event_ids=(str(view.get(EVENT_ID, "")),),
        fields=fields,
        group=tuple((name, _shown(view.get(name))) for name in info.group_by or DEFAULT_GROUP),
    )


def _correlated(info: RuleInfo, firing: Firing, occurrence: Occurrence, fields: Mapping[str, Any]) -> Match:
    return Match(
        tenant=occurrence.tenant,
        rule_id=info.id,
        at=_EPOCH + timedelta(microseconds=occurrence.time),
        event_ids=firing.event_ids[-MAX_EVENT_IDS:],
        fields={**fields, **dict(firing.group)},
        group=firing.group,
        count=firing.count,
    )


def _shown(value: object) -> str:
    return ", ".join(text for each in scalars(value) if (text := text_of(each)) is not None)[:256]
