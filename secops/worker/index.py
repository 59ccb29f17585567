"""The index role: reads the log and keeps the search index in step; the index keeps its own place."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from secops import lease, pipeline
from secops.store.index import IndexUnavailable
from secops.worker import metrics
from secops.worker.loop import Reporter, Stop
from secops.worker.shares import Everything, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from secops.db import Database
    from secops.lease import Lease
    from secops.store.index import Index
    from secops.store.log import Log
    from secops.wiring import Service
    from secops.worker.metrics import ConsumerMetrics
    from secops.worker.shares import Shares

LOG = logging.getLogger(__name__)

BATCH = 4096  # a run of the embedded index
IDLE_SECONDS = 0.1
FIRST_PAUSE = 1.0  # seconds, doubled while the index's server stays away
LONGEST_PAUSE = 30.0
DROP_SECONDS = 60.0  # between looks at what the log no longer has, and at what can be packed


def run(service: Service) -> None:
    """Run the role until it is told to end."""
    stop = Stop().on_signals()
    index = service.writable_index()
    log, member = service.log, service.partition_member("index")
    whole = Everything(range(log.partitions))
    shares: Shares = (
        Shared(member, service.database, "index", service.machine, service.clock) if member is not None else whole
    )
    keep = Keeper(service.database, service.clock)
    counted = metrics.consumer(CollectorRegistry(), "index")
    indexing = Indexing(log, index, counted, shares=shares, keep=keep, reopen=service.writable_index)
    reporter = Reporter(service.run_dir, "index", indexing.detail, service.clock)
    while not stop:
        done = indexing.step(time.monotonic())
        reporter.tick()
        if not done:
            stop.rest(IDLE_SECONDS)
    shares.close()
    indexing.close()


class Keeper:
    """Shows a partition's lease before something of it is written; not more often than the time it may be trusted for."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._kept: dict[Lease, datetime] = {}

    def __call__(self, held: Lease) -> None:
        """Hold it for another term.

        Raises:
            LeaseLost: the partition is another's by now; the role ends and takes part anew.
        """
        now = self._now()
        if (before := self._kept.get(held)) is None or now - before >= lease.RENEW:
            with self._database.begin() as tx:
                lease.keep(tx, held, now)
            self._kept[held] = now


class Indexing:
    """Goes on where the index is; while its server stays away, waits, and says how far behind it is."""

    def __init__(
        self,
        log: Log,
        index: Index,
        counted: ConsumerMetrics,
        *,
        shares: Shares | None = None,
        keep: Callable[[Lease], None] | None = None,
        reopen: Callable[[], Index] | None = None,
    ) -> None:
        self._log, self._index, self._counted = log, index, counted
        self._shares: Shares = shares or Everything(range(log.partitions))
        self._keep, self._reopen = keep, reopen
        self._mine: Mapping[int, Lease | None] = {}
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
                pipeline.index_compact(self._index)
            self._take_over(self._shares.mine())
            done = sum(self._partition(partition, held) for partition, held in self._mine.items())
        except IndexUnavailable as error:
            self._wait(now, error.en)
            return 0
        if self._why:
            LOG.warning("the search engine is back; indexing goes on")
        self._pause, self._why = 0.0, ""
        return done

    def detail(self) -> dict[str, Any]:
        """What the role says of itself; ``waiting`` is why it does not go on, where it does not."""
        behind = sum(self._log.end(p) - self._places.get(p, 0) for p in self._mine)
        self._counted.lag.set(behind)
        return {"lag": behind, "waiting": self._why} if self._why else {"lag": behind}

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _take_over(self, mine: Mapping[int, Lease | None]) -> None:
        """Go on with these partitions; of one that came from elsewhere the index must not remember what it knew before."""
        if self._mine and mine.keys() - self._mine.keys() and self._reopen is not None:
            self._index.close()
            self._index = self._reopen()
        self._mine = mine

    def _partition(self, partition: int, held: Lease | None) -> int:
        started = time.perf_counter()
        if held is not None and self._keep is not None:
            self._keep(held)
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
