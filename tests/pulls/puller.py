"""A process that pulls into a log until it is killed: host:port, folder, CA file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from monitors.collector import Surroundings, build
from monitors.record import Record
from secops import pipeline
from secops.store.files import FileLog

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Durable:
    """Writes every submission into the log, and says so."""

    def __init__(self, log: FileLog) -> None:
        self.log = log

    async def submit(self, records: Sequence[Record]) -> None:
        await asyncio.to_thread(pipeline.ingest, records, self.log, UTC)
        sys.stdout.write(f"{len(records)}\n")
        sys.stdout.flush()

    def offer(self, records: Sequence[Record]) -> bool:
        raise AssertionError(f"{len(records)} records offered by a source that waits")


async def main() -> None:
    host, folder = sys.argv[1], Path(sys.argv[2])
    log = FileLog(folder / "log", partitions=4, writable=True, reserve_bytes=0)
    settings = {
        "key_file": str(folder / "key.toml"), "ca_file": str(folder / "ca.pem"), "endpoint": f"https://{host}",
        "region": "cn-north-4", "project_id": "p1", "requests_per_second": 100, "poll_seconds": 1,
    }  # fmt: skip
    surroundings = Surroundings(positions=log.positions(), endpoints=frozenset({host}))
    await build("huawei_cts", settings, surroundings).run(Durable(log), now=lambda: NOW, stop=asyncio.Event())


asyncio.run(main())
