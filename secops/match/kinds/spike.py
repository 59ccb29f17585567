"""Far more events in this hour than in the same hour of earlier days.

Rules of this kind:

* events are counted by key and bucket (an hour, or another part of a day, in UTC event time);
* what is usual is the median of the same bucket of the ``days`` days before, days without events counting as none
  since the key was first seen; with fewer than ``history`` such days nothing is said;
* how far counts usually stray is 1.4826 times their median absolute deviation (which is the standard deviation, were
  they normally distributed; one day of attack among the earlier ones hardly moves either median), but at least the
  square root of the median, as for any count, and at least 1;
* it fires once a bucket, as soon as the count reaches ``least`` and exceeds the median by more than ``deviations`` times
  that;
* an event older than its key's newest by more than the lateness is late: counted as such, and not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from secops.match.keys import fingerprint, key_of
from secops.match.kind import DAY, SECOND, Keys, Kind, Place
from secops.match.ledger import Ledger, mixed
from secops.match.rule import Rule, Watch
from secops.match.stateful import Firing, Untimed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.match.stateful import Occurrence

MAX_DAYS: Final = 60
MIN_BUCKET: Final = 300 * SECOND
_FIRST: Final = 0  # what a fingerprint stands for: the first bucket of a key,
_NEWEST: Final = 1  # ... its newest event,
_COUNT: Final = 1 << 32  # ... plus a bucket: the events in it,
_SAID: Final = 2 << 32  # ... plus a bucket: that it was said in it
_NORMAL: Final = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What counts as a spike."""

    group_by: tuple[str, ...]
    bucket: int  # microseconds; a whole number of them make a day
    days: int
    history: int
    least: int
    deviations: float


def read(keys: Keys, _: Place) -> Settings:
    """The settings of a rule."""
    settings = Settings(
        group_by=keys.group(),
        bucket=keys.duration("bucket", timedelta(days=1), DAY // 24),
        days=keys.whole("days", 1, MAX_DAYS, 14),
        history=keys.whole("history", 1, MAX_DAYS, 3),
        least=keys.whole("least", 2, 1_000_000_000),
        deviations=keys.number("deviations", 1, 1000, 4),
    )
    if DAY % settings.bucket or settings.bucket < MIN_BUCKET:
        raise keys.error(
            "bucket", "须能整除一天且不短于 5m，如 1h、30m", "at least 5m, and a day must be a whole number of them"
        )
    if settings.history > settings.days:
        raise keys.error("history", "不能多于 days", "must not be more than days")
    return settings


def unusual(count: int, earlier: Sequence[int], deviations: float) -> bool:
    """Whether a count exceeds what the earlier ones lead to expect."""
    usual = median(earlier)
    stray = _NORMAL * median(abs(each - usual) for each in earlier)
    return count > usual + deviations * max(stray, math.sqrt(usual), 1.0)


class Spike(Untimed):
    """One rule over all its keys."""

    def __init__(self, rule: Rule, lateness: int) -> None:
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.dropped = 0
        self._lateness = lateness
        self._newest = 0
        self._per_day = DAY // self.settings.bucket
        meaning = fingerprint(("spike", str(self.settings.bucket), *self.settings.group_by))
        self._ledger = Ledger(rule.id, meaning)

    @property
    def evicted(self) -> int:
        """Counts forgotten because there were too many."""
        return self._ledger.evicted

    def feed(self, hit: Occurrence) -> Firing | None:
        """See Stateful."""
        settings = self.settings
        key = key_of(hit.tenant, hit.fields, settings.group_by)
        root = fingerprint(key)
        bucket = hit.time // settings.bucket
        if not self._timely(root, hit.time, bucket):
            self.late += 1
            return None
        first = self._first(root, bucket)
        count = self._counted(root, bucket)
        if count < settings.least or self._ledger.get(mixed(root, _SAID + bucket)) is not None:
            return None
        earlier = self._earlier(root, bucket, first)
        if len(earlier) < settings.history or not unusual(count, earlier, settings.deviations):
            return None
        self._ledger.put(mixed(root, _SAID + bucket), bucket)
        group = tuple(zip(settings.group_by, key[1:], strict=True))
        fields = {"spike.count": count, "spike.usual": median(earlier)}
        return Firing(group, count, (hit.event_id,), fields)

    def _timely(self, root: int, time: int, bucket: int) -> bool:
        """Whether the event is not late; the numbers kept of a key are places inside a bucket."""
        size, ledger = self.settings.bucket, self._ledger
        found = ledger.get(mixed(root, _NEWEST))
        newest = found[0] * size + found[1] if found is not None else 0
        if time < newest - self._lateness:
            return False
        if time > newest:
            ledger.put(mixed(root, _NEWEST), bucket, time % size)
            self._newest = max(self._newest, time)
        return True

    def _counted(self, root: int, bucket: int) -> int:
        """How many events the bucket holds now."""
        place = mixed(root, _COUNT + bucket)
        found = self._ledger.get(place)
        count = 1 if found is None else found[1] + 1
        self._ledger.put(place, bucket, count)
        return count

    def _first(self, root: int, bucket: int) -> int:
        """The key's first bucket; a key not seen for ``days`` begins anew. Its age is that of the newest bucket."""
        place = mixed(root, _FIRST)
        found = self._ledger.get(place)
        if found is None or found[0] < bucket - self.settings.days * self._per_day:
            found = bucket, bucket
            self._ledger.put(place, *found)
        elif found[0] < bucket or bucket < found[1]:
            found = max(found[0], bucket), min(found[1], bucket)
            self._ledger.put(place, *found)
        return found[1]

    def _earlier(self, root: int, bucket: int, first: int) -> list[int]:
        """Counts of the same bucket of the earlier days since the key was first seen."""
        ledger, per_day = self._ledger, self._per_day
        earlier = (bucket - day * per_day for day in range(1, self.settings.days + 1))
        found = [ledger.get(mixed(root, _COUNT + each)) for each in earlier if each >= first]
        return [0 if each is None else each[1] for each in found]

    def expire(self, now: int) -> None:
        """See Stateful; a clock that runs ahead makes nobody's counts old, nor does a log of long ago that is read now."""
        oldest = (min(now, self._newest) - self._lateness) // self.settings.bucket - self.settings.days * self._per_day
        self._ledger.expire(oldest)

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        return dict(self._ledger.take_changes())

    def restore(self, data: bytes) -> None:
        """See Stateful."""
        self._ledger.restore(data)

    def order(self) -> None:
        """See Stateful."""


KIND: Final = Kind("spike", Settings, read, Spike)
