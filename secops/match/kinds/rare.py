"""A value that makes up hardly any of a key's events: a child process that this parent almost never starts.

Rules of this kind:

* a value is rare when, of the key's events in the last ``days`` (days of event time in UTC, the event's own day
  included), at least ``least`` in number, its share is under ``share``; the event itself counts on both sides;
* it is said once a day for each value of a key;
* an event older than its key's newest by more than the lateness is late: counted as such, and not used;
* an event of yesterday that comes within the lateness is judged by the days up to yesterday.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.match.keys import fingerprint, group_value, key_of
from secops.match.kind import DAY, Keys, Kind, Place
from secops.match.ledger import Ledger, mixed
from secops.match.rule import Rule, Watch
from secops.match.stateful import Firing, Untimed

if TYPE_CHECKING:
    from secops.match.stateful import Occurrence

MAX_DAYS: Final = 90
_NEWEST: Final = 0  # what a fingerprint stands for: a key's newest event,
_COUNT: Final = 1 << 32  # ... plus a day: the events of that day,
_SAID: Final = 2 << 32  # ... plus a day: that it was said on that day


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """When a value is rare."""

    fields: tuple[str, ...]  # the value: of one field, or of several together
    group_by: tuple[str, ...]
    days: int
    share: float  # of the key's events; above 0, under 1
    least: int  # events of the key


def read(keys: Keys, _: Place) -> Settings:
    """The settings of a rule."""
    settings = Settings(
        fields=keys.texts("fields", needed=True),
        group_by=keys.group(),
        days=keys.whole("days", 1, MAX_DAYS),
        share=keys.number("share", 0.000_001, 0.5),
        least=keys.whole("least", 2, 1_000_000_000),
    )
    if settings.share * settings.least <= 1:
        raise keys.error(
            "least",
            "与 share 相乘须大于 1，否则任何值都不会罕见",
            "times share must be more than 1, or the first event of a value would not be rare yet",
        )
    return settings


class Rare(Untimed):
    """One rule over all its keys."""

    def __init__(self, rule: Rule, lateness: int) -> None:
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.dropped = 0
        self._lateness = lateness
        self._newest = 0
        meaning = fingerprint(("rare", *self.settings.fields, "", *self.settings.group_by))
        self._ledger = Ledger(rule.id, meaning)

    @property
    def evicted(self) -> int:
        """Counts forgotten because there were too many."""
        return self._ledger.evicted

    def feed(self, hit: Occurrence) -> Firing | None:
        """See Stateful."""
        settings = self.settings
        values = [hit.fields.get(name) for name in settings.fields]
        if all(value is None for value in values):
            return None
        key = key_of(hit.tenant, hit.fields, settings.group_by)
        root = fingerprint(key)
        if not self._timely(mixed(root, _NEWEST), hit.time):
            self.late += 1
            return None
        shown = tuple(map(group_value, values))
        value = fingerprint((*key, *shown))
        day = hit.time // DAY
        of_key, of_value = self._counted(root, day), self._counted(value, day)
        if of_key < settings.least or of_value >= settings.share * of_key or self._said(value, day):
            return None
        group = tuple(zip(settings.group_by, key[1:], strict=True))
        fields = {**dict(zip(settings.fields, shown, strict=True)), "rare.share": of_value / of_key}
        return Firing(group, of_value, (hit.event_id,), fields)

    def _timely(self, key: int, time: int) -> bool:
        """Whether the event is not late; the number kept of a key is the microsecond of the day of its newest event."""
        found = self._ledger.get(key)
        newest = found[0] * DAY + found[1] if found is not None else 0
        if time < newest - self._lateness:
            return False
        if time > newest:
            self._ledger.put(key, time // DAY, time % DAY)
            self._newest = max(self._newest, time)
        return True

    def _counted(self, thing: int, day: int) -> int:
        """How many events there are of it up to the day, one more than before."""
        ledger = self._ledger
        today = mixed(thing, _COUNT + day)
        found = ledger.get(today)
        count = 1 if found is None else found[1] + 1
        ledger.put(today, day, count)
        days = range(day - self.settings.days + 1, day)
        return count + sum(found[1] for each in days if (found := ledger.get(mixed(thing, _COUNT + each))) is not None)

    def _said(self, value: int, day: int) -> bool:
        """Whether the value was said to be rare on the day; it is from now on."""
        said = mixed(value, _SAID + day)
        if self._ledger.get(said) is not None:
            return True
        self._ledger.put(said, day)
        return False

    def expire(self, now: int) -> None:
        """See Stateful; a clock that runs ahead makes nobody's counts old, nor does a log of long ago that is read now."""
        self._ledger.expire((min(now, self._newest) - self._lateness) // DAY - self.settings.days)

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        return dict(self._ledger.take_changes())

    def restore(self, data: bytes) -> None:
        """See Stateful."""
        self._ledger.restore(data)

    def order(self) -> None:
        """See Stateful."""


KIND: Final = Kind("rare", Settings, read, Rare)
