"""Sources as metrics: sums and the worst of each organisation and way, and nothing left of what went off the list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitors.record import Record
from secops import source_health, wiring
from secops.normalise import normalise
from secops.settings import Settings
from secops.source_health import Window, key_of
from secops.wiring import Service
from secops.worker import metrics
from secops.worker.source_gauges import LOOK_SECONDS, SourceGauges

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = Settings(state=tmp_path / "state", _env_file=None)  # type: ignore[call-arg]
    wiring.prepare(settings)
    with wiring.opened(settings) as opened:
        opened.clock = lambda: AT
        yield opened


def arrive(service: Service, host: str, *, late: float, at: datetime = AT, tenant: str = "city") -> None:
    stamp = (at - timedelta(seconds=late)).strftime("%Y-%m-%dT%H:%M:%SZ")
    raw = f"<38>1 {stamp} {host} app - - - nobody parses this".encode()
    windows: dict[source_health.Key, Window] = {}
    for event in normalise([Record(raw, at, "syslog", "192.0.2.1:1", tenant, "syslog")]):
        windows.setdefault(key_of(event), Window()).add(event)
    with service.database.begin() as tx:
        source_health.record(tx, windows, 10.0)


def test_the_worst_of_those_that_send_and_the_number_of_those_that_do_not(service: Service) -> None:
    arrive(service, "late", late=90)
    arrive(service, "ahead", late=-40)
    arrive(service, "silent", late=7000, at=AT - timedelta(hours=3))
    arrive(service, "other", late=1, tenant="north")
    registry = CollectorRegistry()
    now = [0.0]
    gauges = SourceGauges(service, metrics.sources(registry), lambda: now[0])

    def value(name: str, tenant: str = "city") -> float | None:
        return registry.get_sample_value(f"secops_sources_{name}", {"tenant": tenant, "collector": "syslog"})

    gauges.look()
    assert (value("known"), value("silent"), value("unread")) == (3, 1, 3)
    assert (value("lag_seconds"), value("clock_ahead_seconds")) == (90, 40)
    assert (value("known", "north"), value("silent", "north")) == (1, 0)
    with service.database.begin() as tx:
        for row in list(source_health.every(tx)):
            if row.tenant == "north":
                source_health.forget(tx, row, actor="a", now=AT)
    gauges.look()
    assert value("known", "north") == 1, "it looks now and then only"
    now[0] += LOOK_SECONDS
    gauges.look()
    assert value("known", "north") == 0
