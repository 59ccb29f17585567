"""The matcher with the product's own rules over generated events, normalising not included."""

from __future__ import annotations

from typing import Final

from secops.bench.figures import Figure, stopwatch
from secops.bench.search import event
from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.wiring import content_dir

EVENTS: Final = 200_000
BATCH: Final = 5000


def measure() -> list[Figure]:
    """Match in batches, correlation and its state included."""
    rules = content_dir() / "rules"
    with stopwatch() as loading:
        found = load_rules([rules / "detection", rules / "correlation"])
        detector = Detector(found)
        detector.run([event(0)])
    batches = [[event(n) for n in range(start, start + BATCH)] for start in range(0, EVENTS, BATCH)]
    matches = 0
    with stopwatch() as watch:
        for batch in batches:
            matches += len(detector.run(batch))
            detector.take_changes()
    return [
        Figure(
            name="events matched",
            value=EVENTS / watch.cpu,
            unit="events/CPU-s",
            note=f"{len(found.rules)} rules, {matches} matches, a tenth failed logins of ever new sources",
        ),
        Figure(name="rules loaded and compiled", value=loading.wall, unit="s", higher_is_better=False),
    ]
