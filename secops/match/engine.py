"""Matches batches of events against all detection rules at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.match.rule import Rule
    from secops.records import Event


class Hit(NamedTuple):
    """A rule holds for an event of the batch."""

    rule_id: str
    index: int  # position in the batch
    fields: Mapping[str, Any]  # the event's fields that made the rule's positive atoms true, with their values


class Engine:
    """All detection rules, compiled; has no state besides bounded caches, so it can be replaced at any time."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def match(self, events: Sequence[Event]) -> list[Hit]:
        """Hits of the batch, by event and then in the order of the rules."""
        return []
