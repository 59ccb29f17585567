"""A source that was heard and then is silent: a host that sends no logs, a device that stopped reporting.

Rules of this kind:

* a key is heard when an event of it is ingested; when it is not heard for longer than ``for``, the rule fires once, and
  again only after the key came back and fell silent anew;
* the keys listed in ``expect`` are taken as heard when the rule begins to run, so one that never sends fires too;
* silence is measured by the time of ingestion, up to the moment to which the log has been read. The clock on the wall
  would not do: detection that lags an hour behind would find every source silent for an hour, though their events
  lie in the log. The events' own time would not do either: a source whose clock is wrong is not silent;
* a time in which nothing was ingested *because the service did not run* is no silence. The stored state says until when
  the log was followed; after a restart every stretch of the log longer than ``_PAUSE`` in which nothing at all was
  ingested, from anybody, is taken out of the count, and so is the time up to the first look at the clock;
* a silence that began and ended before anybody looked (events read in one large batch after a stop) is said as well,
  once the log has been read beyond it: until then an event of another partition might fill it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heappop, heappush
from itertools import product
from typing import TYPE_CHECKING, Final

import orjson

from secops.match.keys import Groups, Key, key_of
from secops.match.kind import DAY, SECOND, Keys, Kind, Place
from secops.match.rule import Rule, Watch
from secops.match.stateful import Firing
from secops.match.text import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from secops.match.stateful import Occurrence

MAX_SILENCE: Final = timedelta(days=31)
MAX_FORGET: Final = timedelta(days=400)
MAX_KEYS: Final = 200_000
MAX_EXPECTED: Final = 10_000
MAX_PAUSES: Final = 64
MAX_LAST: Final = 20_000
_PAUSE: Final = 300 * SECOND
_STORED: Final = 30 * SECOND  # how far the reached time must have moved to be worth a write by itself
_SPARE: Final = 10_000
_CLOCK: Final = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in microseconds."""

    group_by: tuple[str, ...]
    silence: int  # ``for``
    expect: tuple[str, ...]
    forget: int  # a key silent for so long is no source any more


def read(keys: Keys, place: Place) -> Settings:
    """The settings of a rule."""
    settings = Settings(
        group_by=keys.group(needed=True),
        silence=keys.duration("for", MAX_SILENCE),
        expect=keys.texts("expect"),
        forget=keys.duration("forget", MAX_FORGET, 60 * DAY),
    )
    if settings.expect and (len(settings.group_by) != 1 or not place.tenants):
        raise keys.error(
            "expect",
            "需要只有一个 group-by 字段，且规则写明 tenants",
            "takes one group-by field, and the rule must name its tenants",
        )
    if len(settings.expect) > MAX_EXPECTED:
        raise keys.error("expect", f"超过 {MAX_EXPECTED} 个", f"more than {MAX_EXPECTED}")
    if settings.forget <= settings.silence:
        raise keys.error("forget", "须长于 for", "must be longer than for")
    return settings


class Source:
    """What is known of one key."""

    __slots__ = ("event_id", "gap", "heard", "silent")

    def __init__(
        self, heard: int, event_id: str = "", *, silent: bool = False, gap: tuple[int, int] | None = None
    ) -> None:
        self.heard = heard  # when it was last heard
        self.event_id = event_id  # of that event; "" when it was only expected
        self.silent = silent  # whether that was said
        self.gap = gap  # a silence that is over and was not said yet


class Pauses:
    """Until when the log was followed, and when nobody followed it."""

    def __init__(self) -> None:
        self.reached = 0
        self.spans: list[tuple[int, int]] = []
        self.resuming = False  # since a restart the log has not been read to its end yet

    def heard(self, time: int) -> None:
        """Something was ingested, or the clock was looked at."""
        if self.resuming and 0 < self.reached < time - _PAUSE:
            self.spans.append((self.reached, time))
            del self.spans[:-MAX_PAUSES]
        elif time < self.reached:
            self.spans = [
                part for span in self.spans for part in _parts(span, time) if part == span or part[1] - part[0] > _PAUSE
            ]
        self.reached = max(self.reached, time)

    def silence(self, start: int, end: int) -> int:
        """How much of a stretch of time was followed."""
        return end - start - sum(max(0, min(end, last) - max(start, first)) for first, last in self.spans)


def _parts(span: tuple[int, int], time: int) -> tuple[tuple[int, int], ...]:
    """A stretch of time, cut where something was heard."""
    first, last = span
    return ((first, time), (time, last)) if first < time < last else (span,)


class Absence:
    """One rule over all its keys."""

    def __init__(self, rule: Rule, lateness: int) -> None:  # noqa: ARG002 - see the module: nothing is late
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.dropped = 0
        self._pauses = Pauses()
        self._stored = 0  # the reached time as last stored
        self._begun = False
        self._groups: Groups[Source] = Groups(rule.id, MAX_KEYS)
        self._gaps: dict[Key, None] = {}
        self._last: dict[Key, int] = {}  # key -> moment of ingestion that it was heard at last
        self._given_up = 0  # keys, when that was last right
        self._due: list[tuple[int, Key]] = []  # heap: when a key is to be looked at, once for each or more often

    @property
    def evicted(self) -> int:
        """Keys given up because there were too many."""
        return self._groups.evicted

    def feed(self, hit: Occurrence) -> None:
        """See Stateful; an event alone makes no source silent."""
        key = key_of(hit.tenant, hit.fields, self.settings.group_by)
        if self._noted(key, hit.seen):
            return
        self._begin(hit.seen)
        self._pauses.heard(hit.seen)
        source = self._groups.get(key)
        if source is None:
            self._keep(key, Source(hit.seen, hit.event_id))
            return
        if source.gap is not None and source.gap[0] < hit.seen < source.gap[1]:
            source.gap = next((part for part in _parts(source.gap, hit.seen) if self._over(part)), None)
        if hit.seen <= source.heard:
            return
        if source.silent:
            source.silent = False
            heappush(self._due, (hit.seen + self.settings.silence, key))
        elif source.gap is None and self._over((source.heard, hit.seen)):
            source.gap = source.heard, hit.seen
            self._gaps[key] = None
        source.heard, source.event_id = hit.seen, hit.event_id

    def _noted(self, key: Key, seen: int) -> bool:
        """Whether the key was heard at this very moment before: then, unless keys were given up since, nothing changes."""
        if self._groups.evicted != self._given_up or len(self._last) >= MAX_LAST:
            self._given_up = self._groups.evicted
            self._last.clear()
        if self._last.get(key) == seen:
            return True
        self._last[key] = seen
        return False

    def _over(self, span: tuple[int, int]) -> bool:
        """Whether a stretch of time is long enough, were it all followed; whether it was, is known later."""
        return span[1] - span[0] > self.settings.silence

    def _keep(self, key: Key, source: Source) -> None:
        self._groups.put(key, source)
        heappush(self._due, (source.heard + self.settings.silence, key))

    def _begin(self, now: int) -> None:
        """Take what is expected as heard now, unless it is known already."""
        if self._begun:
            return
        self._begun = True
        for key in product(self.rule.info.tenants, self.settings.expect):
            if self._groups.get(key) is None:
                self._keep(key, Source(now))

    def heard(self, times: Iterable[int]) -> None:
        """See Stateful."""
        for time in times:
            self._pauses.heard(time)

    def tick(self, now: int, *, behind: bool) -> list[Firing]:
        """See Stateful."""
        self._begin(now)
        self._pauses.heard(now)
        if not behind:
            self._pauses.resuming = False
        return [*self._past(now), *self._present(now)]

    def _past(self, now: int) -> Iterator[Firing]:
        """Silences that are over and were not said."""
        for key in list(self._gaps):
            source = self._groups.get(key)
            if source is not None and source.gap is not None:
                if source.gap[1] > now:
                    continue
                (start, end), source.gap = source.gap, None
                if self._pauses.silence(start, end) > self.settings.silence:
                    yield self._firing(key, start, end, source.event_id)
            del self._gaps[key]

    def _present(self, now: int) -> Iterator[Firing]:
        """Sources that are silent now; those long gone are forgotten."""
        settings, due = self.settings, self._due
        while due and due[0][0] < now:
            _, key = heappop(due)
            source = self._groups.peek(key)
            if source is None:
                continue
            if source.silent:
                if source.heard + settings.forget < now:
                    self._groups.remove(key)
                    self._last.pop(key, None)
                continue
            silence = self._pauses.silence(source.heard, now)
            if silence > settings.silence:
                source.silent = True
                self._groups.changed(key)
                heappush(due, (source.heard + settings.forget, key))
                yield self._firing(key, source.heard, now, source.event_id)
            else:
                heappush(due, (now + settings.silence - silence, key))
        if len(due) > 2 * len(self._groups) + _SPARE:
            self._schedule()

    def _firing(self, key: Key, start: int, end: int, event_id: str) -> Firing:
        paused = end - start - self._pauses.silence(start, end)
        group = tuple(zip(self.settings.group_by, key[1:], strict=True))
        fields = {"absence.since": written(start) if event_id else None}
        ids = (event_id,) if event_id else ()
        return Firing(group, 1, ids, fields, key[0], start + self.settings.silence + paused)

    def _schedule(self) -> None:
        """Look at every key when its time comes."""
        wait = self.settings.forget, self.settings.silence
        self._due = [(source.heard + wait[not source.silent], key) for key, source in self._groups]
        heapify(self._due)

    def expire(self, now: int) -> None:
        """See Stateful; what is forgotten is seen to by ``tick``."""

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        changes = self._groups.take_changes(self._dump)
        reached = self._pauses.reached
        if changes or reached - self._stored >= _STORED:
            self._stored = reached
            clock = {"by": self.settings.group_by, "reached": reached, "spans": self._pauses.spans}
            changes[f"{self.rule.id}:{_CLOCK}"] = orjson.dumps(clock)
        return changes

    def _dump(self, key: Key, source: Source) -> bytes:
        stored = [source.heard, source.event_id, source.silent, source.gap]
        return orjson.dumps({"by": self.settings.group_by, "key": key, "source": stored})

    def restore(self, data: bytes) -> None:
        """See Stateful."""
        stored = orjson.loads(data)
        if tuple(stored["by"]) != self.settings.group_by:
            raise ValueError("the rule has changed")
        if "reached" in stored:
            self._pauses.reached = self._stored = stored["reached"]
            self._pauses.spans = [(first, last) for first, last in stored["spans"]]
            self._pauses.resuming = True
            return
        heard, event_id, silent, gap = stored["source"]
        source = Source(heard, event_id, silent=silent, gap=gap and (gap[0], gap[1]))
        self._groups.restored(tuple(stored["key"]), source)

    def order(self) -> None:
        """See Stateful."""
        self._groups.order(lambda source: source.heard)
        self._gaps = dict.fromkeys(key for key, source in self._groups if source.gap is not None)
        self._schedule()


KIND: Final = Kind("absence", Settings, read, Absence)
