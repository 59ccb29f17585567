from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from store.witnessing import WITNESS

from secops.store import ends, recover, repair, segment
from secops.store.check import Report, check
from secops.store.check_seals import check_seals
from secops.store.files import FileLog
from secops.store.log import LogCorrupt

NOW = datetime(2031, 11, 24, tzinfo=UTC)  # no time of writing
BATCHES, SIZE, PARTS = 12, 20, 2
STORED = BATCHES * SIZE


def event(number: int) -> dict[str, Any]:
    return {"organization.id": "a", "number": number, "message": f"event {number} {random.Random(number).random()}"}


def write(directory: Path) -> None:
    """Batches of both partitions in several segments, with the sources' positions; every third batch has positions alone."""
    log = FileLog(directory, partitions=PARTS, writable=True, reserve_bytes=0, segment_bytes=2500)
    for number in range(BATCHES):
        log.append({p: [event(number * SIZE + k) for k in range(SIZE)] for p in range(PARTS)}, {"s": number})
        if number % 3 == 0:
            log.append({}, {"s": number})
    log.close()


def opened(directory: Path) -> FileLog:
    return FileLog(directory, partitions=PARTS, writable=True, reserve_bytes=0, segment_bytes=2500)


def flip(path: Path, at: int, bits: int = 0x55) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


def mend(directory: Path) -> repair.Damage:
    found = repair.look(directory, PARTS)
    if found:
        repair.mend(directory, found, tenant="city", now=NOW)
    return found


def stored(log: FileLog) -> Iterator[tuple[int, int, dict[str, Any]]]:
    for partition in range(PARTS):
        for offset, one in enumerate(log.read(partition, 0, 10**6)):
            assert one["event.id"] == f"{partition}-{offset}"
            yield partition, offset, one


def told(report: Report) -> bool:
    return bool(report.flaws or report.torn)


def look_after(directory: Path, damage: repair.Damage) -> set[tuple[int, int]]:
    """Open the repaired log, verify it, append to it; gives the events that are lost."""
    log = opened(directory)
    lost = set()
    for partition, offset, one in stored(log):
        if one.get("event.kind") == "pipeline_error":
            assert "lost" in one["message"]
            lost.add((partition, offset))
        else:
            assert one["number"] == offset, "what could be read is unchanged and in its place"
    named = {(hole.partition, offset) for hole in damage.holes for offset in range(hole.first, hole.end)}
    assert lost == named, "no event is lost without being named"
    end = log.end(0)
    log.append({0: [event(end)]}, {"s": 99})
    assert log.read(0, end, 1)[0]["number"] == end
    log.close()
    after = check(directory)
    assert after.flaws == after.torn == ()
    assert not repair.look(directory, PARTS)
    return lost


def damaged_files(directory: Path) -> list[Path]:
    segments = [path for partition in range(PARTS) for path in segment.list_segments(directory, partition)]
    return [*segments, directory / ends.NAME, directory / recover.CHECKPOINT, directory / recover.COPY]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_is_found_and_costs_no_more_than_its_frame(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("log")
    write(directory)
    path = data.draw(st.sampled_from(damaged_files(directory)))
    at = data.draw(st.integers(min_value=0, max_value=path.stat().st_size - 1))
    flip(path, at, data.draw(st.integers(min_value=1, max_value=255)))
    before = check(directory)
    assert told(before), "no byte changes unseen"
    damage = mend(directory)
    missing = STORED * PARTS - sum(1 for _ in unharmed(directory))
    lost = look_after(directory, damage)
    if path.suffix == segment.SUFFIX:
        assert missing in {0, SIZE}, "one batch's frame, or a frame without events"
        assert len(lost) == missing
    else:
        assert (missing, lost) == (0, set())


def unharmed(directory: Path) -> Iterator[dict[str, Any]]:
    log = opened(directory)
    yield from (one for _, _, one in stored(log) if "number" in one)
    log.close()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_found_and_everything_before_the_cut_stays(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("log")
    write(directory)
    path = data.draw(st.sampled_from(damaged_files(directory)))
    size = data.draw(st.integers(min_value=0, max_value=path.stat().st_size - 1))
    content = path.read_bytes()
    assume(path.name != ends.NAME or size != (ends.FIXED + PARTS) * ends.WORD)  # the first version's form, and as good
    whole = sum(frame_events(path, size)) if path.suffix == segment.SUFFIX else 0
    full = sum(frame_events(path, len(content))) if path.suffix == segment.SUFFIX else 0
    path.write_bytes(content[:size])
    cut_between_frames = path.suffix == segment.SUFFIX and whole == full and size in frame_ends(path, content)
    assert told(check(directory)) or cut_between_frames, "but for a last frame without events, nothing goes unseen"
    damage = mend(directory)
    lost = look_after(directory, damage)
    assert len(lost) == full - whole


def frame_ends(path: Path, content: bytes) -> list[int]:
    whole = path.with_suffix(".whole")
    whole.write_bytes(content)
    with whole.open("rb") as file:
        found = [frame.end for frame in segment.walk(file.fileno(), len(content))]
    whole.unlink()
    return found


def frame_events(path: Path, size: int) -> list[int]:
    with path.open("rb") as file:
        return [frame.header.events for frame in segment.walk(file.fileno(), size)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_several_damaged_and_missing_segments_leave_all_other_events(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("log")
    write(directory)
    paths = [path for partition in range(PARTS) for path in segment.list_segments(directory, partition)]
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4, unique=True)):
        if data.draw(st.booleans()):
            path.unlink()
        else:
            for at in data.draw(st.lists(st.integers(0, path.stat().st_size - 1), min_size=1, max_size=4)):
                flip(path, at)
    damage = mend(directory)
    look_after(directory, damage)


def test_a_batch_that_nobody_was_told_of_is_cut_and_not_called_lost(tmp_path: Path) -> None:
    write(tmp_path)
    path = segment.list_segments(tmp_path, 1)[-1]
    path.write_bytes(path.read_bytes() + b"\x50\x2a\x4d\x18torn")
    report = check(tmp_path)
    assert report.flaws == ()
    assert [(flaw.path, flaw.at) for flaw in report.torn] == [(str(path), path.stat().st_size - 8)]
    assert check(tmp_path, writing=True).torn == (), "a writer may just be writing it"
    assert not repair.look(tmp_path, PARTS)
    look_after(tmp_path, repair.look(tmp_path, PARTS))


def test_the_sources_positions_survive_the_loss_of_the_checkpoint(tmp_path: Path) -> None:
    write(tmp_path)
    log = opened(tmp_path)
    log.append({0: [event(STORED)]}, {"t": 7})
    log.close()
    before = recover.load_checkpoint(tmp_path)
    assert before is not None
    (tmp_path / recover.CHECKPOINT).write_bytes(b"{}")
    log = opened(tmp_path)
    assert log.positions() == {"s": BATCHES - 1, "t": 7}, "the copy has them"
    log.close()
    (tmp_path / recover.COPY).unlink()
    with pytest.raises(LogCorrupt, match="checkpoint"):
        opened(tmp_path)
    damage = mend(tmp_path)
    assert damage.checkpoint
    log = opened(tmp_path)
    assert log.positions() == {"s": BATCHES - 1, "t": 7}, "and the last frames too"
    log.close()


def test_a_watermark_gone_mad_does_not_make_up_billions_of_events(tmp_path: Path) -> None:
    write(tmp_path)
    watermark = ends.Ends(tmp_path / ends.NAME, writable=True)
    watermark.move(watermark.batches()[1], {1: 2**50})
    watermark.close()
    assert told(check(tmp_path))
    damage = mend(tmp_path)
    assert damage.watermark
    assert damage.holes == ()
    assert look_after(tmp_path, damage) == set()


def test_the_damaged_file_is_put_aside_and_fillings_leave_with_their_neighbours(tmp_path: Path) -> None:
    write(tmp_path)
    path = segment.list_segments(tmp_path, 0)[0]
    flip(path, 500)
    content = path.read_bytes()
    damage = repair.look(tmp_path, PARTS)
    (aside,) = repair.mend(tmp_path, damage, tenant="city", now=NOW)
    assert aside.read_bytes() == content
    with path.open("rb") as file:
        times = [frame.header.time for frame in segment.walk(file.fileno(), path.stat().st_size)]
    assert times[0] == times[1]
    assert times == sorted(times)
    log = opened(tmp_path)
    hole = damage.holes[0]
    marked = log.read(0, hole.first, 1)[0]
    assert marked["@timestamp"] == "2031-11-24T00:00:00.000000Z"
    assert marked["organization.id"] == "city"
    log.close()


def test_checking_beside_a_writer_and_a_keeper_finds_nothing(tmp_path: Path) -> None:
    """Segments grow, are begun, packed anew, sealed, signed and leave while they are checked."""
    write(tmp_path)
    tests = Path(__file__).resolve().parents[1]
    commands = [
        ["store.growing_process", str(tmp_path)],
        ["store.keeper_process", str(tmp_path), "2027-11-24T00:00:00+00:00"],
    ]
    with contextlib.ExitStack() as running:
        for command in commands:
            child = running.enter_context(
                subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, cwd=tests)
            )
            running.callback(child.kill)
            assert child.stdout is not None
            child.stdout.readline()
        rounds, first = 0, segment.list_segments(tmp_path, 0)[0]
        while rounds < 20 or first.exists():
            report = check(tmp_path, writing=True)
            assert report.flaws == report.torn == ()
            assert check_seals(tmp_path, PARTS, WITNESS) == []
            rounds += 1
            assert rounds < 2000
    report = check(tmp_path)
    assert report.flaws == ()
    assert report.events > STORED


def test_a_repair_that_was_broken_off_is_taken_up_again(tmp_path: Path) -> None:
    write(tmp_path)
    expected = {p: end_of(tmp_path, p) for p in range(PARTS)}
    for partition in range(PARTS):
        for path in segment.list_segments(tmp_path, partition)[:2]:
            flip(path, 500)
    (tmp_path / ends.NAME).write_bytes(b"")
    (tmp_path / recover.CHECKPOINT).write_bytes(b"")
    first = repair.look(tmp_path, PARTS)
    assert len(first.paths) > 2

    def broken(done: int, _of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair.mend(tmp_path, first, tenant="city", now=NOW, progress=broken)
    second = repair.look(tmp_path, PARTS)
    assert second
    assert second.events < first.events
    repair.mend(tmp_path, second, tenant="city", now=NOW)
    assert look_after(tmp_path, first) == {
        (hole.partition, n) for hole in first.holes for n in range(hole.first, hole.end)
    }
    assert {p: end_of(tmp_path, p) for p in range(PARTS)} == {0: expected[0] + 1, 1: expected[1]}


def end_of(directory: Path, partition: int) -> int:
    log = FileLog(directory, partitions=PARTS)
    try:
        return log.end(partition)
    finally:
        log.close()


def test_a_log_of_the_first_version_goes_on_and_is_protected_from_then_on(tmp_path: Path) -> None:
    write(tmp_path)
    mark = tmp_path / ends.NAME
    mark.write_bytes(mark.read_bytes()[: (ends.FIXED + PARTS) * ends.WORD])
    kept = orjson.loads((tmp_path / recover.CHECKPOINT).read_bytes())
    (tmp_path / recover.CHECKPOINT).write_bytes(orjson.dumps({"batch": kept["batch"], "positions": kept["positions"]}))
    (tmp_path / recover.COPY).unlink()
    assert check(tmp_path).flaws == ()
    assert not repair.look(tmp_path, PARTS)
    reader = FileLog(tmp_path, partitions=PARTS)
    assert reader.end(0) == STORED
    log = opened(tmp_path)
    log.append({0: [event(STORED)]}, {"s": 1})
    assert reader.end(0) == STORED + 1, "a reader that mapped the short file goes on seeing news"
    assert mark.stat().st_size == (ends.FIXED + 2 * PARTS) * ends.WORD
    reader.close()
    log.close()
    assert check(tmp_path).flaws == ()
    flip(mark, (ends.FIXED + 1) * ends.WORD)
    assert told(check(tmp_path))
