"""The detect role: match, correlate, alert; alerts, correlation state and cursor are one commit.

A changed rule set is compiled beside the running one and replaces it whole between two batches; one in which a rule that
runs now would be refused leaves the last good set running and says so. Switches and exceptions are taken over without
compiling anything.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry

from secops import lease, pipeline, progress
from secops.alert.detection import raise_for_refused
from secops.match.detector import Detector
from secops.rulebook import generation
from secops.worker import batches, metrics
from secops.worker.loop import Reporter, Stop
from secops.worker.rule_watch import RuleWatch

if TYPE_CHECKING:
    from datetime import datetime

    from secops.lease import Lease
    from secops.match.overrides import Overrides
    from secops.records import Match, RuleInfo
    from secops.wiring import Service
    from secops.worker.batches import Batch, Source
    from secops.worker.prepared import Prepared

IDLE_SECONDS: Final = 0.1  # after a round of less than ROUND batches: to store what a round came to has its own price
ROUND: Final = 2
MOST: Final = 4  # batches that one transaction stores
TICK_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 1.0
SETTLE: Final = timedelta(seconds=5)  # between an event's receipt and its being in the log to be read


@dataclass(slots=True)
class Gathered:
    """What batches of several partitions came to and one transaction is to store."""

    matches: list[Match] = field(default_factory=list)
    cursors: dict[int, int] = field(default_factory=dict)  # partition -> next offset
    costs: dict[str, tuple[int, int]] = field(default_factory=dict)
    number: int = 0  # of events

    def add(self, batch: Batch, matches: list[Match]) -> None:
        """Take a batch's share."""
        self.matches += matches
        self.cursors[batch.partition] = batch.following
        self.number += batch.number
        for rule_id, (evaluated, cpu_us) in batch.costs.items():
            before = self.costs.get(rule_id, (0, 0))
            self.costs[rule_id] = (before[0] + evaluated, before[1] + cpu_us)


@dataclass(slots=True)
class DetectRole:
    """Everything the role holds while it runs."""

    service: Service
    watch: RuleWatch
    source: Source
    counted: metrics.ConsumerMetrics
    own: metrics.DetectMetrics
    held: Lease | None = None  # where several machines could detect: that this one does
    detector: Detector = field(init=False)
    infos: dict[str, RuleInfo] = field(init=False)
    offsets: dict[int, int] = field(init=False)  # as committed
    unreadable: list[str] = field(default_factory=list)  # exceptions that cannot be read (any more)
    _generation: int = -1
    _looked: float = 0.0
    _ticked: float = 0.0
    _moved: set[int] = field(default_factory=set)  # partitions that had events since the last tick
    _counts: Counter[str] = field(default_factory=Counter)
    _restarts: int = 0
    _renewed: datetime | None = None  # the lease

    def use(self, prepared: Prepared) -> None:
        """Begin (again) with these rules from the stored state and cursors."""
        with self.service.database.read() as tx:
            state = progress.state(tx, pipeline.DETECT)
            self.offsets = pipeline.detect_offsets(tx, self.service.log.partitions)
            overrides = self._overrides(generation.current(tx))
        self.detector = Detector(prepared.rules, state, engine=prepared.engine, overrides=overrides)
        self.source.use(prepared, self.offsets)
        self._counts = Counter()
        self.infos = prepared.rules.infos()
        self.own.rules.set(len(prepared.rules.rules))
        self.own.refused.set(len(prepared.rules.refused))
        self.own.reload_seconds.set(self.watch.reload_seconds)

    def look(self) -> None:
        """Take over changed rules, switches and exceptions when it is time."""
        broken = list(self.watch.broken)
        prepared = self.watch.changed()
        if prepared is not None:
            self.use(prepared)
        if self.watch.lost and self.watch.broken != broken:
            with self.service.database.begin() as tx:
                refused = [(each.file, each.line, f"{each.zh} / {each.en}") for each in self.watch.lost]
                raise_for_refused(tx, refused, self.service.clock())
        if time.monotonic() - self._looked >= self.service.settings.detect.reload_seconds:
            self._looked = time.monotonic()
            with self.service.database.read() as tx:
                current = generation.current(tx)
            if current != self._generation:
                self.detector.overrides = self._overrides(current)

    def _overrides(self, current: int) -> Overrides:
        with self.service.database.read() as tx:
            found, unreadable = pipeline.overrides(tx, self.service.clock())
        self._generation = current
        self.unreadable = [f"{number}: {error.zh} / {error.en}" for number, error in unreadable]
        return found

    def round(self) -> int:
        """Match what is new in every partition, let time pass; give how many events were seen."""
        began, seen = self.service.clock(), 0
        started, gathered = time.perf_counter(), Gathered()
        for batch in self.source.batches():
            gathered.add(batch, pipeline.about(self.detector.run(batch.events, batch.hits), batch.events))
            seen += batch.number
            if gathered.number >= MOST * self.service.settings.detect.batch_events:
                self._store(gathered, started)
                started, gathered = time.perf_counter(), Gathered()
        if gathered.cursors:
            self._store(gathered, started)
        if time.monotonic() - self._ticked >= TICK_SECONDS and self._read_so_far():
            self._tick(began - SETTLE)
        return seen

    def _store(self, gathered: Gathered, started: float) -> None:
        """Commit what was matched, and go on from there."""
        self._commit(gathered)
        self.offsets.update(gathered.cursors)
        self._moved.update(gathered.cursors)
        self.counted.events.inc(gathered.number)
        self.counted.batch_seconds.observe(time.perf_counter() - started)

    def _commit(self, gathered: Gathered) -> None:
        matches = gathered.matches
        passed = pipeline.Passed(matches, self.detector.take_changes(), self.detector.take_tally(), gathered.costs)
        if gathered.cursors or passed.matches or passed.changes or passed.tally:
            now = self.service.clock()
            controls = self.service.alert_controls
            pipeline.commit_detected(
                self.service.database,
                passed,
                self.infos,
                now=now,
                cursors=gathered.cursors,
                controls=controls,
                held=self.held,
            )
            self._renewed = now
        self.own.matches.inc(len(matches))
        for one in passed.tally.values():
            self.own.unused.labels("excepted").inc(one.excepted)
            self.own.unused.labels("switched_off").inc(one.switched_off)

    def _read_so_far(self) -> bool:
        """Whether every partition moved since the last tick or holds nothing new: only then has time passed for all."""
        log = self.service.log
        return all(p in self._moved or log.end(p) <= offset for p, offset in self.offsets.items())

    def _tick(self, now: datetime) -> None:
        self._ticked = time.monotonic()
        self._moved.clear()
        log = self.service.log
        read_to_end = all(log.end(p) <= offset for p, offset in self.offsets.items())
        self._commit(Gathered(self.detector.tick(now, read_to_end=read_to_end)))

    def renew(self) -> None:
        """Keep the lease while there is nothing to store.

        Raises:
            LeaseLost: another machine detects by now; the role ends, and waits for its turn when it is started again.
        """
        now = self.service.clock()
        if self.held is not None and (self._renewed is None or now - self._renewed >= lease.RENEW):
            with self.service.database.begin() as tx:
                lease.keep(tx, self.held, now)
            self._renewed = now

    def detail(self) -> dict[str, Any]:
        """What the overview shows of this role."""
        lag = pipeline.lag(self.service.log, self.offsets, self.service.clock())
        self.counted.lag.set(lag.events)
        unused = self._count()
        rules = self.watch.running.rules
        return {
            "lag": lag.events,
            "lag_seconds": round(lag.seconds, 1),
            "rules": len(rules.rules),
            "refused": [{"file": r.file, "line": r.line, "zh": r.zh, "en": r.en} for r in rules.refused[:50]],
            "refused_count": len(rules.refused),
            "broken": self.watch.broken,
            "unreadable_exceptions": self.unreadable[:50],
            "unused": unused,
            "processes": self.service.settings.detect.processes,
            "matcher_restarts": self.source.restarts,
            "reload_seconds": round(self.watch.reload_seconds, 2),
        }

    def _count(self) -> dict[str, int]:
        """Bring the counters up to what the detector says."""
        now = self.detector.statistics()
        for reason, value in now.items():
            self.own.unused.labels(reason).inc(max(value - self._counts[reason], 0))
        self._counts = Counter(now)
        self.own.restarts.inc(self.source.restarts - self._restarts)
        self._restarts = self.source.restarts
        return now


def turn(service: Service, stop: Stop) -> Lease | None:
    """Wait until detection is this machine's; None when told to end before. One detects, the others stand by (ADR 11)."""
    waiting_for = ""

    def detail() -> dict[str, Any]:
        return {"standby": waiting_for, "lag": 0}

    reporter = Reporter(service.run_dir, "detect", detail, service.clock)
    while not stop:
        with service.database.begin() as tx:
            held = lease.take(tx, pipeline.DETECT, service.machine, service.clock())
            waiting_for = lease.holder(tx, pipeline.DETECT)
        if held is not None:
            return held
        reporter.tick()
        stop.rest(STANDBY_SECONDS)
    return None


def run(service: Service) -> None:
    """Run the role until it is told to end; an error starts it again from what is stored."""
    stop = Stop().on_signals()
    held = None
    if service.shares_log:
        held = turn(service, stop)
        if held is None:
            return
    registry = CollectorRegistry()
    watch = RuleWatch(service.settings)
    source = batches.source(service.settings, service.log, log_dir=service.log_dir, cache_dir=service.cache_dir)
    role = DetectRole(service, watch, source, metrics.consumer(registry, "detect"), metrics.detect(registry), held)
    role.use(watch.running)
    reporter = Reporter(service.run_dir, "detect", role.detail, service.clock)
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)  # batches of events are no garbage, and have no cycles
    try:
        while not stop:
            role.look()
            role.renew()
            seen = role.round()
            reporter.tick()
            if seen < ROUND * service.settings.detect.batch_events:
                stop.rest(IDLE_SECONDS)
        if held is not None:
            with service.database.begin() as tx:
                lease.give_back(tx, held, service.clock())
    finally:
        source.close()
        watch.close()
