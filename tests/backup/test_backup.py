"""Backups taken while the log is being written restore, and hold whatever was stored before they began."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secops import backup, settings, wiring
from secops.errors import UserError
from secops.store import chain, checkpoints, digests, segment
from secops.store.files import FileLog
from secops.store.keeper import Keeper, KeeperBusy
from secops.store.retention import Retention
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


def test_backups_taken_while_segments_are_sealed_and_leave_carry_seals_and_tombstones(
    service: Service, tmp_path: Path
) -> None:
    log = FileLog(service.log_dir, partitions=PARTITIONS, writable=True, segment_bytes=2000, reserve_bytes=0)
    keeper = service.keeper()
    stop = threading.Event()

    def keep() -> None:
        number = 0
        while not stop.is_set():
            log.append({p: [{"n": number, "text": "x" * 200, "organization.id": "a"}] * 30 for p in range(PARTITIONS)})
            number += 1
            try:
                keeper.seal()
                keeper.checkpoint()
            except KeeperBusy:
                continue

    worker = threading.Thread(target=keep)
    worker.start()
    try:
        wait_until(lambda: len(checkpoints.read(service.log_dir)) > 3, what="checkpoints")
        for number in range(5):
            save(service, tmp_path / f"{number}.tar")
            restored = tmp_path / f"restored-{number}"
            backup.bring_back(tmp_path / f"{number}.tar", restored, progress=lambda _name: None)
            copy = restored / "log"
            assert checkpoints.read(copy)
            for p in range(PARTITIONS):
                for link in chain.read(copy, p):
                    found = digests.of_file(segment.path_of(copy, p, link.first))
                    assert (found.sha256, found.sm3) == (link.fields["sha256"], link.fields["sm3"])
    finally:
        stop.set()
        worker.join()
        log.close()
    ahead = datetime.now(UTC) + timedelta(days=190)
    late = Keeper(service.log_dir, service.witness(), clock=lambda: ahead)
    late.checkpoint()
    ahead += timedelta(days=2)
    assert late.expire(Retention())
    save(service, tmp_path / "late.tar")
    backup.bring_back(tmp_path / "late.tar", tmp_path / "restored-late", progress=lambda _name: None)
    copy = tmp_path / "restored-late" / "log"
    assert chain.read(copy, 0)[-1].kind == chain.TOMBSTONE
    assert chain.read(copy, 0) == chain.read(service.log_dir, 0)
    reader = FileLog(copy, partitions=PARTITIONS)
    assert reader.first(0) == int(segment.list_segments(service.log_dir, 0)[0].stem) > 0
    reader.close()
