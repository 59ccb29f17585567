"""A measured value beyond a bound: the free room of a disk, the days a certificate has left, the load of a host.

Rules of this kind:

* samples are the numeric values of ``field`` in the events of a key, in order of event time (of one instant: of arrival);
* at each sample the ``aggregate`` over the samples of the last ``window`` (half open: a sample exactly one window old
  is out of it) is compared; ``last`` is the sample itself;
* the rule fires once when the comparison has held at every sample for ``for``, from the first of them to one at least
  so much later; it can fire again only after recovery, which is a sample at which the comparison with ``recover`` (by
  default the same number) does not hold;
* a sample out of order is put in its place and what follows is judged anew; one older than the key's newest by more
  than the lateness, or by more than ``MAX_BEHIND`` samples, is late: counted as such, and not used;
* samples that stop coming say nothing here: that is what the kind ``absence`` is for.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from secops.match.keys import Groups, key_of
from secops.match.kind import DAY, Keys, Kind, Place
from secops.match.rule import Rule, Watch
from secops.match.stateful import Firing, Untimed
from secops.match.text import measured
from secops.match.window import COMPARE, NEVER
from secops.match.window_counts import percentile, total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secops.match.keys import Key
    from secops.match.stateful import Occurrence

MAX_WINDOW: Final = timedelta(days=7)
MAX_KEYS: Final = 50_000
MAX_SAMPLES: Final = 2048  # of one key
MAX_BEHIND: Final = 128  # samples of a key by which one may be out of order: each of them is judged anew
MAX_IDS: Final = 100
_FORGET: Final = DAY  # how long a key without samples is kept beyond what can matter

_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float], float], float]]] = {
    "last": lambda values, _: values[-1],
    "avg": lambda values, _: total(values) / len(values),
    "min": lambda values, _: min(values),
    "max": lambda values, _: max(values),
    "sum": lambda values, _: total(values),
    "percentile": lambda values, share: percentile(sorted(values), share),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in microseconds."""

    field: str
    group_by: tuple[str, ...]
    aggregate: str
    percentile: float
    window: int  # 0 with the aggregate last
    operator: str
    number: float
    holds: int  # ``for``
    recover: float


def read(keys: Keys, _: Place) -> Settings:
    """The settings of a rule."""
    aggregate = keys.choice("aggregate", _AGGREGATES, "last")
    operator, number = keys.comparison("condition")
    percent = keys.value("percentile") is not None
    window = keys.value("window") is not None
    if window == (aggregate == "last"):
        raise keys.error("window", "除 last 外必须填写", "needed with every aggregate but last, and only there")
    if percent != (aggregate == "percentile"):
        raise keys.error(
            "percentile", "仅用于且必须用于 aggregate: percentile", "needed with aggregate: percentile only"
        )
    return Settings(
        field=keys.text("field"),
        group_by=keys.group(),
        aggregate=aggregate,
        percentile=keys.number("percentile", 0, 100, 50),
        window=keys.duration("window", MAX_WINDOW, 0),
        operator=operator,
        number=number,
        holds=keys.duration("for", MAX_WINDOW, 0),
        recover=keys.number("recover", -1e300, 1e300, number),
    )


class Sample(NamedTuple):
    """One measured value."""

    time: int
    value: float
    event_id: str


class Level(NamedTuple):
    """What the samples up to some moment have led to."""

    since: int = NEVER  # first of the samples at which the comparison holds without a break
    firing: bool = False

    def after(self, settings: Settings, time: int, measure: float) -> Level:
        """The next level, when the aggregate at a sample is known."""
        compares = COMPARE[settings.operator]
        if self.firing:
            return self if compares(measure, settings.recover) else Level()
        if not compares(measure, settings.number):
            return Level()
        since = time if self.since == NEVER else self.since
        return Level(since, time - since >= settings.holds)


class Series:
    """The samples of one key that can still matter, and the level after each."""

    __slots__ = ("_times", "alarm", "before", "dropped", "levels", "samples", "seen")

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.levels: list[Level] = []
        self._times: list[int] = []
        self.before = Level()  # before the first sample that is kept
        self.alarm = False  # whether it was said that the key is beyond the bound
        self.seen = 0
        self.dropped = 0

    def timely(self, time: int, lateness: int) -> bool:
        """Whether a sample of this time can still be put in its place."""
        times = self._times
        if not times or time >= times[-1]:
            return True
        return time >= times[-1] - lateness and len(times) - bisect_right(times, time) <= MAX_BEHIND

    def add(self, settings: Settings, sample: Sample, lateness: int) -> None:
        """Take a sample that is timely, and judge anew what follows it."""
        at = bisect_right(self._times, sample.time)
        self._times.insert(at, sample.time)
        self.samples.insert(at, sample)
        self.levels.insert(at, Level())
        level = self.levels[at - 1] if at else self.before
        for place in range(at, len(self.samples)):
            level = level.after(settings, self._times[place], self.measure(settings, place))
            self.levels[place] = level
        self._forget(self._times[-1] - lateness - settings.window)

    def measure(self, settings: Settings, at: int) -> float:
        """The aggregate at a sample."""
        return _AGGREGATES[settings.aggregate](self.inside(settings, at), settings.percentile)

    def inside(self, settings: Settings, at: int) -> list[float]:
        """Values of the window that ends at a sample."""
        start = bisect_right(self._times, self._times[at] - settings.window, 0, at) if settings.window else at
        return [sample.value for sample in self.samples[start : at + 1]]

    def _forget(self, horizon: int) -> None:
        """Drop what no window can need any more; beyond the limit what is oldest, which is counted."""
        needless = min(bisect_right(self._times, horizon), len(self._times) - 1)
        over = max(0, len(self.samples) - MAX_SAMPLES - needless)
        self.dropped += over
        gone = needless + over
        if gone:
            self.before = self.levels[gone - 1]
            del self.samples[:gone], self.levels[:gone], self._times[:gone]

    def dump(self, key: Key) -> bytes:
        """The series as a state entry."""
        samples = [(*sample, *level) for sample, level in zip(self.samples, self.levels, strict=True)]
        stored = {"key": key, "samples": samples, "before": tuple(self.before), "alarm": self.alarm, "seen": self.seen}
        return orjson.dumps(stored)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Series:
        """A series from what ``dump`` made of it."""
        series = cls()
        for time, value, event_id, since, firing in stored["samples"]:
            series._times.append(time)
            series.samples.append(Sample(time, value, event_id))
            series.levels.append(Level(since, firing))
        series.before = Level(*stored["before"])
        series.alarm, series.seen = stored["alarm"], stored["seen"]
        return series


class Threshold(Untimed):
    """One rule over all its keys."""

    def __init__(self, rule: Rule, lateness: int) -> None:
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.dropped = 0
        self._lateness = lateness
        self._memory = self.settings.window + self.settings.holds + lateness + _FORGET
        self._meaning = repr(self.settings)
        self._groups: Groups[Series] = Groups(rule.id, MAX_KEYS)

    @property
    def evicted(self) -> int:
        """Keys given up because there were too many."""
        return self._groups.evicted

    def feed(self, hit: Occurrence) -> Firing | None:
        """See Stateful."""
        settings = self.settings
        value = measured(hit.fields.get(settings.field))
        if value is None:
            return None
        key = key_of(hit.tenant, hit.fields, settings.group_by)
        series = self._series(key, hit.seen)
        if not series.timely(hit.time, self._lateness):
            self.late += 1
            return None
        series.add(settings, Sample(hit.time, value, hit.event_id), self._lateness)
        self.dropped += series.dropped
        series.dropped = 0
        before, series.alarm = series.alarm, series.levels[-1].firing
        if before or not series.alarm:
            return None
        return self._firing(key, series)

    def _series(self, key: Key, seen: int) -> Series:
        series = self._groups.get(key)
        if series is None or series.seen <= seen - self._memory:
            series = self._groups.put(key, Series())
        series.seen = max(series.seen, seen)
        return series

    def _firing(self, key: Key, series: Series) -> Firing:
        settings = self.settings
        last = len(series.samples) - 1
        count = len(series.inside(settings, last))
        ids = tuple(sample.event_id for sample in series.samples[max(last + 1 - count, last + 1 - MAX_IDS) :])
        fields = {settings.field: series.samples[last].value, "threshold.value": series.measure(settings, last)}
        return Firing(tuple(zip(settings.group_by, key[1:], strict=True)), count, ids, fields)

    def expire(self, now: int) -> None:
        """See Stateful."""
        for key, series in list(self._groups.first(64)):
            if series.seen <= now - self._memory:
                self._groups.remove(key)

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        return self._groups.take_changes(lambda key, series: series.dump((self._meaning, *key)))

    def restore(self, data: bytes) -> None:
        """See Stateful."""
        stored = orjson.loads(data)
        meaning, *key = stored["key"]
        if meaning != self._meaning or len(key) != len(self.settings.group_by) + 1:
            raise ValueError("the rule has changed")
        self._groups.restored(tuple(key), Series.of(stored))

    def order(self) -> None:
        """See Stateful."""
        self._groups.order(lambda series: series.seen)


KIND: Final = Kind("threshold", Settings, read, Threshold)
