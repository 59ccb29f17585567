from __future__ import annotations

import random
import selectors
import subprocess
import sys
import time
from pathlib import Path

from secops.store.check import check
from secops.store.files import FileLog

ROUNDS = 20
APPENDER = Path(__file__).with_name("appender.py")


def test_kill_nine_at_any_moment_loses_and_repeats_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    draw = random.Random(20)
    reader = FileLog(directory)
    seen: dict[int, list[int]] = {partition: [] for partition in range(4)}
    acknowledged = 0
    for round_number in range(ROUNDS):
        acknowledged = max(acknowledged, run_and_kill(directory, round_number, draw.uniform(0, 0.12), reader, seen))
        assert check(directory).flaws == ()
    writer = FileLog(directory, writable=True, reserve_bytes=0)
    position = writer.positions()["source"]
    while follow(reader, seen):  # on a busy machine the reader is far behind the last writer
        pass
    stored = [number for partition in range(4) for number in seen[partition]]
    assert position >= acknowledged > 0
    assert sorted(stored) == list(range(position)), "each number of the source once: nothing lost, nothing repeated"
    for partition in range(4):
        assert numbers(writer, partition) == seen[partition], "what a reader saw while it was written still stands"
        assert seen[partition] == sorted(seen[partition])
    assert len(list((directory / "0").glob("*.log"))) > 1
    writer.close()
    reader.close()


def run_and_kill(directory: Path, seed: int, after: float, reader: FileLog, seen: dict[int, list[int]]) -> int:
    """Let a child append for ``after`` seconds behind its first acknowledgement, reading along; then kill it."""
    command = [sys.executable, str(APPENDER), str(directory), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child, selectors.DefaultSelector() as selector:
        assert child.stdout is not None
        selector.register(child.stdout, selectors.EVENT_READ)
        assert selector.select(timeout=30), "the child never acknowledged anything"
        deadline = time.monotonic() + after
        while time.monotonic() < deadline:
            follow(reader, seen)
        child.kill()
        lines = child.stdout.read().split(b"\n")[:-1]  # the last piece is empty or a torn line
    return int(lines[-1])


def follow(reader: FileLog, seen: dict[int, list[int]]) -> int:
    """Read on a little in every partition; gives how many events there were."""
    before = sum(map(len, seen.values()))
    for partition, found in seen.items():
        for stored in reader.read(partition, len(found), 2000):
            assert stored["event.id"] == f"{partition}-{len(found)}"
            found.append(stored["number"])
    return sum(map(len, seen.values())) - before


def numbers(log: FileLog, partition: int) -> list[int]:
    return [stored["number"] for stored in log.read(partition, 0, 10**7)]
