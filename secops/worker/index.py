"""The index role: reads the log and keeps the search index in step; the index keeps its own place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from secops import pipeline
from secops.worker import metrics
from secops.worker.loop import Reporter, Stop

if TYPE_CHECKING:
    from secops.wiring import Service

BATCH = 5000
IDLE_SECONDS = 0.1


def run(service: Service) -> None:
    """Run the role until it is told to end."""
    stop = Stop().on_signals()
    log, index = service.log, service.writable_index()
    counted = metrics.consumer(CollectorRegistry(), "index")
    partitions = range(log.partitions)

    def lag() -> int:
        return sum(log.end(p) - index.position(p) for p in partitions)

    def detail() -> dict[str, int]:
        behind = lag()
        counted.lag.set(behind)
        return {"lag": behind}

    reporter = Reporter(service.run_dir, "index", detail, service.clock)
    while not stop:
        done = 0
        for partition in partitions:
            started = time.perf_counter()
            added = pipeline.index_next(log, index, partition, BATCH)
            if added:
                counted.events.inc(added)
                counted.batch_seconds.observe(time.perf_counter() - started)
                done += added
        reporter.tick()
        if not done:
            stop.rest(IDLE_SECONDS)
    index.close()
