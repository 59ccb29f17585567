"""Windows of several rules: together (temporal), or in their order (temporal_ordered)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from secops.match.rule import Correlation, CorrelationType
from secops.match.window import NEVER, Entry, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.match.rule import Alternative

Alternatives: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Like ``Alternative``, rules written as their positions in the correlation."""


class Temporal(Window):
    """Hits of all the rules, in any order; a condition, when there is one, is on how many of the rules, or on which."""

    kinds = (CorrelationType.TEMPORAL,)

    __slots__ = ("_latest",)

    def reset(self) -> None:
        """See Window."""
        self._latest: dict[int, int] = {}

    def enter(self, entry: Entry) -> None:
        """See Window."""
        self._latest[entry.value] = entry.time

    def inserted(self, entry: Entry, at: int) -> None:  # noqa: ARG002 - see Window
        """See Window."""
        self._latest[entry.value] = max(entry.time, self._latest.get(entry.value, NEVER))

    def satisfied(self) -> bool:
        """See Window."""
        start = self._times[-1] - self.span
        return self._enough({rule for rule, time in self._latest.items() if time > start})

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        return self._enough({entry.value for entry in entries})

    def _enough(self, rules: set[int]) -> bool:
        if self.body.alternatives:
            return any(rules.issuperset(hit) and rules.isdisjoint(missing) for hit, missing in positions(self.body))
        return self.compare(len(rules)) if self.body.conditions else len(rules) == len(self.body.rules)


@lru_cache(maxsize=1024)
def _positions(rules: tuple[str, ...], alternatives: tuple[Alternative, ...]) -> tuple[Alternatives, ...]:
    place = {rule: at for at, rule in enumerate(rules)}
    return tuple((tuple(map(place.__getitem__, hit)), tuple(map(place.__getitem__, no))) for hit, no in alternatives)


def positions(body: Correlation) -> tuple[Alternatives, ...]:
    """The alternatives of a correlation, its rules written as their positions."""
    return _positions(body.rules, body.alternatives)


class TemporalOrdered(Window):
    """Hits of all the rules in the order they are written; hits of one instant are in order of arrival.

    With alternatives, of the rules of one of them, in the order in which that names them, and of none that it excludes.
    """

    kinds = (CorrelationType.TEMPORAL_ORDERED,)

    __slots__ = ("_starts",)

    def reset(self) -> None:
        """``_starts[i]`` is the latest start of a chain over the rules up to i."""
        self._starts = [NEVER] * len(self.body.rules)

    def enter(self, entry: Entry) -> None:
        """See Window."""
        _extend(self._starts, entry)

    def satisfied(self) -> bool:
        """See Window."""
        if self.body.alternatives:
            return self.holds(self.inside(self.newest))
        return self._times[-1] - self._starts[-1] < self.span

    def holds(self, entries: Sequence[Entry]) -> bool:
        """See Window."""
        if self.body.alternatives:
            rules = [entry.value for entry in entries]
            return any(_in_order(hit, rules) and not set(rules).intersection(no) for hit, no in positions(self.body))
        starts = [NEVER] * len(self.body.rules)
        for entry in entries:
            _extend(starts, entry)
        return starts[-1] != NEVER


def _in_order(wanted: Sequence[int], found: Sequence[int]) -> bool:
    """Whether the wanted ones occur one after the other among the found ones."""
    rest = iter(found)
    return all(each in rest for each in wanted)


def _extend(starts: list[int], entry: Entry) -> None:
    """A hit of the first rule starts a chain; one of another rule prolongs the chain that ends at the rule before."""
    position: int = entry.value
    starts[position] = starts[position - 1] if position else entry.time
