"""The embedded index: how fast it takes events, and how fast it finds a term among a million."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.bench.figures import Figure, stopwatch
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex

if TYPE_CHECKING:
    from secops.records import Event

EVENTS: Final = 1_000_000
BATCH: Final = 5000
TERMS: Final = (
    "source.ip:203.0.113.77",
    "user.name:user4242",
    "event.outcome:failure AND host.name:host17",
    "process.pid:77777",
    "password",
    "host.name:host3 AND user.name:user1003",
)


def event(n: int) -> Event:
    """Make an sshd event as normalising gives it."""
    failed = n % 10 == 0
    ip, user = f"203.0.{n // 250 % 250}.{n % 250}", f"user{n % 5000}"
    message = f"{'Failed' if failed else 'Accepted'} password for {user} from {ip} port {1024 + n % 60000} ssh2"
    second = n // 50
    return {
        "@timestamp": f"2026-11-{24 + second // 86400 % 5:02d}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{n % 50 * 20000:06d}Z",
        "event.ingested": "2026-11-24T08:00:00.000000Z",
        "organization.id": "city",
        "event.kind": "event",
        "event.module": "linux",
        "event.dataset": "linux.sshd",
        "event.original": f"<38>Nov 24 08:00:00 host{n % 100} sshd[{n % 99991}]: {message}",
        "event.action": "ssh_login",
        "event.outcome": "failure" if failed else "success",
        "event.category": ["authentication"],
        "event.type": ["start"],
        "message": message,
        "host.name": f"host{n % 100}",
        "agent.type": "syslog",
        "log.syslog.priority": 38,
        "process.name": "sshd",
        "process.pid": n % 99991,
        "user.name": user,
        "source.ip": ip,
        "source.port": 1024 + n % 60000,
    }


def measure() -> list[Figure]:
    """Fill a log and its index with a million events, then search."""
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "log", partitions=1, writable=True)
        for start in range(0, EVENTS, BATCH):
            log.append({0: [event(n) for n in range(start, start + BATCH)]})
        index = SqliteIndex(Path(folder) / "index", log, writable=True)
        with stopwatch() as indexing:
            while got := log.read(0, index.position(0), BATCH):
                index.add(0, got)
        times = [_search(index, text) for text in TERMS for _ in range(5)]
        first = [_search(SqliteIndex(Path(folder) / "index", log), text) for text in TERMS]
        size = sum(path.stat().st_size for path in (Path(folder) / "index").rglob("*") if path.is_file())
        index.close()
        log.close()
    return [
        Figure(
            name="index",
            value=EVENTS / indexing.cpu,
            unit="events/CPU-s",
            bar=25_000,
            note=f"wall {indexing.wall:.1f} s",
        ),
        Figure(
            name="term search, 50 hits, median",
            value=statistics.median(times),
            unit="ms",
            bar=50,
            higher_is_better=False,
        ),
        Figure(
            name="term search, 50 hits, slowest",
            value=max(times),
            unit="ms",
            bar=50,
            higher_is_better=False,
            note=f"{len(TERMS)} queries, 5 times",
        ),
        Figure(name="term search, index opened anew", value=max(first), unit="ms", higher_is_better=False),
        Figure(name="index bytes per event", value=size / EVENTS, unit="bytes", higher_is_better=False),
    ]


def _search(index: SqliteIndex, text: str) -> float:
    with stopwatch() as watch:
        index.search(Query(text=text, tenants=None))
    return watch.wall * 1000
