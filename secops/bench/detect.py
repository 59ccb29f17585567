"""``secops detect`` as a process of its own: JSON parse, normalised fields, matching and correlation; load and memory.

Without ``--events`` and ``--rules``: the product's own rules, over their own examples among ordinary events.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from secops.bench.examples import example_events, write_events
from secops.bench.figures import Figure
from secops.match.load import load_rules
from secops.rule_source import content_dir

EVENTS: Final = 100_000
LEAST: Final = 100_000  # events of a given file are read again and again until there are so many


class Run(NamedTuple):
    """One run of the command."""

    summary: dict[str, Any]
    megabytes: float  # largest resident set


def measure(events: Path | None = None, rules: Path | None = None) -> list[Figure]:
    """Run the command cold, warm, and without caches."""
    with tempfile.TemporaryDirectory(prefix="secops-bench-") as made:
        folder = Path(made)
        given = [rules] if rules is not None else [content_dir() / "rules"]
        lines = folder / "events.jsonl"
        if events is None:
            found = load_rules([given[0] / "detection", given[0] / "correlation"] if rules is None else given)
            write_events(lines, example_events(found), EVENTS)
        else:
            _repeat(events, lines)
        cold = _run(folder, given, lines)
        warm = _run(folder, given, lines)
        uncached = _run(folder, given, lines, "--no-cache")
    return _figures(cold, warm, uncached)


def _figures(cold: Run, warm: Run, uncached: Run) -> list[Figure]:
    said = warm.summary
    note = f"{said['rules']} rules, {said['events']:,} events, {said['hits']:,} hits of {said['rules_hit']} rules"
    speed, without = said["events_per_second"], uncached.summary["events_per_second"]
    return [
        Figure(name="detect, cached", value=speed, unit="events/CPU-s", note=note),
        Figure(name="detect, uncached", value=without, unit="events/CPU-s"),
        Figure(
            name="load, cold",
            value=cold.summary["load_seconds"],
            unit="CPU-s",
            bar=15,
            higher_is_better=False,
            note=note,
        ),
        Figure(name="load, warm", value=said["load_seconds"], unit="CPU-s", bar=2, higher_is_better=False),
        Figure(name="memory", value=max(cold.megabytes, warm.megabytes), unit="MiB", bar=600, higher_is_better=False),
    ]


def _repeat(events: Path, lines: Path) -> None:
    data = events.read_bytes()
    times = -(-LEAST // max(1, data.count(b"\n")))
    with lines.open("wb") as file:
        for _ in range(times):
            file.write(data)


def _run(folder: Path, rules: list[Path], events: Path, *more: str) -> Run:
    """The command's own summary, and the memory that its process took."""
    out = folder / "summary.json"
    options = [part for each in rules for part in ("--rules", str(each))]
    command = [sys.executable, "-m", "secops", "detect", *options, "--events", str(events), "--json", *more]
    with out.open("wb") as file, Path(os.devnull).open("wb") as quiet:
        child = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "XDG_CACHE_HOME": str(folder)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, file.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, quiet.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"secops detect ended with {os.waitstatus_to_exitcode(status)}: run it by hand to see why")
    return Run(orjson.loads(out.read_bytes()), usage.ru_maxrss / 1024)
