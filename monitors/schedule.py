from __future__ import annotations

import asyncio
import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from monitors.collector import stopped_within, submit_patiently
from monitors.probe import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitors.probe import Probe
    from monitors.record import Sink

_LONGEST_WAIT = 5.0  # seconds between two looks at the clock, so that a clock that is set does not stop the probes


def next_due(name: str, interval: timedelta, after: datetime) -> datetime:
    """Give when ``name`` is due next after ``after``: on a grid of ``interval`` of its own, so that not all look at once.

    The grid depends on the name and the clock only: a restart does not move it, and a late run catches up with one
    look, not with all that were missed.
    """
    seconds = interval.total_seconds()
    phase = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 * seconds
    slots = math.floor((after.timestamp() - phase) / seconds) + 1
    due = datetime.fromtimestamp(slots * seconds + phase, UTC)
    return due if due > after else due + interval  # a float's last digit must not make it due at once again


async def run_probes(probes: Sequence[Probe], sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
    """Look with every probe at once and then at its times, each apart from the others, until ``stop``."""
    await asyncio.gather(*(_run(probe, sink, now, stop) for probe in probes))


async def _run(probe: Probe, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> None:
    name, interval = f"{probe.kind} {probe.subject}", timedelta(seconds=probe.interval_seconds)
    while not stop.is_set():
        record = await observe(probe, now)
        if not await submit_patiently(sink, [record], stop):
            return
        due = next_due(name, interval, now())
        while (left := (due - now()).total_seconds()) > 0:
            if await stopped_within(stop, min(left, _LONGEST_WAIT)):
                return
