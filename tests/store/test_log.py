from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from secops.errors import UserError
from secops.records import EventId
from secops.store import frames
from secops.store.check import check
from secops.store.files import FileLog
from secops.store.log import LogBusy, LogCorrupt, partition_of

if TYPE_CHECKING:
    from pathlib import Path


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"message": f"event {number}", "number": number, **fields}


def numbers(log: FileLog, partition: int) -> list[int]:
    found: list[int] = []
    while events := log.read(partition, len(found), 7):
        found += [stored["number"] for stored in events]
    return found


def test_what_is_appended_is_read_in_order_with_ids(log: FileLog) -> None:
    log.append({0: [event(1), event(2)], 3: [event(3)]}, {"file": [5, "x"]})
    log.append({0: [event(4)]})
    assert [stored["event.id"] for stored in log.read(0, 0, 10)] == ["0-0", "0-1", "0-2"]
    assert numbers(log, 0) == [1, 2, 4]
    assert numbers(log, 3) == [3]
    assert [log.end(partition) for partition in range(4)] == [3, 0, 0, 1]
    assert log.positions() == {"file": [5, "x"]}


def test_event_id_is_never_stored(log: FileLog) -> None:
    log.append({0: [event(1, **{"event.id": "9-9"})]})
    (path,) = (log.directory / "0").glob("*.log")
    assert (
        b"event.id" not in zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
    )
    assert log.read(0, 0, 1)[0]["event.id"] == "0-0"


def test_get_keeps_the_asked_order_and_leaves_out_what_is_not_there(log: FileLog) -> None:
    log.append({1: [event(number) for number in range(2000)], 2: [event(7)]})
    asked = [EventId(1, 1999), EventId(2, 0), EventId(1, 3), EventId(1, 2000), EventId(0, 0), EventId(1, 3)]
    assert [stored["event.id"] for stored in log.get(asked)] == ["1-1999", "2-0", "1-3", "1-3"]


def test_reopened_log_goes_on_where_it_was(tmp_path: Path) -> None:
    for round_number in range(3):
        log = FileLog(tmp_path, writable=True, reserve_bytes=0)
        assert log.end(2) == 2 * round_number
        log.append({2: [event(0), event(1)]}, {f"source {round_number}": round_number})
        log.close()
    reader = FileLog(tmp_path)
    assert reader.positions() == {"source 0": 0, "source 1": 1, "source 2": 2}
    assert numbers(reader, 2) == [0, 1] * 3
    reader.close()


def test_positions_alone_are_durable(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    log.append({}, {"journal": "s=1"})
    log.append({0: [event(1)]})
    log.append({}, {"journal": "s=2"})
    log.close()
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    assert log.positions() == {"journal": "s=2"}
    assert numbers(log, 0) == [1]
    log.close()


def test_segments_roll_and_positions_survive_the_removal_of_old_ones(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0, segment_bytes=2000)
    for number in range(60):
        log.append({number % 2: [event(number)]}, {f"source {number}": number})
    log.close()
    segments = sorted((tmp_path / "0").glob("*.log"))
    assert len(segments) > 3
    for old in segments[:2]:
        old.unlink()
    log = FileLog(tmp_path, writable=True, reserve_bytes=0, segment_bytes=2000)
    assert log.positions() == {f"source {number}": number for number in range(60)}
    oldest = int(segments[2].stem)
    assert log.first(0) == oldest
    assert log.read(0, 0, 5)[0]["event.id"] == f"0-{oldest}"
    assert log.get([EventId(0, 0)]) == []
    assert numbers(log, 1) == list(range(1, 60, 2))
    log.close()


def test_second_writer_is_refused(log: FileLog) -> None:
    with pytest.raises(LogBusy):
        FileLog(log.directory, writable=True)


def test_other_number_of_partitions_is_refused(log: FileLog) -> None:
    log.append({0: [event(1)]})
    log.close()
    with pytest.raises(UserError, match="has 4 partitions"):
        FileLog(log.directory, writable=True, partitions=8)


def test_reader_of_a_log_that_does_not_exist_yet_sees_it_appear(tmp_path: Path) -> None:
    reader = FileLog(tmp_path / "log")
    assert reader.end(0) == 0
    assert reader.read(0, 0, 10) == []
    writer = FileLog(tmp_path / "log", writable=True, reserve_bytes=0)
    writer.append({0: [event(1)]})
    assert reader.end(0) == 1
    assert numbers(reader, 0) == [1]
    writer.append({0: [event(2)]})
    assert numbers(reader, 0) == [1, 2]
    reader.close()
    writer.close()


def test_segment_is_read_by_zstd_tools(log: FileLog) -> None:
    for number in range(5):
        log.append({0: [event(number, text="登录失败\n下一行")]}, {"s": number})
    (path,) = (log.directory / "0").glob("*.log")
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    assert [orjson.loads(line)["number"] for line in text.splitlines()] == list(range(5))


@pytest.mark.skipif(not (shutil.which("zstd") and shutil.which("jq")), reason="needs Debian's zstd and jq")
def test_segment_is_read_by_zstd_and_jq(log: FileLog) -> None:
    log.append({0: [event(1), event(2)]}, {"s": 1})
    log.append({0: [event(3)]}, {"s": 2})
    (path,) = (log.directory / "0").glob("*.log")
    plain = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    found = subprocess.run(["jq", "-c", ".number"], check=True, capture_output=True, input=plain).stdout
    assert found.split() == [b"1", b"2", b"3"]


def test_torn_tail_is_cut(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    log.append({0: [event(1)]})
    log.close()
    (path,) = (tmp_path / "0").glob("*.log")
    whole = path.read_bytes()
    other = frames.encode(frames.Header(0, 1, 1, 0, 0, 2, 0, True, {}, ""), zstandard.compress(b'{"number":2}\n'))
    for torn in (b"\0" * 100, other[:10], other[:-1], other[:-3] + b"\0\0\0"):
        path.write_bytes(whole + torn)
        log = FileLog(tmp_path, writable=True, reserve_bytes=0)
        log.close()
        assert path.read_bytes() == whole


def test_batch_without_its_final_frame_is_taken_back_in_all_partitions(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    log.append({0: [event(1)], 1: [event(2)]}, {"s": 1})
    log.close()
    paths = [next((tmp_path / str(partition)).glob("*.log")) for partition in (0, 1)]
    before = [path.read_bytes() for path in paths]
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    log.append({0: [event(3)], 1: [event(4)]}, {"s": 2})
    log.close()
    paths[0].write_bytes(before[0])  # the commit partition is the one written last
    (tmp_path / "ends").unlink()
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    assert [path.read_bytes() for path in paths] == before
    assert log.positions() == {"s": 1}
    assert (numbers(log, 0), numbers(log, 1)) == ([1], [2])
    log.close()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_flipped_byte_in_the_middle_is_reported_and_nothing_is_cut(tmp_path: Path, share: float) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    for number in range(20):
        log.append({0: [event(number)]})
    log.close()
    assert check(tmp_path).flaws == ()
    assert check(tmp_path).events == 20
    (path,) = (tmp_path / "0").glob("*.log")
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 1
    path.write_bytes(data)
    flaws = check(tmp_path).flaws
    assert flaws
    assert all(flaw.path == str(path) for flaw in flaws)
    reader = FileLog(tmp_path)
    with pytest.raises(LogCorrupt):
        reader.read(0, 0, 100)
    reader.close()
    assert len(path.read_bytes()) == len(data)


@given(st.data())
def test_every_flipped_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("flip")
    log = FileLog(directory, writable=True, reserve_bytes=0)
    log.append({0: [event(1)]}, {"s": 1})
    log.append({0: [event(2)]}, {"s": 2})
    log.close()
    (path,) = (directory / "0").glob("*.log")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert check(directory).flaws


def test_lost_acknowledged_events_are_reported_at_start(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0)
    log.append({0: [event(1)]})
    log.append({0: [event(2)]})
    log.close()
    (path,) = (tmp_path / "0").glob("*.log")
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    with pytest.raises(LogCorrupt):
        FileLog(tmp_path, writable=True)
    assert len(path.read_bytes()) == len(data) - 5


def test_consumers_remember_their_offsets(log: FileLog) -> None:
    assert log.committed("index", 1) == 0
    log.commit("index", 1, 17)
    log.commit("detect", 1, 3)
    reader = FileLog(log.directory)
    assert (reader.committed("index", 1), reader.committed("detect", 1)) == (17, 3)
    reader.close()
    for hostile in ("", "../x", "a/b", "A", "x" * 65):
        with pytest.raises(ValueError, match="consumer name"):
            log.commit(hostile, 0, 1)


def test_reading_log_does_not_append(log: FileLog) -> None:
    reader = FileLog(log.directory)
    with pytest.raises(PermissionError):
        reader.append({0: [event(1)]})
    reader.close()


def test_partition_is_stable_and_spread() -> None:
    assert partition_of("city", "web-1", 4) == partition_of("city", "web-1", 4)
    assert {partition_of("city", f"host-{number}", 4) for number in range(50)} == {0, 1, 2, 3}


def test_cache_stays_within_its_bytes(tmp_path: Path) -> None:
    log = FileLog(tmp_path, writable=True, reserve_bytes=0, cache_bytes=200_000)
    for number in range(30):
        log.append({0: [event(number, text="x" * 1000)] * 50})
    assert sum(1 for _ in log.read(0, 0, 10_000)) == 1500
    assert log._reader._cached <= 200_000
    log.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=4), max_size=4))
def test_whatever_comes_is_stored_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]]
) -> None:
    log = FileLog(tmp_path_factory.mktemp("log"), writable=True, reserve_bytes=0)
    expected = []
    for batch in batches:
        log.append({0: batch})
        expected += [orjson.loads(frames.to_line(stored)) for stored in batch]
    found = log.read(0, 0, 1000)
    assert [{k: v for k, v in stored.items() if k != "event.id"} for stored in found] == expected
    assert check(log.directory).flaws == () or not expected
    log.close()


@given(st.binary(max_size=200))
def test_garbage_is_no_frame(data: bytes) -> None:
    length = frames.lead(data)
    assert not length or frames.decode(data, length) is None


def test_plain_values_stay_and_strange_ones_are_replaced() -> None:
    line = frames.to_line(
        {"a": "\ud800", "b": 2**70, "c": float("nan"), "d": io.StringIO, "e": {1: [b"x"]}, "f": 10**5000}
    )
    stored = orjson.loads(line)
    assert stored["a"] == "?"
    assert stored["b"] == str(2**70)
    assert stored["c"] is None
    assert stored["e"] == {"1": ["b'x'"]}
    assert stored["f"].startswith("0x")
