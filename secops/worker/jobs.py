"""The jobs role: the outbox (alerts become tickets, relying parties are told), the CRL, certificates, disk, the log's seals."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from secops import outbox, status
from secops.worker import metrics
from secops.worker.keeping import Keeping
from secops.worker.lag_watch import LagWatch
from secops.worker.loop import Reporter, Stop
from secops.worker.source_gauges import SourceGauges

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from secops.wiring import Service

IDLE_SECONDS = 0.1
HOUSEKEEPING_SECONDS = 60.0
CRL_SECONDS = 10.0  # a revoked certificate of a sender is to be refused within a minute


class JobsRole:
    """Everything the role holds while it runs."""

    def __init__(self, service: Service, stop: Stop) -> None:
        self.service = service
        self.stop = stop
        self.counted = metrics.jobs(CollectorRegistry())
        self.errors: dict[str, str] = {}
        self.lag = LagWatch(service, self.counted.detect_lag)
        self.sources = SourceGauges(service, metrics.sources(CollectorRegistry()))
        self.keeping = Keeping(service, stop, metrics.store(CollectorRegistry()))

    def drain(self, kinds: Collection[type]) -> None:
        """Handle messages of ``kinds`` until asked to end."""
        while not self.stop:
            tried = outbox.drain(
                self.service.database,
                self.service.handlers(),
                self.service.clock,
                effects=self.service.effects(),
                kinds=kinds,
            )
            self.counted.outbox.inc(tried)
            if not tried:
                self.stop.rest(IDLE_SECONDS)

    def housekeeping(self) -> None:
        """What is due every minute; one failing chore must not stop the others."""
        now = self.service.clock()
        for name, chore in (
            ("sessions", lambda: self.service.identity.sweep(now)),
            ("oidc-keys", lambda: self.service.issuer.ensure_keys(now)),
        ):
            self.guarded(name, chore)

    def guarded(self, name: str, chore: Callable[[], object]) -> None:
        """Do a chore; its error is shown on the overview, and it is tried again next time."""
        try:
            chore()
            self.errors.pop(name, None)
        except Exception as error:  # noqa: BLE001 - the loop guard
            self.errors[name] = f"{type(error).__name__}: {error}"[:500]

    def detail(self) -> dict[str, Any]:
        """What the overview shows of this role."""
        disk = status.disk(self.service.settings.state, self.service.settings.log.reserve_bytes)
        self.counted.disk_free.set(disk.free)
        return {"errors": dict(self.errors)}

    def run(self) -> None:
        """Run until asked to end: messages that reach outside have a thread of their own."""
        outside = set(self.service.effects())
        inside = set(outbox.KINDS.values()) - outside
        workers = [threading.Thread(target=self.drain, args=(kinds,), name="outbox") for kinds in (inside, outside)]
        workers.append(threading.Thread(target=self.keeping.run, args=(self.guarded,), name="keeping"))
        for worker in workers:
            worker.start()
        reporter = Reporter(self.service.run_dir, "jobs", self.detail, self.service.clock)
        due = crl_due = 0.0
        while not self.stop:
            if time.monotonic() >= due:
                self.housekeeping()
                due = time.monotonic() + HOUSEKEEPING_SECONDS
            if time.monotonic() >= crl_due:
                self.guarded("crl", lambda: self.service.authority.crl(self.service.clock()))
                crl_due = time.monotonic() + CRL_SECONDS
            self.guarded("lag", self.lag.look)
            self.guarded("sources", self.sources.look)
            reporter.tick()
            self.stop.rest(0.5)
            if not all(worker.is_alive() for worker in workers):
                self.stop.set()
                raise RuntimeError("a worker thread ended; the supervisor starts the role again")
        for worker in workers:
            worker.join()


def run(service: Service) -> None:
    """Run the role until it is told to end."""
    JobsRole(service, Stop().on_signals()).run()
