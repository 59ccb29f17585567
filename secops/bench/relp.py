"""RELP from a real rsyslog to durable: rsyslogd -> collector -> normalise -> FileLog, the receiver being this process."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitors.collector import Surroundings
from monitors.collectors.relp import RelpCollector, RelpSettings
from secops.bench.figures import Figure, stopwatch
from secops.bench.rsyslogd import sending
from secops.pipeline import ingest
from secops.settings import Ingest
from secops.store.files import FileLog
from secops.worker.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitors.record import Record
    from secops.bench.figures import Stopwatch

MESSAGES: Final = 600_000
BAR: Final = 100_000
DEADLINE: Final = 180.0


def measure() -> list[Figure]:
    """Measure from the first message stored to the last: rsyslog takes a while to start."""
    lines = [
        f"Accepted password for user{n % 5000} from 203.0.113.{n % 250} port {1024 + n % 60000} ssh2"
        for n in range(MESSAGES)
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "log", partitions=4, writable=True)
        gc.freeze()
        gc.set_threshold(200_000, 50, 100)  # as the ingest role does
        try:
            watch, stored = asyncio.run(_receive(Path(folder), log, lines))
        finally:
            log.close()
    note = f"{stored:,} messages; cpu {watch.cpu:.2f} s, wall {watch.wall:.2f} s, rsyslogd on the same cores"
    return [
        Figure(name="RELP from rsyslog to durable", value=stored / watch.wall, unit="messages/s", bar=BAR, note=note),
        Figure(name="of a second of the receiver's CPU", value=stored / watch.cpu, unit="messages", bar=BAR),
    ]


async def _receive(folder: Path, log: FileLog, lines: list[str]) -> tuple[Stopwatch, int]:
    wanted = Ingest()
    batcher = Batcher(
        lambda records: _write(records, log), batch_events=wanted.batch_events, queue_events=wanted.queue_events
    )
    collector = RelpCollector(RelpSettings(port=0), Surroundings())
    stop, drained = asyncio.Event(), asyncio.Event()
    writing = asyncio.ensure_future(batcher.run(drained))
    running = asyncio.ensure_future(collector.run(batcher, now=lambda: datetime.now(UTC), stop=stop))
    await collector.ready.wait()
    assert collector.address is not None
    with sending(folder, collector.address[1], lines):
        await _until(lambda: _stored(log) > 0)
        began = _stored(log)
        with stopwatch() as watch:
            await _until(lambda: _stored(log) >= len(lines))
        stop.set()
        await running
    drained.set()
    await writing
    return watch, len(lines) - began


def _write(records: Sequence[Record], log: FileLog) -> None:
    ingest(records, log, UTC)


def _stored(log: FileLog) -> int:
    return sum(log.end(partition) for partition in range(log.partitions))


async def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the sender did not get there")
        await asyncio.sleep(0.02)
