from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from store.witnessing import WITNESS

from secops.store import chain, checkpoints, digests, segment
from secops.store.check import check
from secops.store.files import FileLog
from secops.store.keeper import Keeper, KeeperBusy, keeping
from secops.store.log import LogCorrupt
from secops.store.retention import Retention

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)


def event(number: int, tenant: str = "a") -> dict[str, Any]:
    return {"organization.id": tenant, "number": number, "message": f"event {number} " + "x" * (number % 50)}


def fill(directory: Path, clock: Clock, days: int, *, a_day: int = 40, tenant: str = "a", start: int = 0) -> int:
    """A day's events in small batches, a segment a day and partition; gives the next number."""
    log = FileLog(directory, partitions=2, writable=True, reserve_bytes=0, clock=clock)
    number = start
    for _ in range(days):
        for _ in range(a_day):
            log.append({number % 2: [event(number, tenant), event(number + 2, tenant)]}, {"source": number})
            number += 1
        clock.pass_days(1)
    log.close()
    return number


def keeper_of(directory: Path, clock: Clock) -> Keeper:
    return Keeper(directory, WITNESS, clock=clock)


def numbers(directory: Path, partition: int) -> list[tuple[str, int]]:
    log = FileLog(directory, partitions=2)
    found = [(stored["event.id"], stored["number"]) for stored in log.read(partition, 0, 10**6)]
    log.close()
    return found


def test_a_segment_is_finished_by_age_and_sealed_with_both_hashes(tmp_path: Path) -> None:
    clock = Clock()
    fill(tmp_path, clock, 3)
    before = [numbers(tmp_path, partition) for partition in range(2)]
    files = segment.list_segments(tmp_path, 0)
    assert len(files) == 3, "one a day"
    size = files[0].stat().st_size
    assert keeper_of(tmp_path, clock).seal() == 4, "the newest of each partition still grows"
    assert keeper_of(tmp_path, clock).seal() == 0
    assert [numbers(tmp_path, partition) for partition in range(2)] == before, "the same events under the same ids"
    assert files[0].stat().st_size < size / 2, "trickled frames are joined"
    seal, _ = chain.read(tmp_path, 0)
    content = files[0].read_bytes()
    assert seal.fields["sha256"] == hashlib.sha256(content).hexdigest()
    assert seal.fields["sm3"] == digests.of_file(files[0]).sm3 == hashlib.new("sm3", content).hexdigest()
    assert (seal.first, seal.end, seal.fields["bytes"]) == (0, 40, len(content))
    lines = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    assert seal.fields["raw"] == len(lines)
    assert seal.fields["tenants"] == {"a": [40, len(lines), "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"]}
    assert chain.find_break([link.line for link in chain.read(tmp_path, 0)]) is None


def test_the_writer_goes_on_after_sealing_and_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    reached = fill(tmp_path, clock, 2)
    keeper_of(tmp_path, clock).seal()
    fill(tmp_path, clock, 2, start=reached)
    log = FileLog(tmp_path, partitions=2, writable=True, reserve_bytes=0, clock=clock)
    assert log.positions() == {"source": 159}
    assert [log.end(p) for p in range(2)] == [160, 160]
    log.close()
    assert check(tmp_path).flaws == ()


def test_an_old_segment_without_events_gets_no_successor_of_its_own_name(tmp_path: Path) -> None:
    clock = Clock()
    log = FileLog(tmp_path, partitions=1, writable=True, reserve_bytes=0, clock=clock)
    for number in range(5):
        log.append({}, {"source": number})
        clock.pass_days(2)
    log.append({0: [event(1)]})
    clock.pass_days(2)
    log.append({0: [event(2)]})
    assert [int(path.stem) for path in segment.list_segments(tmp_path, 0)] == [0, 1]
    assert log.positions() == {"source": 4}
    log.close()


def test_checkpoints_follow_seals_and_come_once_a_day_without_any(tmp_path: Path) -> None:
    clock = Clock()
    fill(tmp_path, clock, 2)
    keeper = keeper_of(tmp_path, clock)
    assert keeper.checkpoint()
    assert not keeper.checkpoint()
    keeper.seal()
    assert keeper.checkpoint(), "there are new seals"
    clock.pass_days(0.5)
    assert not keeper.checkpoint()
    clock.pass_days(0.5)
    assert keeper.checkpoint(), "a day has passed"
    links = {p: chain.whole_lines(chain.path_of(tmp_path, p)) for p in range(2)}
    lines = chain.whole_lines(checkpoints.path_of(tmp_path))
    assert len(lines) == 3
    assert checkpoints.find_break(lines, links, WITNESS) is None


@pytest.mark.parametrize("what", ["body", "signature", "removed", "link"])
def test_a_forged_checkpoint_or_link_shows(tmp_path: Path, what: str) -> None:
    clock = Clock()
    fill(tmp_path, clock, 4)
    keeper = keeper_of(tmp_path, clock)
    for _ in range(3):
        keeper.seal()
        keeper.checkpoint()
        clock.pass_days(1)
    links = {p: chain.whole_lines(chain.path_of(tmp_path, p)) for p in range(2)}
    lines = chain.whole_lines(checkpoints.path_of(tmp_path))
    assert len(lines) == 3
    if what == "removed":
        del lines[1]
    elif what == "link":
        forged = orjson.loads(links[1][-1]) | {"sha256": "0" * 64}
        links[1][-1] = orjson.dumps(forged, option=orjson.OPT_SORT_KEYS)
        assert chain.find_break(links[1]) is None, "the last link has no one behind it: only the checkpoint knows"
    else:
        whole = orjson.loads(lines[1])
        whole[what] = whole[what].replace("2026-01", "2026-02") if what == "body" else whole[what][::-1]
        lines[1] = orjson.dumps(whole)
    assert checkpoints.find_break(lines, links, WITNESS) is not None


def test_segments_leave_when_every_tenants_days_have_passed_and_offsets_keep(tmp_path: Path) -> None:
    clock = Clock()
    reached = fill(tmp_path, clock, 2, tenant="a")
    fill(tmp_path, clock, 2, tenant="b", start=reached)
    keeper = keeper_of(tmp_path, clock)
    kept = Retention(184, {"b": 365})

    def rounds(days: int) -> list[Any]:
        gone = []
        for _ in range(days):
            clock.pass_days(1)
            keeper.seal()
            keeper.checkpoint()
            gone += keeper.expire(kept)
        return gone

    reader = FileLog(tmp_path, partitions=2)
    assert [stored["number"] for stored in reader.read(0, 0, 2)] == [0, 2]
    assert rounds(179) == []
    assert [(one.partition, one.first) for one in rounds(4)] == [(0, 0), (1, 0), (0, 40), (1, 40)]
    assert rounds(100) == [], "b is kept for a year"
    assert [path.stem[-3:] for path in segment.list_segments(tmp_path, 0)] == ["080", "120"]
    assert reader.first(0) == 80
    assert reader.read(0, 0, 1)[0]["event.id"] == "0-80", "a reader goes on from the oldest one left"
    assert reader.get([]) == []
    stone = chain.read(tmp_path, 0)[-1]
    assert (stone.kind, stone.fields["events"], stone.fields["tenants"]) == ("tombstone", 40, {"a": 184})
    assert checkpoints.read(tmp_path)[-1].reached(0) == len(chain.read(tmp_path, 0)), "every tombstone is signed"
    assert check(tmp_path).flaws == ()
    reader.close()


def test_nothing_leaves_after_a_leap_of_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    fill(tmp_path, clock, 3)
    keeper = keeper_of(tmp_path, clock)
    keeper.seal()
    keeper.checkpoint()
    clock.pass_days(3650)
    assert keeper.expire(Retention()) == []
    keeper.checkpoint()
    clock.pass_days(0.9)
    assert keeper.expire(Retention()) == []
    clock.pass_days(0.2)
    assert len(keeper.expire(Retention())) == 4, "a day later somebody could have set it right"


def test_a_damaged_segment_is_neither_sealed_nor_changed_and_others_are(tmp_path: Path) -> None:
    clock = Clock()
    fill(tmp_path, clock, 3)
    path = segment.list_segments(tmp_path, 0)[1]
    content = bytearray(path.read_bytes())
    content[-5] ^= 255
    path.write_bytes(content)
    keeper = keeper_of(tmp_path, clock)
    with pytest.raises(LogCorrupt, match=path.name):
        keeper.seal()
    assert path.read_bytes() == content
    assert [len(chain.read(tmp_path, p)) for p in range(2)] == [1, 2]


def test_a_backup_and_a_keeper_wait_for_one_another(tmp_path: Path) -> None:
    clock = Clock()
    fill(tmp_path, clock, 2)
    with keeping(tmp_path), pytest.raises(KeeperBusy):
        keeper_of(tmp_path, clock).seal()
    assert keeper_of(tmp_path, clock).seal() == 2


def test_kill_nine_while_sealing_signing_and_expiring_loses_nothing_unsigned(tmp_path: Path) -> None:
    clock = Clock()
    draw = random.Random(5)
    reached = fill(tmp_path, clock, 6, a_day=60)
    now = clock.now + timedelta(days=170)
    clock.now = now
    fill(tmp_path, clock, 2, a_day=60, start=reached)
    whole = [numbers(tmp_path, partition) for partition in range(2)]
    for _ in range(12):
        run_and_kill(tmp_path, now, draw.uniform(0, 0.25))
        signed = checkpoints.read(tmp_path)
        for partition in range(2):
            assert chain.find_break(chain.whole_lines(chain.path_of(tmp_path, partition))) is None
            links = chain.read(tmp_path, partition)
            firsts = {int(path.stem) for path in segment.list_segments(tmp_path, partition)}
            missing = {link.first for link in links if link.kind == "seal"} - firsts
            reached = signed[-1].reached(partition) if signed else 0
            assert missing <= {link.first for link in links[:reached] if link.kind == "tombstone"}
            left = numbers(tmp_path, partition)
            assert left == whole[partition][-len(left) :], "what is left is the newest part, unchanged"
        assert check(tmp_path).flaws == ()
        now = signed[-1].at + timedelta(hours=12) if signed else now
    lines = {p: chain.whole_lines(chain.path_of(tmp_path, p)) for p in range(2)}
    assert checkpoints.find_break(chain.whole_lines(checkpoints.path_of(tmp_path)), lines, WITNESS) is None
    assert any(b'"tombstone"' in line for line in lines[0])


def run_and_kill(directory: Path, now: datetime, after: float) -> None:
    command = [sys.executable, "-m", "store.keeper_process", str(directory), now.isoformat()]
    tests = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tests) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + after
        while time.monotonic() < deadline:
            child.poll()
        child.kill()
