"""The index role: reads the log and keeps the search index in step; the index keeps its own place."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from secops import pipeline
from secops.store.index import IndexUnavailable
from secops.worker import metrics
from secops.worker.loop import Reporter, Stop

if TYPE_CHECKING:
    from secops.store.index import Index
    from secops.store.log import Log
    from secops.wiring import Service
    from secops.worker.metrics import ConsumerMetrics

LOG = logging.getLogger(__name__)

BATCH = 5000
IDLE_SECONDS = 0.1
FIRST_PAUSE = 1.0  # seconds, doubled while the index's server stays away
LONGEST_PAUSE = 30.0
DROP_SECONDS = 60.0  # between looks at what the log no longer has


def run(service: Service) -> None:
    """Run the role until it is told to end."""
    stop = Stop().on_signals()
    index = service.writable_index()
    indexing = Indexing(service.log, index, metrics.consumer(CollectorRegistry(), "index"))
    reporter = Reporter(service.run_dir, "index", indexing.detail, service.clock)
    while not stop:
        done = indexing.step(time.monotonic())
        reporter.tick()
        if not done:
            stop.rest(IDLE_SECONDS)
    index.close()


class Indexing:
    """Goes on where the index is; while its server stays away, waits, and says how far behind it is."""

    def __init__(self, log: Log, index: Index, counted: ConsumerMetrics) -> None:
        self._log, self._index, self._counted = log, index, counted
        self._places: dict[int, int] = {}  # as last known
        self._pause = 0.0
        self._resume_at = 0.0
        self._drop_at = 0.0
        self._why = ""

    def step(self, now: float) -> int:
        """Index a batch of each partition; gives how many events, 0 while waiting."""
        if now < self._resume_at:
            return 0
        try:
            if now >= self._drop_at:
                self._drop_at = now + DROP_SECONDS
                pipeline.index_drop(self._log, self._index)
            done = sum(self._partition(partition) for partition in range(self._log.partitions))
        except IndexUnavailable as error:
            self._wait(now, error.en)
            return 0
        if self._why:
            LOG.warning("the search engine is back; indexing goes on")
        self._pause, self._why = 0.0, ""
        return done

    def detail(self) -> dict[str, Any]:
        """What the role says of itself; ``waiting`` is why it does not go on, where it does not."""
        behind = sum(self._log.end(p) - self._places.get(p, 0) for p in range(self._log.partitions))
        self._counted.lag.set(behind)
        return {"lag": behind, "waiting": self._why} if self._why else {"lag": behind}

    def _partition(self, partition: int) -> int:
        started = time.perf_counter()
        self._places[partition] = self._index.position(partition)
        added = pipeline.index_next(self._log, self._index, partition, BATCH)
        if added:
            self._places[partition] = self._index.position(partition)
            self._counted.events.inc(added)
            self._counted.batch_seconds.observe(time.perf_counter() - started)
        return added

    def _wait(self, now: float, why: str) -> None:
        if not self._why:
            LOG.warning("indexing waits: %s", why)
        self._why = why
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._resume_at = now + self._pause
