"""Backups taken while the log is being written restore, and hold whatever was stored before they began."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secops import backup, settings, wiring
from secops.errors import UserError
from secops.store.files import FileLog
from secops.wiring import Service
from tests.waiting import wait_until

AT = datetime(2026, 11, 24, tzinfo=UTC)
PARTITIONS = 4


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    chosen = settings.load(tmp_path / "var")
    wiring.prepare(chosen)
    with wiring.opened(chosen) as opened:
        yield opened


def save(service: Service, out: Path) -> None:
    backup.save(service.settings.state, service.database, out, now=AT, progress=lambda _name: None)


def test_backups_under_load_restore_and_miss_nothing(service: Service, tmp_path: Path) -> None:
    log = FileLog(service.log_dir, partitions=PARTITIONS, writable=True, segment_bytes=100_000, reserve_bytes=0)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            log.append({p: [{"n": number + k, "text": "x" * 200} for k in range(100)] for p in range(PARTITIONS)})
            number += 100

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: log.end(0) > 0, what="a first batch")
        for number in range(8):
            before = [log.end(p) for p in range(PARTITIONS)]
            save(service, tmp_path / f"{number}.tar")
            restored = tmp_path / f"restored-{number}"
            backup.bring_back(tmp_path / f"{number}.tar", restored, progress=lambda _name: None)
            copy = FileLog(restored / "log", partitions=PARTITIONS, writable=True, reserve_bytes=0)
            assert all(copy.end(p) >= before[p] for p in range(PARTITIONS))
            assert [event["n"] for event in copy.read(0, 0, 50)] == list(range(50))
            copy.close()
    finally:
        stop.set()
        writer.join()
        log.close()


def test_a_damaged_backup_leaves_nothing_behind(service: Service, tmp_path: Path) -> None:
    out = tmp_path / "b.tar"
    save(service, out)
    body = bytearray(out.read_bytes())
    place = body.index(b"SQLite format 3")
    body[place + 200] ^= 1
    out.write_bytes(body)
    with pytest.raises(UserError, match=r"state\.db was changed"):
        backup.bring_back(out, tmp_path / "new", progress=lambda _name: None)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".restore")] == []


def test_an_occupied_folder_and_an_existing_file_are_refused(service: Service, tmp_path: Path) -> None:
    out = tmp_path / "b.tar"
    save(service, out)
    with pytest.raises(UserError, match="exists"):
        save(service, out)
    with pytest.raises(UserError, match="not empty"):
        backup.bring_back(out, service.settings.state, progress=lambda _name: None)


def test_a_backup_is_readable_by_its_owner_only(service: Service, tmp_path: Path) -> None:
    out = tmp_path / "b.tar"
    save(service, out)
    assert out.stat().st_mode & 0o077 == 0
