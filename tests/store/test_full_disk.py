from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from secops.store import repair
from secops.store.check import check
from secops.store.export import export
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.log import LogFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine does not let root mount: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def noise(count: int) -> list[dict[str, Any]]:
    return [{"message": os.urandom(400).hex()} for _ in range(count)]


def fill(log: FileLog) -> int:
    """Append until the log says it is full; gives the number of acknowledged batches."""
    for number in range(10_000):
        try:
            log.append({number % 4: noise(50), (number + 1) % 4: noise(20)}, {"s": number})
        except LogFull:
            return number
    raise AssertionError("a disk of 4 MiB never filled")


@pytest.mark.parametrize("segment_bytes", [2**26, 300_000])
def test_full_disk_keeps_what_was_acknowledged_and_goes_on_when_freed(small_disk: Path, segment_bytes: int) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20))
    log = FileLog(small_disk / "log", writable=True, reserve_bytes=0, segment_bytes=segment_bytes)
    acknowledged = fill(log)
    ends = [log.end(partition) for partition in range(4)]
    assert sum(ends) == acknowledged * 70
    with pytest.raises(LogFull) as full:
        log.append({0: noise(2000)}, {"s": -1})
    assert "磁盘已满" in full.value.zh
    assert log.positions() == {"s": acknowledged - 1}
    assert check(log.directory).flaws == ()
    ballast.unlink()
    log.append({0: noise(50), 1: noise(20)}, {"s": acknowledged})
    log.close()
    log = FileLog(small_disk / "log", writable=True, reserve_bytes=0)
    assert log.positions() == {"s": acknowledged}
    assert [log.end(partition) for partition in range(4)] == [ends[0] + 50, ends[1] + 20, ends[2], ends[3]]
    assert len(log.read(0, 0, 10**6)) == ends[0] + 50
    log.close()


def test_reserve_stops_before_the_disk_is_full(small_disk: Path) -> None:
    log = FileLog(small_disk / "log", writable=True, reserve_bytes=2**20)
    fill(log)
    free = os.statvfs(small_disk)
    assert 2**19 < free.f_bavail * free.f_frsize < 2**20 + 2**17
    log.commit("index", 0, 1)
    assert log.committed("index", 0) == 1
    log.close()


def test_repair_and_export_on_a_full_disk_leave_everything_as_it_was(small_disk: Path) -> None:
    folder = small_disk / "log"
    log = FileLog(folder, writable=True, reserve_bytes=0, segment_bytes=2**20)
    for number in range(30):
        log.append({0: noise(50)}, {"s": number})
    log.close()
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 200_000))
    reader = FileLog(folder)
    with pytest.raises(OSError, match="No space left"):
        export(reader, Query(text="NOT nothing", tenants=None), small_disk / "out", "ndjson")
    reader.close()
    path = min((folder / "0").glob("*.log"))
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    found = repair.look(folder, 4)
    assert found.holes
    with pytest.raises(OSError, match="No space left"):
        repair.mend(folder, found, tenant="city", now=NOW)
    assert path.read_bytes() == content
    assert sorted(each.name for each in small_disk.iterdir()) == ["filler", "log"]
    assert not list(folder.glob("*/.*"))
    filler.unlink()
    repair.mend(folder, repair.look(folder, 4), tenant="city", now=NOW)
    assert check(folder).flaws == ()
