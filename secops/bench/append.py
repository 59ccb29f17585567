"""Durable append: 500 events a sync, 200 bytes to 2 kB each, one core."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.bench.figures import Figure, stopwatch
from secops.store.files import FileLog

if TYPE_CHECKING:
    from secops.records import Event

EVENTS: Final = 100_000
BATCH: Final = 500
BAR: Final = 50_000


def events(number: int, chance: random.Random) -> list[Event]:
    """Make syslog-like events with messages of 60 bytes to about 1.9 kB, so that an event takes 200 bytes to 2 kB."""
    words = [f"{chance.getrandbits(40):x}" for _ in range(400)]
    made = []
    for n in range(number):
        message = " ".join(chance.choices(words, k=chance.randint(6, 170)))
        made.append(
            {
                "@timestamp": f"2026-11-24T08:{n // 60 % 60:02d}:{n % 60:02d}.000000Z",
                "organization.id": "city",
                "host.name": f"host{n % 50}",
                "message": message,
                "process.pid": n,
            }
        )
    return made


def measure() -> list[Figure]:
    """Append to one partition and sync each batch; then read everything back."""
    made = events(EVENTS, random.Random(1))  # noqa: S311 - reproducible, not secret
    batches = [made[start : start + BATCH] for start in range(0, EVENTS, BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder), partitions=1, writable=True)
        with stopwatch() as writing:
            for batch in batches:
                log.append({0: batch})
        with stopwatch() as reading:
            offset = 0
            while got := log.read(0, offset, 5000):
                offset += len(got)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.log"))
        log.close()
    return [
        Figure(
            name="durable append",
            value=EVENTS / writing.wall,
            unit="events/s",
            bar=BAR,
            note=f"cpu {writing.cpu:.2f} s, wall {writing.wall:.2f} s",
        ),
        Figure(name="read back", value=EVENTS / reading.wall, unit="events/s"),
        Figure(name="bytes on disk per event", value=size / EVENTS, unit="bytes", higher_is_better=False),
    ]
