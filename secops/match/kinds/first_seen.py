"""A value that a key has not had before: a login of a user from an address that is new for this user.

Rules of this kind:

* for ``learn`` after a key is first seen its values are taken in and nothing is said;
* then a value that the key did not have during ``memory`` is new; it is said once, and known from then on;
* a key that was not seen during ``memory`` learns anew;
* time is that of ingestion: how long we have watched does not depend on what senders' clocks say, and a new value is
  new however late it arrives, so no event is too late;
* ages are counted in sixteenths of ``memory`` (at least an hour), so that a value met again and again is written
  seldom: it is remembered for ``memory`` at least, and a sixteenth longer at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops.match.keys import fingerprint, group_value, key_of
from secops.match.kind import SECOND, Keys, Kind, Place
from secops.match.ledger import Ledger, mixed
from secops.match.rule import Rule, Watch
from secops.match.stateful import Firing, Untimed

if TYPE_CHECKING:
    from secops.match.stateful import Occurrence

MAX_MEMORY: Final = timedelta(days=400)
_HOUR: Final = 3600 * SECOND
_PARTS: Final = 16
MAX_MET: Final = 20_000  # values remembered as met in the present step
_KEY, _VALUE = range(2)  # what a fingerprint stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in microseconds."""

    fields: tuple[str, ...]  # the value: of one field, or of several together
    group_by: tuple[str, ...]
    learn: int
    memory: int


def read(keys: Keys, _: Place) -> Settings:
    """The settings of a rule."""
    settings = Settings(
        fields=keys.texts("fields", needed=True),
        group_by=keys.group(),
        learn=keys.duration("learn", MAX_MEMORY),
        memory=keys.duration("memory", MAX_MEMORY),
    )
    if settings.memory < max(settings.learn, _HOUR):
        raise keys.error("memory", "不能短于 learn，也不能短于 1h", "must not be shorter than learn, nor than 1h")
    return settings


class FirstSeen(Untimed):
    """One rule over all its keys."""

    def __init__(self, rule: Rule, lateness: int) -> None:  # noqa: ARG002 - see the module: nothing is late
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.dropped = 0
        self._step = max(_HOUR, self.settings.memory // _PARTS)
        self._kept = -(-self.settings.memory // self._step)  # steps that a value is remembered for
        meaning = fingerprint(("first_seen", str(self._step), *self.settings.fields, "", *self.settings.group_by))
        self._ledger = Ledger(rule.id, meaning)
        self._met_in: dict[tuple[str, ...], int] = {}  # key and value -> step in which nothing is left to learn of them
        self._evicted = 0  # what the ledger had given up when that was last right

    @property
    def evicted(self) -> int:
        """Values forgotten because there were too many."""
        return self._ledger.evicted

    def feed(self, hit: Occurrence) -> Firing | None:
        """See Stateful."""
        settings = self.settings
        values = list(map(hit.fields.get, settings.fields))
        if values.count(None) == len(values):
            return None
        key = key_of(hit.tenant, hit.fields, settings.group_by)
        shown = tuple(map(group_value, values))
        step = hit.seen // self._step
        thing = key + shown
        if self._met_in.get(thing) == step:
            return None
        known = self._met(mixed(fingerprint(thing), _VALUE), step)
        learning = self._learning(mixed(fingerprint(key), _KEY), step, hit.seen)
        self._note(thing, step)
        if learning or known:
            return None
        group = tuple(zip(settings.group_by, key[1:], strict=True))
        return Firing(group, 1, (hit.event_id,), dict(zip(settings.fields, shown, strict=True)))

    def _note(self, thing: tuple[str, ...], step: int) -> None:
        """The ledger holds a thing and its key for this step: until it gives up anything, that need not be asked again."""
        if self._ledger.evicted != self._evicted:
            self._evicted = self._ledger.evicted
            self._met_in.clear()
            return
        if len(self._met_in) >= MAX_MET:
            self._met_in.clear()
        self._met_in[thing] = step

    def _met(self, value: int, step: int) -> bool:
        """Whether the value is known; it is from now on."""
        found = self._ledger.get(value)
        if found is None or found[0] < step:
            self._ledger.put(value, step)
        return found is not None and found[0] >= step - self._kept

    def _learning(self, key: int, step: int, seen: int) -> bool:
        """Whether the key is still learning; the number kept of a key is the second in which it was first seen."""
        found = self._ledger.get(key)
        if found is None or found[0] < step - self._kept:
            self._ledger.put(key, step, seen // SECOND)
            return True
        if found[0] < step:
            self._ledger.put(key, step, found[1])
        return seen // SECOND - found[1] < self.settings.learn // SECOND

    def expire(self, now: int) -> None:
        """See Stateful."""
        self._ledger.expire(now // self._step - self._kept)

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        return dict(self._ledger.take_changes())

    def restore(self, data: bytes) -> None:
        """See Stateful."""
        self._ledger.restore(data)

    def order(self) -> None:
        """See Stateful."""


KIND: Final = Kind("first_seen", Settings, read, FirstSeen)
