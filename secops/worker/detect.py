"""The detect role: match, correlate, alert; alerts, correlation state and cursor are one commit.

A changed rule folder is loaded and compiled beside the running set and replaces it whole; a folder that cannot be read
leaves the last good set running and says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from secops import pipeline, progress
from secops.match.detector import Detector
from secops.worker import metrics
from secops.worker.loop import Reporter, Stop
from secops.worker.rule_watch import RuleWatch

if TYPE_CHECKING:
    from secops.match.rule import RuleSet
    from secops.records import RuleInfo
    from secops.wiring import Service

IDLE_SECONDS = 0.1


@dataclass(slots=True)
class DetectRole:
    """Everything the role holds while it runs."""

    service: Service
    watch: RuleWatch
    counted: metrics.ConsumerMetrics
    own: metrics.DetectMetrics
    detector: Detector = field(init=False)
    infos: dict[str, RuleInfo] = field(init=False)
    offsets: dict[int, int] = field(init=False)

    def use(self, rules: RuleSet) -> None:
        """Begin (again) with ``rules`` from the stored state and cursors."""
        with self.service.database.read() as tx:
            state = progress.state(tx, pipeline.DETECT)
            self.offsets = {p: progress.cursor(tx, pipeline.DETECT, p) for p in range(self.service.log.partitions)}
        self.detector = Detector(rules, state)
        self.infos = {rule.info.id: rule.info for rule in rules.rules}
        self.own.rules.set(len(rules.rules))
        self.own.refused.set(len(rules.refused))

    def round(self) -> int:
        """Match what is new in every partition; give how many events were seen."""
        seen = 0
        for partition, offset in self.offsets.items():
            started = time.perf_counter()
            following, matches = pipeline.detect_next(
                self.service.log,
                self.service.database,
                self.detector,
                self.infos,
                partition,
                offset=offset,
                limit=self.service.settings.detect.batch_events,
                now=self.service.clock(),
                controls=self.service.alert_controls,
            )
            if following != offset:
                self.offsets[partition] = following
                seen += following - offset
                self.counted.events.inc(following - offset)
                self.counted.batch_seconds.observe(time.perf_counter() - started)
                self.own.matches.inc(matches)
        return seen

    def detail(self) -> dict[str, Any]:
        """What the overview shows of this role."""
        lag = sum(self.service.log.end(p) - offset for p, offset in self.offsets.items())
        self.counted.lag.set(lag)
        rules = self.watch.rules
        return {
            "lag": lag,
            "rules": len(rules.rules),
            "refused": [{"file": r.file, "line": r.line, "zh": r.zh, "en": r.en} for r in rules.refused[:50]],
            "broken": self.watch.broken,
        }


def run(service: Service) -> None:
    """Run the role until it is told to end; an error starts it again from what is stored."""
    stop = Stop().on_signals()
    registry = CollectorRegistry()
    watch = RuleWatch(service.rule_folders(), service.settings.detect.reload_seconds)
    role = DetectRole(service, watch, metrics.consumer(registry, "detect"), metrics.detect(registry))
    role.use(watch.rules)
    reporter = Reporter(service.run_dir, "detect", role.detail, service.clock)
    while not stop:
        if watch.changed(time.monotonic()):
            role.use(watch.rules)
        seen = role.round()
        reporter.tick()
        if not seen:
            stop.rest(IDLE_SECONDS)
