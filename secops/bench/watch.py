"""Watches: events fed into each kind, and what a million entries or values cost in memory."""

from __future__ import annotations

import gc
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

from secops.bench.figures import Figure, stopwatch
from secops.match.indicators import read_list
from secops.match.keys import fingerprint
from secops.match.kind import made
from secops.match.ledger import Ledger, mixed
from secops.match.load import load_rules
from secops.match.stateful import Occurrence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MILLION: Final = 1_000_000
FED: Final = 100_000
LATENESS: Final = int(timedelta(minutes=5).total_seconds()) * MILLION
START: Final = 1_795_000_000 * MILLION
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "absence": {"group-by": "host.name", "for": "1h"},
    "first_seen": {"group-by": "host.name", "fields": "source.ip", "learn": "1h", "memory": "30d"},
    "rare": {"group-by": "host.name", "fields": "source.ip", "days": 14, "share": 0.001, "least": 10_000},
    "spike": {"group-by": "host.name", "least": 1_000_000},
    "threshold": {
        "group-by": "host.name", "field": "value", "aggregate": "avg", "window": "5m", "condition": {"gt": 100},
    },
}  # fmt: skip


def measure() -> list[Figure]:
    """Each kind by itself; memory is what the process grew by."""
    return [*(_fed(kind) for kind in _BODIES), *_remembered(), *_listed()]


def _rule(kind: str, folder: Path) -> Any:  # noqa: ANN401 - see Stateful
    document = {
        "title": kind,
        "id": f"bench-{kind}",
        "logsource": {"product": "bench"},
        "watch": {"type": kind, **_BODIES[kind]},
    }
    (folder / "rule.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return made(load_rules([folder]).rules[0], LATENESS)


def _fed(kind: str) -> Figure:
    with TemporaryDirectory() as folder:
        watcher = _rule(kind, Path(folder))
    events = list(_occurrences())
    with stopwatch() as watch:
        for event in events:
            watcher.feed(event)
        watcher.take_changes()
    note = "500 hosts, 5,000 addresses, ten events a second of each host; state taken once"
    return Figure(name=f"{kind}: events fed", value=FED / watch.cpu, unit="events/CPU-s", note=note)


def _occurrences() -> Iterator[Occurrence]:
    for number in range(FED):
        time = START + number * 200
        fields = {"host.name": f"host-{number % 500}", "source.ip": f"10.0.{number % 5000 // 250}.{number % 250}"}
        yield Occurrence("r", "city", time, time, f"0-{number}", {**fields, "value": number % 90})


def _remembered() -> list[Figure]:
    ledger = Ledger("r", 1)
    grown, seconds = _growth(lambda: _fill(ledger))
    return [
        Figure(name="values remembered, a million: memory", value=grown, unit="MiB", higher_is_better=False),
        Figure(name="values remembered: taken in", value=MILLION / seconds, unit="values/CPU-s"),
    ]


def _fill(ledger: Ledger) -> None:
    root = fingerprint(("city", "host"))
    for number in range(MILLION):
        ledger.put(mixed(root, number), number >> 12)


def _listed() -> list[Figure]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_text("\n".join(f"host-{number}.example-{number % 977}.net" for number in range(MILLION)))
        grown, seconds = _growth(lambda: read_list(path, "domain"))
        found = read_list(path, "domain")
    names = [f"www.host-{10 * number}.example-{10 * number % 977}.net" for number in range(FED)]
    with stopwatch() as watch:
        hits = sum(found.find(name) is not None for name in names)
    return [
        Figure(name="list of a million domains: memory", value=grown, unit="MiB", higher_is_better=False),
        Figure(name="list of a million domains: read", value=seconds, unit="s", higher_is_better=False),
        Figure(name="looked up, ever new names", value=FED / watch.cpu, unit="names/CPU-s", note=f"{hits:,} hits"),
    ]


def _growth(act: Callable[[], object]) -> tuple[float, float]:
    """MiB that the process grew by while the result is held, and CPU seconds."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    with stopwatch() as watch:
        held = act()
    del held
    gc.collect()
    return (psutil.Process().memory_info().rss - before) / 2**20, watch.cpu
