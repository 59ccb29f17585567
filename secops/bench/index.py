"""The index side by side: the embedded one and, where a server is named, Elasticsearch, on the same events in the same run.

``SECOPS_BENCH_ELASTICSEARCH`` is the URL of a server to fill and empty again; ``SECOPS_BENCH_INDEX_EVENTS`` the number of events.
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.bench.figures import Figure, stopwatch
from secops.bench.search import BATCH, TERMS, event
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.store.elasticsearch import ElasticIndex

SERVER: Final = "SECOPS_BENCH_ELASTICSEARCH"
EVENTS: Final = "SECOPS_BENCH_INDEX_EVENTS"
DEFAULT_EVENTS: Final = 200_000
REPEATS: Final = 5
START: Final = datetime(2026, 11, 24, tzinfo=UTC)
HOUR: Final = (START, START + timedelta(hours=1))
DAY: Final = (START, START + timedelta(days=1))


def measure() -> list[Figure]:
    """Fill a log, then each index from it, then search both."""
    number = int(os.environ.get(EVENTS, DEFAULT_EVENTS))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "log", partitions=1, writable=True)
        for start in range(0, number, BATCH):
            log.append({0: [event(n) for n in range(start, min(start + BATCH, number))]})
        embedded = SqliteIndex(Path(folder) / "index", log, writable=True)
        found += _figures("embedded", embedded, log, lambda: _bytes(Path(folder) / "index"), number)
        embedded.close()
        if url := os.environ.get(SERVER):
            found += _elastic(url, log, number)
        log.close()
    return found


def _elastic(url: str, log: FileLog, number: int) -> list[Figure]:
    from secops.store.elasticsearch import ElasticIndex, Layout  # noqa: PLC0415 - its client is an extra
    from secops.store.elasticsearch_server import connect  # noqa: PLC0415 - likewise

    client = connect([url], seconds=120)
    index = ElasticIndex(client, f"bench-{secrets.token_hex(4)}", writable=True, layout=Layout(replicas=0))
    try:
        return _figures("elasticsearch", index, log, index.stored_bytes, number)
    finally:
        index.rebuild()
        index.close()


def _figures(
    engine: str, index: SqliteIndex | ElasticIndex, log: FileLog, stored: Callable[[], int], number: int
) -> list[Figure]:
    with stopwatch() as filling:
        while got := log.read(0, index.position(0), BATCH):
            index.add(0, got)
    size = stored()  # brings what was written into view, too
    everything = Query(tenants=None)
    assert sum(count for _, count in index.histogram(everything, 1)) == number
    return [
        Figure(name=f"{engine}: index", value=number / filling.wall, unit="events/s", note=f"CPU {filling.cpu:.1f} s"),
        _timed(f"{engine}: term, 50 hits", [_search(index, text) for text in TERMS], bar=50),
        _timed(f"{engine}: phrase, 50 hits", [_search(index, '"failed password for"')]),
        _timed(f"{engine}: substring within an hour", [_search(index, "*er424*", HOUR)], bar=500),
        _timed(f"{engine}: top 10 over a day", [_top(index, field) for field in ("user.name", "source.ip")], bar=300),
        _timed(f"{engine}: chart over a day", [lambda: index.histogram(_query("", DAY), 60)]),
        Figure(name=f"{engine}: bytes an event", value=size / number, unit="bytes", higher_is_better=False),
    ]


def _query(text: str, span: tuple[datetime, datetime] | None) -> Query:
    start, end = span or (None, None)
    return Query(text=text, tenants=frozenset({"city"}), start=start, end=end)


def _search(
    index: SqliteIndex | ElasticIndex, text: str, span: tuple[datetime, datetime] | None = None
) -> Callable[[], object]:
    return lambda: index.search(_query(text, span))


def _top(index: SqliteIndex | ElasticIndex, field: str) -> Callable[[], object]:
    return lambda: index.facets(_query("", DAY), field, 10)


def _timed(name: str, acts: list[Callable[[], object]], bar: float = 0.0) -> Figure:
    times = []
    for act in acts * REPEATS:
        with stopwatch() as watch:
            act()
        times.append(watch.wall * 1000)
    return Figure(
        name=f"{name}, median",
        value=statistics.median(times),
        unit="ms",
        bar=bar,
        higher_is_better=False,
        note=f"slowest {max(times):.1f} ms",
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
