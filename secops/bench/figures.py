"""What every bench gives back, and the benches by name."""

from __future__ import annotations

import importlib
import os
import platform
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BENCHES: Final = {
    "append": "secops.bench.append",
    "log": "secops.bench.log",
    "ingest": "secops.bench.ingest",
    "detect": "secops.bench.detect",
    "correlate": "secops.bench.correlate",
    "watch": "secops.bench.watch",
    "rules": "secops.bench.rules",
    "search": "secops.bench.search",
    "store": "secops.bench.store",
    "index": "secops.bench.index",
    "login": "secops.bench.login",
    "issue": "secops.bench.issue",
    "ocsp": "secops.bench.ocsp",
    "timestamp": "secops.bench.timestamp",
    "clock": "secops.bench.clock",
    "pack": "secops.bench.pack",
    "latency": "secops.bench.latency",
    "live": "secops.bench.live",
    "relp": "secops.bench.relp",
    "udp": "secops.bench.udp",
}

WITH_FILES: Final = frozenset({"detect", "rules"})  # can be run on other people's events and rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number and the bar it is held against (0: none)."""

    name: str
    value: float
    unit: str
    bar: float = 0.0
    higher_is_better: bool = True
    note: str = ""

    @property
    def ratio(self) -> float:
        """How the value stands to the bar: 1 or more meets it; 0 when there is none."""
        if not self.bar or not self.value:
            return 0.0
        return self.value / self.bar if self.higher_is_better else self.bar / self.value


@dataclass(slots=True)
class Stopwatch:
    """Wall and CPU seconds of a stretch of work in this process."""

    wall: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one bench, and where they were measured."""

    bench: str
    figures: list[Figure]
    machine: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give the report for JSON."""
        figures = [{**asdict(one), "ratio": round(one.ratio, 3)} for one in self.figures]
        return {"bench": self.bench, "machine": self.machine, "figures": figures}


def run(name: str, events: Path | None = None, rules: Path | None = None) -> Report:
    """Run the bench ``name``; those of ``WITH_FILES`` on given events and rules."""
    measure: Callable[..., list[Figure]] = importlib.import_module(BENCHES[name]).measure
    figures = measure(events, rules) if name in WITH_FILES else measure()
    return Report(bench=name, figures=figures, machine=machine())


def machine() -> dict[str, Any]:
    """Say where this runs; figures without it mean little."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time the body of the ``with``."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.wall, watch.cpu = time.perf_counter() - wall, time.process_time() - cpu
