"""Runs correlation rules over the hits of other rules, with state that is bounded and survives a restart.

When a rule becomes true for a group key it fires once and is then quiet for that key for one timespan of event time:
five failures make one match, the sixth to the hundredth within the timespan make none, and when the failures go on
after it, the next match counts those that came since. So every event stands behind at most one match.

An event older than the newest one of its key by more than the lateness is late: it is counted as such and not used.
An event without one of the group-by fields belongs to the group whose value is the empty text.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.match.keys import Kept, digest, group_value
from secops.match.rule import Correlation, CorrelationType, Rule
from secops.match.stateful import Firing, Untimed
from secops.match.text import measured, text_of
from secops.match.window import MICROSECONDS, NEVER, Entry, Window
from secops.match.windows import window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secops.match.keys import Key
    from secops.match.stateful import Occurrence

MAX_KEYS: Final = 200_000  # group keys of one rule
MAX_HELD: Final = 2_000_000  # hits of one rule, all keys together

_TEMPORAL: Final = frozenset({CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED})


class Group:
    """State of one key."""

    __slots__ = ("quiet_until", "seen", "window")

    def __init__(self, window: Window, quiet_until: int = NEVER, seen: int = 0) -> None:
        self.window = window
        self.quiet_until = quiet_until
        self.seen = seen


class Correlator(Untimed):
    """One correlation rule over all its keys."""

    def __init__(self, rule: Rule, *, lateness: int, max_keys: int = MAX_KEYS) -> None:
        assert isinstance(rule.body, Correlation)
        self.rule = rule
        self.body = rule.body
        self.late = self.evicted = self.dropped = 0
        self.held = 0  # hits that all keys hold together
        self._lateness = lateness
        self._memory = int(self.body.timespan.total_seconds() * MICROSECONDS) + lateness  # how long a key is kept
        self._max_keys = max_keys
        self._groups: Kept[Group] = Kept()
        self._changed: dict[tuple[str, ...], None] = {}
        self._fields = {each: tuple(self._names(each)) for each in self.body.rules}
        self._meaning = digest((self.body.type, *self.body.rules, "", *self.body.group_by, "", *self.body.fields))
        self._positions = {each: at for at, each in enumerate(self.body.rules)}
        self._value = self._reader()

    def _names(self, rule_id: str) -> Iterator[str]:
        """Fields of a rule's events that the group-by names stand for."""
        for name in self.body.group_by:
            yield self.body.aliases[name].get(rule_id, name) if name in self.body.aliases else name

    def feed(self, hit: Occurrence) -> Firing | None:
        """Take one hit of a rule that this one looks at."""
        value = self._value(hit)
        if value is None:
            return None
        fields = hit.fields
        key = (hit.tenant, *[group_value(fields.get(name)) for name in self._fields[hit.rule_id]])
        group = self._group(key, hit.seen)
        window = group.window
        if hit.seen > group.seen:  # noqa: PLR1730 - half the cost of max(), for every hit
            group.seen = hit.seen
        self._changed[key] = None
        if hit.time < window.newest - self._lateness:
            self.late += 1
            return None
        before = len(window)
        end = window.add(Entry(hit.time, value, hit.event_id), self._lateness, group.quiet_until)
        self.held += len(window) - before
        if window.dropped or self.held > MAX_HELD:
            self._bounded(window)
        if end is None:
            return None
        group.quiet_until = end + window.span
        inside = window.inside(end)
        ids = tuple(dict.fromkeys(entry.event_id for entry in inside))
        return Firing(tuple(zip(self.body.group_by, key[1:], strict=True)), len(inside), ids)

    def _bounded(self, window: Window) -> None:
        """Count what the window dropped, and keep what all keys hold together within its bound."""
        self.dropped += window.dropped
        window.dropped = 0
        if self.held > MAX_HELD:
            self._make_room()

    def _make_room(self) -> None:
        """Whichever tenant holds most gives up the key it has not seen for longest, until a tenth is free."""
        held: Counter[str] = Counter()
        for key, group in self._groups:
            held[key[0]] += len(group.window)
        while self.held > MAX_HELD * 9 // 10 and len(self._groups) > 1:
            [(tenant, _)] = held.most_common(1)
            held[tenant] -= self._evict(self._groups.oldest(tenant))

    def _evict(self, key: Key) -> int:
        """Give a key up for want of room; how many hits it held."""
        size = self._remove(key)
        self.evicted += 1
        return size

    def _reader(self) -> Callable[[Occurrence], Any]:
        """What gives the value that the window keeps of a hit; None when the hit has no bearing."""
        kind, fields, positions = self.body.type, self.body.fields, self._positions
        if kind is CorrelationType.EVENT_COUNT:
            return lambda _: 0
        if kind in _TEMPORAL:
            return lambda hit: positions[hit.rule_id]
        if kind is CorrelationType.VALUE_COUNT:
            return lambda hit: _combined(hit.fields, fields)
        [field] = fields
        return lambda hit: measured(hit.fields.get(field))

    def _group(self, key: tuple[str, ...], seen: int) -> Group:
        """The state of a key, newly made when there is none, or when it is so old that ``expire`` would remove it.

        So the verdict depends on the events alone, not on when ``expire`` is called.
        """
        groups = self._groups
        group = groups.get(key)
        if group is not None and group.seen <= seen - self._memory:
            self._remove(key)
            group = None
        if group is None:
            if len(groups) >= self._max_keys:
                self._evict(groups.largest())
            group = Group(window_of(self.body))
            groups.put(key, group)
        else:
            groups.seen(key)
        return group

    def _remove(self, key: Key) -> int:
        size = len(self._groups.remove(key).window)
        self.held -= size
        self._changed[key] = None
        return size

    def expire(self, now: int) -> None:
        """Forget the keys that have not been seen for longer than any of their hits can matter."""
        while old := [key for key, group in self._groups.first(1) if group.seen <= now - self._memory]:
            for key in old:
                self._remove(key)

    def take_changes(self) -> dict[str, bytes | None]:
        """State entries that changed since the last call; None for keys that are gone."""
        changed, self._changed = self._changed, {}
        entries: dict[str, bytes | None] = {}
        for key in changed:
            group = self._groups.get(key)
            entries[f"{self.rule.id}:{digest(key)}"] = None if group is None else _dump(self._meaning, key, group)
        return entries

    def restore(self, data: bytes) -> None:
        """Take back one entry of ``take_changes``.

        Raises:
            ValueError: the entry is not one, or of a rule that counted something else.
        """
        stored = orjson.loads(data)
        key = tuple(stored["key"])
        if len(key) != len(self.body.group_by) + 1 or stored["kind"] != self._meaning:
            raise ValueError("the rule has changed")
        entries = [Entry(*entry) for entry in stored["entries"]]
        window = window_of(self.body, entries)
        self._groups.put(key, Group(window, stored["quiet_until"], stored["seen"]))
        self.held += len(window)

    def order(self) -> None:
        """After restoring: keys by when they were last seen."""
        self._groups.order(lambda group: group.seen)


def _combined(event: Mapping[str, Any], fields: tuple[str, ...]) -> str | None:
    """The text that a value_count counts; long values are cut and hashed, for a window holds thousands of them."""
    if len(fields) == 1:
        value = event.get(fields[0])
        return group_value(value) if text_of(value) is not None else None
    values = [event.get(name) for name in fields]
    return None if all(value is None for value in values) else "\x1f".join(map(group_value, values))


def _dump(meaning: str, key: tuple[str, ...], group: Group) -> bytes:
    return orjson.dumps(
        {
            "kind": meaning,
            "key": key,
            "quiet_until": group.quiet_until,
            "seen": group.seen,
            "entries": [tuple(entry) for entry in group.window.entries()],  # orjson takes plain tuples only
        }
    )
