"""The place lies in the same durable write as the records: kill -9 at any moment, and everything is there once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud_server import CLOUDS, World, far_end

from secops.store.files import FileLog

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
COUNT = 9000


def test_a_kill_loses_and_repeats_nothing(tmp_path: Path) -> None:
    world = World(START)
    step = timedelta(hours=23) / COUNT
    with far_end(CLOUDS["huawei_cts"], world, tmp_path) as end:
        world.entries += [end.cloud.entry(n, START - timedelta(seconds=5) - step * n) for n in range(COUNT)]
        assert end.settings["key_file"] == str(tmp_path / "key.toml")
        for wanted in (1, 3, 2, 5, None):
            stored(tmp_path, end.host, wanted)
    log = FileLog(tmp_path / "log", partitions=4)
    found = Counter(
        event["original"]["trace_id"] for partition in range(4) for event in log.read(partition, 0, COUNT * 2)
    )
    log.close()
    assert found == Counter(f"t-{number}" for number in range(COUNT))


def stored(folder: Path, host: str, submissions: int | None) -> None:
    """Run until so many submissions are durable, or until all are there, and kill it in whatever it does next."""
    command = [sys.executable, str(Path(__file__).with_name("puller.py")), host, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        done = 0
        try:
            while (submissions is None and in_log(folder) < COUNT) or (submissions is not None and done < submissions):
                assert process.stdout.readline(), "the puller ended by itself"
                done += 1
        finally:
            process.kill()


def in_log(folder: Path) -> int:
    if not (folder / "log").exists():
        return 0
    log = FileLog(folder / "log", partitions=4)
    count = sum(log.end(partition) for partition in range(4))
    log.close()
    return count
