"""Where the detect role's batches come from: matched in the role itself, or by matcher processes ahead of it.

Either way batches of a partition come in order and without gaps, and what the role makes of them (correlations, alerts,
cursors) is the same: processes change how fast hits are found, not which.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from secops.records import EVENT_ID, EventId
from secops.worker.matchers import Matchers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from secops.match.engine import Found
    from secops.match.tenants import Engines
    from secops.records import Event
    from secops.settings import Settings
    from secops.store.log import Log
    from secops.worker.prepared import Prepared

AHEAD: Final = 2  # ranges in hand per matcher: one that it works on, one that waits for it
PATIENCE_SECONDS: Final = 0.5  # for an answer, before the role looks after its other duties
COSTS_EVERY: Final = 20  # batches between two looks at what rules cost


class Batch(NamedTuple):
    """Events of a partition from the cursor on, or those of them that were hit and the last."""

    partition: int
    following: int  # the next offset
    number: int  # how many events were looked at
    events: Sequence[Event]
    hits: Sequence[Found] | None  # None: not looked for yet
    costs: Mapping[str, tuple[int, int]]  # rule id -> (evaluations, CPU microseconds) since the batch before


class Source(Protocol):
    """Gives batches from the cursors on."""

    def use(self, prepared: Prepared, offsets: Mapping[int, int]) -> None:
        """Begin again at ``offsets`` with these rules; what was found with others is thrown away."""

    def batches(self) -> Iterator[Batch]:
        """What there is now: one round over the partitions; nothing when nothing is new."""

    @property
    def restarts(self) -> int:
        """How often a matcher process had to be started again."""

    def close(self) -> None:
        """End what runs beside the role."""


@dataclass(slots=True)
class Spent:
    """Turns what an engine has cost since it was made into what it cost since last time."""

    _before: dict[str, tuple[int, int]] = field(default_factory=dict)

    def since(self, total: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """The difference to the last call; an engine that was made anew begins at nothing."""
        spent = {}
        for rule_id, (evaluated, cpu_us) in total.items():
            before = self._before.get(rule_id, (0, 0))
            if evaluated < before[0] or cpu_us < before[1]:
                before = (0, 0)
            if (evaluated, cpu_us) != before:
                spent[rule_id] = (evaluated - before[0], cpu_us - before[1])
        self._before = dict(total)
        return spent


class Inline:
    """The role matches by itself."""

    restarts = 0

    def __init__(self, log: Log, limit: int) -> None:
        self._log, self._limit = log, limit
        self._offsets: dict[int, int] = {}
        self._engine: Engines | None = None
        self._spent = Spent()
        self._until_costs = COSTS_EVERY

    def use(self, prepared: Prepared, offsets: Mapping[int, int]) -> None:
        """See Source."""
        self._engine, self._offsets, self._spent = prepared.engine, dict(offsets), Spent()

    def batches(self) -> Iterator[Batch]:
        """See Source."""
        for partition, offset in self._offsets.items():
            events = self._log.read(partition, offset, self._limit, whole=False)
            if events:
                following = EventId.parse(events[-1][EVENT_ID]).offset + 1  # retention may have moved the start
                yield Batch(partition, following, len(events), events, None, self._costs())
                self._offsets[partition] = following

    def _costs(self) -> Mapping[str, tuple[int, int]]:
        self._until_costs -= 1
        if self._until_costs > 0 or self._engine is None:
            return {}
        self._until_costs = COSTS_EVERY
        return self._spent.since({rule: (each.evaluated, each.cpu_us) for rule, each in self._engine.costs().items()})

    def close(self) -> None:
        """Nothing runs beside."""


class Range(NamedTuple):
    """A range that was handed out."""

    partition: int
    answer: Future[dict[str, Any]]


class Ahead:
    """Matcher processes work on the next ranges; answers are taken in the order in which ranges were handed out."""

    def __init__(self, log: Log, limit: int, matchers: Matchers, count: int) -> None:
        self._log, self._limit, self._matchers = log, limit, matchers
        self._room = count * AHEAD
        self._out: deque[Range] = deque()
        self._offsets: dict[int, int] = {}
        self._engine: Engines | None = None
        self._rules = ""
        self._spent: dict[int, Spent] = {}
        self._asked = 0

    @property
    def restarts(self) -> int:
        """See Source."""
        return self._matchers.restarts

    def use(self, prepared: Prepared, offsets: Mapping[int, int]) -> None:
        """See Source."""
        for each in self._out:
            each.answer.cancel()
        self._out.clear()
        self._engine, self._rules = prepared.engine, str(prepared.file)
        self._offsets, self._spent = dict(offsets), {}

    def batches(self) -> Iterator[Batch]:
        """See Source."""
        self._hand_out()
        while self._out:
            each = self._out[0]
            try:
                found = each.answer.result(PATIENCE_SECONDS)
            except NotYet:
                return
            self._out.popleft()
            yield self._batch(each.partition, found)
            if self._asked >= self._room:  # a round has passed: let the role look after its other duties
                self._asked = 0
                return
            self._hand_out()

    def _hand_out(self) -> None:
        """Keep every matcher busy, the partitions in turn, the one with fewest ranges in hand first."""
        while len(self._out) < self._room:
            in_hand = Counter(each.partition for each in self._out)
            waiting = [(in_hand[p], p) for p, offset in self._offsets.items() if self._log.end(p) > offset]
            if not waiting:
                return
            _, partition = min(waiting)
            offset = self._offsets[partition]
            limit = min(self._limit, self._log.end(partition) - offset)
            request = {"partition": partition, "offset": offset, "limit": limit, "rules": self._rules}
            self._out.append(Range(partition, self._matchers.ask({**request, "costs": self._asked == 0})))
            self._offsets[partition] = offset + limit
            self._asked += 1

    def _batch(self, partition: int, found: Mapping[str, Any]) -> Batch:
        assert self._engine is not None
        events = found["events"]
        hits = self._engine.found([(rule_id, at) for rule_id, at in found["hits"]], events)
        costs = {rule_id: (evaluated, cpu_us) for rule_id, (evaluated, cpu_us) in found.get("costs", {}).items()}
        spent = self._spent.setdefault(found.get("pid", 0), Spent()).since(costs) if costs else {}
        return Batch(partition, found["following"], found["count"], events, hits, spent)

    def close(self) -> None:
        """See Source."""
        for each in self._out:
            each.answer.cancel()
        self._matchers.close()


def source(settings: Settings, log: Log, *, log_dir: Path, cache_dir: Path) -> Source:
    """What ``detect.processes`` asks for."""
    chosen = settings.detect
    if chosen.processes == 1:
        return Inline(log, chosen.batch_events)
    said = settings.log.model_dump(mode="json")  # the password goes over the matchers' own pipe, not their command line
    said["kafka"]["sasl_password"] = settings.log.kafka.sasl_password.get_secret_value()
    greeting = {"log": str(log_dir), "settings": said, "cache": str(cache_dir)}
    matchers = Matchers(chosen.processes, greeting)
    return Ahead(log, chosen.batch_events, matchers, chosen.processes)
