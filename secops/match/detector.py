"""Rules and correlations together: batches of events in, matches and changed state out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.match.rule import RuleSet
    from secops.records import Event, Match


class Detector:
    """One shard's detection.

    The caller stores the matches of ``run``, the entries of ``take_changes`` and the log offset in one transaction,
    and hands the stored entries back as ``state`` after a restart: then nothing is lost or repeated.
    """

    def __init__(self, ruleset: RuleSet, state: Mapping[str, bytes] | None = None) -> None:
        self.ruleset = ruleset
        self._changes: dict[str, bytes | None] = dict.fromkeys(state or {})

    def run(self, events: Sequence[Event]) -> list[Match]:
        """Matches of a batch of consecutive events of one shard."""
        return []

    def take_changes(self) -> dict[str, bytes | None]:
        """State entries that changed since the last call; None means that the entry is to be deleted."""
        changes, self._changes = self._changes, {}
        return changes
