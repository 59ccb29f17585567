"""What each rule costs: how often it is looked at and how long that takes, measured on every 64th event.

Measuring every event would cost more than most rules do. What was seen of the sample is multiplied, so two of the three
figures are estimates; the number of hits is counted.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from secops.match.generate import Folded, Texts
    from secops.match.plan import Candidate

EVERY: Final = 64  # events, of which one is measured


class Cost(NamedTuple):
    """A rule's cost since its engine was made."""

    evaluated: int  # events for which the rule was looked at (estimate)
    matched: int  # events for which it held
    cpu_us: int  # time that looking took, in microseconds of CPU (estimate)


class Costs:
    """Adds up what the rules of one engine cost."""

    def __init__(self) -> None:
        self._evaluated: Counter[str] = Counter()
        self._nanoseconds: Counter[str] = Counter()
        self.matched: Counter[str] = Counter()
        self.turn = EVERY  # events until the next one that is measured

    def holds(self, candidate: Candidate, texts: Texts, folded: Folded, view: Mapping[str, Any]) -> bool:
        """Whether a candidate holds, with the time that it took kept."""
        started = time.thread_time_ns()
        held = candidate.holds(texts, folded, view)
        self._nanoseconds[candidate.rule.id] += time.thread_time_ns() - started
        self._evaluated[candidate.rule.id] += 1
        return held

    def all(self) -> dict[str, Cost]:
        """The cost of every rule that was looked at; the others have cost nothing."""
        return {
            rule_id: Cost(
                max(self._evaluated[rule_id] * EVERY, self.matched[rule_id]),
                self.matched[rule_id],
                self._nanoseconds[rule_id] * EVERY // 1000,
            )
            for rule_id in self._evaluated.keys() | self.matched.keys()
        }
