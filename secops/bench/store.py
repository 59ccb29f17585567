"""The event store over millions of events of several kinds, departments and days: what is asked of it, and its disk.

``SECOPS_BENCH_STORE_EVENTS`` is the number of events, ``SECOPS_BENCH_EVENTS`` a file of Windows events as JSON lines that are
a tenth of them, ``SECOPS_BENCH_ELASTICSEARCH`` the URL of a server to fill from the same log and empty again.
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.bench import mixture
from secops.bench.figures import Figure, stopwatch
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from secops.store.elasticsearch import ElasticIndex

    Index = SqliteIndex | ElasticIndex
    Span = tuple[datetime, datetime]

EVENTS: Final = "SECOPS_BENCH_STORE_EVENTS"
FILE: Final = "SECOPS_BENCH_EVENTS"
SERVER: Final = "SECOPS_BENCH_ELASTICSEARCH"
DEFAULT_EVENTS: Final = 200_000
PARTITIONS: Final = 4
BATCH: Final = 5000
REPEATS: Final = 5
MIDDLE: Final = mixture.START + timedelta(days=2)
DAY: Final = (MIDDLE, MIDDLE + timedelta(days=1))
HOUR: Final = (MIDDLE + timedelta(hours=9), MIDDLE + timedelta(hours=10))
TERMS: Final = ("source.ip:203.0.7.77", "user.name:user1", "process.pid:77777", "77777", "password", "powershell")
SUBSTRINGS: Final = ("*er424*", "*51.100.7*", "*zzzqq*")
FIELDS: Final = ("user.name", "source.ip", "event.action", "host.name")


def measure() -> list[Figure]:
    """Fill a log and an index, ask both engines, and weigh what lies on the disk."""
    number = int(os.environ.get(EVENTS, DEFAULT_EVENTS))
    windows = mixture.read_windows(Path(os.environ[FILE])) if FILE in os.environ else []
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "log", partitions=PARTITIONS, writable=True)
        raw = mixture.fill(log, number, windows)
        index = SqliteIndex(Path(folder) / "index", log, writable=True)
        found = [_filled("embedded", index, log, number)]
        while index.compact():
            pass
        found += [*_asked("embedded", index), _weighed(Path(folder), raw)]
        index.close()
        if url := os.environ.get(SERVER):
            found += _elastic(url, log, number)
        log.close()
    return found


def _elastic(url: str, log: FileLog, number: int) -> list[Figure]:
    from secops.store.elasticsearch import ElasticIndex, Layout  # noqa: PLC0415 - its client is an extra
    from secops.store.elasticsearch_server import connect  # noqa: PLC0415 - likewise

    index = ElasticIndex(
        connect([url], seconds=120), f"bench-{secrets.token_hex(4)}", writable=True, layout=Layout(replicas=0)
    )
    try:
        filled = _filled("elasticsearch", index, log, number)
        size = index.stored_bytes() / number  # brings what was written into view, too
        weight = Figure(name="elasticsearch: bytes an event", value=size, unit="bytes", higher_is_better=False)
        return [filled, *_asked("elasticsearch", index), weight]
    finally:
        index.rebuild()
        index.close()


def _filled(engine: str, index: Index, log: FileLog, number: int) -> Figure:
    with stopwatch() as watch:
        for number_of in range(log.partitions):
            while got := log.read(number_of, index.position(number_of), BATCH):
                index.add(number_of, got)
    note = f"CPU {watch.cpu:.1f} s"
    return Figure(name=f"{engine}: {number:,} events indexed", value=number / watch.wall, unit="events/s", note=note)


def _asked(engine: str, index: Index) -> list[Figure]:
    return [
        _slowest(f"{engine}: term, 50 hits", 50, [partial(index.search, _query(text)) for text in TERMS]),
        _slowest(
            f"{engine}: substring within an hour", 500, [partial(index.search, _query(t, HOUR)) for t in SUBSTRINGS]
        ),
        _slowest(f"{engine}: top 10 over a day", 300, [partial(index.facets, _query("", DAY), f, 10) for f in FIELDS]),
        _slowest(f"{engine}: chart over a day", 0, [partial(index.histogram, _query("", DAY), 60)]),
    ]


def _query(text: str, span: Span | None = None) -> Query:
    start, end = span or (None, None)
    return Query(text=text, tenants=frozenset({"city"}), start=start, end=end)


def _slowest(name: str, bar: float, acts: list[Callable[[], object]]) -> Figure:
    """The slowest question, each by its median."""
    medians, most = [], 0.0
    for act in acts:
        times = []
        for _ in range(REPEATS):
            with stopwatch() as watch:
                act()
            times.append(watch.wall * 1000)
        medians.append(statistics.median(times))
        most = max(most, *times)
    note = f"the others from {min(medians):.1f} ms; once {most:.0f} ms"
    return Figure(name=name, value=max(medians), unit="ms", bar=bar, higher_is_better=False, note=note)


def _weighed(folder: Path, raw: int) -> Figure:
    log, index = (
        sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file()) for name in ("log", "index")
    )
    note = f"received {raw / 2**20:,.0f} MiB; log {log / 2**20:,.0f}, index {index / 2**20:,.0f} MiB"
    return Figure(name="received bytes for each on the disk", value=raw / (log + index), unit="times", note=note)
