"""The ingest role: collectors, normalise, append. The only writer of the event log."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from ca.revocation import newest_crl
from monitors import collector as collecting
from monitors.record import SinkFull
from secops import pipeline, source_quotas, sources, status
from secops.normalise.custom_shelf import CustomShelf
from secops.source_quotas import Quota
from secops.worker import metrics
from secops.worker.audit_feed import AUDIT, audit_records
from secops.worker.batcher import Batcher
from secops.worker.default_collectors import default_collectors
from secops.worker.probing import probe_forever
from secops.worker.quota import QuotaBook
from secops.worker.shared_audit import NAME, SharedAudit
from secops.worker.source_book import SourceBook
from secops.worker.source_tally import SourceTally
from secops.worker.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from monitors.record import Record
    from secops.source_quotas import Usage
    from secops.store.log import Log
    from secops.wiring import Service

AUDIT_SECONDS = 0.2
REFRESH_SECONDS = 0.1
REPORT_SECONDS = 1.0
RESTART_SECONDS = 5.0
DRAIN_SECONDS = 5.0  # for the collectors to end
WRITE_SECONDS = 9.0  # for what is queued; with DRAIN_SECONDS within the supervisor's patience
UPLOADS = "uploads"
SOURCES = "sources"  # among the errors that the overview shows


class IngestRole:
    """Everything the role holds while it runs."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.log = service.writable_log()
        self.metrics = metrics.ingest(CollectorRegistry())
        self.counters = collecting.Counters()
        self.tokens: Mapping[str, str] = {}
        self._tokens_read = 0.0
        self.zone = service.settings.ingest.zone(service.clock())
        settings = service.settings.ingest
        self.quota = QuotaBook(Quota(settings.events_per_second, settings.bytes_per_day), time.monotonic)
        self.batcher = Batcher(
            self._write,
            batch_events=settings.batch_events,
            queue_events=settings.queue_events,
            queue_bytes=settings.queue_bytes,
            quota=self.quota,
        )
        self.collectors: dict[str, collecting.Collector] = {}
        self.errors: dict[str, str] = {}
        self.shelf = CustomShelf(service.parsers_dir)
        self.shelf.refresh()
        self.tally = SourceTally(time.monotonic())
        self.noted = SourceBook(service.database, self.tally, service.clock, time.monotonic)
        self._published: dict[tuple[str, str], int] = {}

    def _write(self, records: Sequence[Record], log: Log | None = None) -> None:
        started = time.perf_counter()
        stored, quarantined = pipeline.ingest(records, log or self.log, self.zone, self.tally.add, self.shelf.parsers)
        self.metrics.batch_seconds.observe(time.perf_counter() - started)
        self.metrics.stored.inc(stored)
        self.metrics.quarantined.inc(quarantined)

    def build_collectors(self) -> None:
        """Make the configured collectors; a wrong one is reported and the others run."""
        settings = self.service.settings.ingest
        wanted = {**(default_collectors(settings) if settings.defaults else {}), **settings.collectors}
        surroundings = collecting.Surroundings(
            counters=self.counters,
            positions=self.log.positions(),
            tokens=lambda: self.tokens,
            refresh_tokens=self._refresh_tokens,
            wait=self.quota.ask,
            revoked=self._revoked,
            endpoints=frozenset(settings.pull_endpoints),
        )
        for name, described in wanted.items():
            kind = str(described.get("kind", ""))
            own = {key: value for key, value in described.items() if key != "kind"}
            try:
                self.collectors[name] = collecting.build(kind, own, surroundings)
            except KeyError:
                self.errors[name] = f"没有名为 {kind!r} 的采集器 / no collector kind {kind!r}"
            except ValueError as error:  # pydantic's ValidationError is one
                self.errors[name] = str(error)[:500]

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; whatever was submitted before is stored.

        A log that could not be written for another reason than a full disk must be opened anew: the role ends with that
        error, and the supervisor starts it again, which repairs the tail.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._load_tokens()
        self.build_collectors()
        drained = asyncio.Event()
        writing = asyncio.ensure_future(self.batcher.run(drained))
        stopping = asyncio.ensure_future(stop.wait())
        tasks = [asyncio.ensure_future(task) for task in self._tasks(stop)]
        try:
            await asyncio.wait({stopping, writing}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            self.batcher.hurry()
            if not writing.done():
                await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            drained.set()  # the batcher writes what is queued, then ends
            await asyncio.wait({writing}, timeout=WRITE_SECONDS)
            writing.cancel()
            (outcome,) = await asyncio.gather(writing, return_exceptions=True)
            self.batcher.give_up()
            self.log.close()
            if self.batcher.lost:
                status.report(self.service.run_dir, "ingest", self.detail(), self.service.clock())
        if isinstance(outcome, Exception):
            raise outcome

    def _tasks(self, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        now = self.service.clock
        running = [
            self._guard(name, lambda c=collector: c.run(self.batcher, now=now, stop=stop), stop)
            for name, collector in self.collectors.items()
        ]
        probing = self._guard("probes", lambda: probe_forever(self.service, self.batcher, stop), stop)
        feeding = self._guard(UPLOADS, lambda: self._feed_uploads(stop), stop)
        return [*running, probing, feeding, self._guard(AUDIT, lambda: self._feed_audit(stop), stop), self._look(stop)]

    async def _guard(self, name: str, make: Any, stop: asyncio.Event) -> None:  # noqa: ANN401 - a factory of coroutines
        """Run a collector again when it fails; its error is shown on the overview."""
        while not stop.is_set():
            try:
                await make()
                self.errors.pop(name, None)
            except Exception as error:  # noqa: BLE001 - the loop guard: one collector must not end the others
                self.errors[name] = f"{type(error).__name__}: {error}"[:500]
            else:
                return
            await collecting.stopped_within(stop, RESTART_SECONDS)

    async def _feed_audit(self, stop: asyncio.Event) -> None:
        if self.service.shares_log:
            service = self.service
            feeder = SharedAudit(
                service.database, service.machine, lambda: service.writable_log(NAME), self._write, service.clock
            )
            await asyncio.to_thread(feeder.run, stop.is_set)
            return
        last_id = int(self.log.positions().get(AUDIT, 0))
        while not stop.is_set():
            records = await asyncio.to_thread(audit_records, self.service.database, last_id, self.service.clock())
            if records:
                try:
                    await self.batcher.submit(records)
                    last_id = int(records[-1].position[1]) if records[-1].position else last_id
                    continue
                except SinkFull:
                    pass  # the rows stay in the database; the next round tries again
            await collecting.stopped_within(stop, AUDIT_SECONDS)

    async def _feed_uploads(self, stop: asyncio.Event) -> None:
        await Uploads(self.service, self.batcher, self.log.positions(), self.counters).run(stop)

    async def _look(self, stop: asyncio.Event) -> None:
        """Once a second: tokens, metrics, status."""
        while not await collecting.stopped_within(stop, REPORT_SECONDS):
            await asyncio.to_thread(self._load_tokens)
            await asyncio.to_thread(self.shelf.refresh)
            usage = self.quota.take_usage()
            self._count_usage(usage)
            await asyncio.to_thread(self._note_sources, usage)
            self._publish()
            await asyncio.to_thread(
                status.report, self.service.run_dir, "ingest", self.detail(), self.service.clock()
            )  # in a thread: a busy disk must not keep the loop from datagrams

    def _refresh_tokens(self) -> None:
        """Read the tokens anew, at most ten times a second however many strangers knock."""
        if time.monotonic() - self._tokens_read >= REFRESH_SECONDS:
            self._load_tokens()

    def _revoked(self) -> bytes:
        """Give our own authority's newest list of revoked certificates; whoever cannot read it keeps the last one.

        Raises:
            OSError: the database does not answer.
        """
        try:
            with self.service.database.read() as tx:
                return newest_crl(tx)
        except SQLAlchemyError as error:
            raise OSError(str(error)[:300]) from error

    def _load_tokens(self) -> None:
        self._tokens_read = time.monotonic()
        with self.service.database.read() as tx:
            self.tokens = sources.tenants_by_token(tx)
            self.quota.own = source_quotas.quotas(tx)
            today = self.service.clock().date()
            if self.quota.day != today:
                self.quota.begin_day(today, {row.tenant: row.bytes for row in source_quotas.usage_of(tx, today)})

    def _note_sources(self, usage: Mapping[str, Usage]) -> None:
        """Store what came from which source and tenant; what cannot be stored is told as an error, not as an end of the role."""
        try:
            self.noted.note(usage)
            self.errors.pop(SOURCES, None)
        except SQLAlchemyError as error:
            self.errors[SOURCES] = f"{type(error).__name__}: {error}"[:500]

    def _count_usage(self, usage: Mapping[str, Usage]) -> None:
        for tenant, one in usage.items():
            self.metrics.quota_slowed.labels(tenant).inc(one.slowed)
            self.metrics.quota_dropped.labels(tenant).inc(one.dropped)

    def _publish(self) -> None:
        self.metrics.queued.set(self.batcher.queued)
        self.metrics.accepting.set(0 if self.batcher.full else 1)
        for now, gauge in (
            (self.counters.connections, self.metrics.connections),
            (self.counters.handshakes, self.metrics.handshakes),
        ):
            for kind, value in now.items():
                gauge.labels(kind).set(value)
        for what, counted, metric in (
            ("received", self.counters.received, self.metrics.received),
            ("dropped", self.counters.dropped, self.metrics.dropped),
            ("rejected", self.counters.rejected, self.metrics.rejected),
            ("handshakes_failed", self.counters.handshakes_failed, self.metrics.handshakes_failed),
            ("silent", self.counters.silent, self.metrics.silent),
        ):
            for kind, value in counted.items():
                metric.labels(kind).inc(value - self._published.get((what, kind), 0))
                self._published[what, kind] = value

    def detail(self) -> dict[str, Any]:
        """What the overview shows of this role."""
        return {
            "accepting": not self.batcher.full,
            "queued": self.batcher.queued,
            "lost": self.batcher.lost,
            "received": dict(self.counters.received),
            "dropped": dict(self.counters.dropped),
            "rejected": dict(self.counters.rejected),
            "collectors": {
                name: {
                    "kind": one.kind,
                    "tenant": one.tenant,
                    "ok": one.status.ok and name not in self.errors,
                    "zh": one.status.zh,
                    "en": one.status.en,
                }
                for name, one in self.collectors.items()
            },
            "errors": {**self.errors, **{f"parser {b.tenant}/{b.file}": f"{b.zh} / {b.en}" for b in self.shelf.broken}},
        }


def run(service: Service) -> None:
    """Run the role until it is told to end."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)  # batches of events are no garbage, and have no cycles: a third of the CPU
    asyncio.run(IngestRole(service).run())
