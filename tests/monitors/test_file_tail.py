from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.collector import Surroundings, build
from monitors.collectors.file_tail import Tail


def follow(path: Path, position: Any = None, *, at_end: bool = False, longest: int = 1000) -> Tail:
    return Tail(path, f"file_tail:{path}", position, longest, at_end=at_end)


def drain(tail: Tail, rounds: int = 4) -> list[bytes]:
    """Poll until it has been quiet long enough for a rotation to be followed."""
    found, quiet = [], 0
    while quiet < rounds:
        lines = tail.poll()
        found += [line.raw for line, _ in lines]
        quiet = 0 if lines else quiet + 1
    return found


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_whole_lines_only_and_the_partial_one_when_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\ntwo\nthr")
    tail = follow(log)
    assert drain(tail) == [b"one", b"two"]
    append(log, b"ee\n")
    assert drain(tail) == [b"three"]
    tail.close()


def test_rotation_by_rename_with_a_writer_that_lags(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\n")
    tail = follow(log)
    assert drain(tail) == [b"one"]
    log.rename(tmp_path / "app.log.1")
    append(tmp_path / "app.log.1", b"late\n")
    log.write_bytes(b"new\n")
    assert drain(tail) == [b"late", b"new"]
    tail.close()


def test_rotation_by_copying_and_truncating(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\ntwo\n")
    tail = follow(log)
    assert drain(tail) == [b"one", b"two"]
    shutil.copy(log, tmp_path / "app.log.1")
    os.truncate(log, 0)
    append(log, b"x\n")
    assert drain(tail) == [b"x"]
    tail.close()


def test_truncated_and_written_past_the_old_end_between_two_looks(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\n")
    tail = follow(log)
    assert drain(tail) == [b"one"]
    log.write_bytes(b"longer than before\nand more\n")
    assert drain(tail) == [b"longer than before", b"and more"]
    tail.close()


def test_resumes_in_the_renamed_file_and_goes_on_in_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\ntwo\n")
    tail = follow(log)
    (_, position), _ = tail.poll()
    tail.close()
    log.rename(tmp_path / "app.log-20261124")
    log.write_bytes(b"three\n")
    again = follow(log, position)
    assert drain(again) == [b"two", b"three"]
    again.close()


def test_resumes_in_the_copy_of_a_truncated_file(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"a" * 70 + b"\ntwo\n")
    tail = follow(log)
    (_, position), _ = tail.poll()
    tail.close()
    shutil.copy(log, tmp_path / "app.log.1")
    log.write_bytes(b"three\n")
    again = follow(log, position)
    assert drain(again) == [b"two", b"three"]
    again.close()


def test_a_position_of_another_file_is_not_believed(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\n")
    position = {"inode": log.stat().st_ino, "offset": 2, "prefix": "0" * 64, "length": 3}
    tail = follow(log, position)
    assert drain(tail) == [b"one"]
    tail.close()


def test_starts_at_the_end_or_where_the_file_comes_into_being(tmp_path: Path) -> None:
    log, later = tmp_path / "app.log", tmp_path / "later.log"
    log.write_bytes(b"old\nhal")
    tail, coming = follow(log, at_end=True), follow(later, at_end=True)
    assert drain(tail) == []
    assert drain(coming) == []
    append(log, b"f\n")
    later.write_bytes(b"first\n")
    assert drain(tail) == [b"half"]
    assert drain(coming) == [b"first"]
    tail.close()
    coming.close()


actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=4)),
        st.tuples(st.just("rename"), st.just([])),
        st.tuples(st.just("restart"), st.just([])),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(actions=actions)
def test_every_line_once_and_in_order_whatever_happens(
    actions: list[tuple[str, list[str]]], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    log = folder / "app.log"
    log.write_bytes(b"0 the log has a position from its first line on\n")
    os.utime(log, (0, 0))
    tail = follow(log)
    ((first, position),) = tail.poll()
    read, written = [first.raw], [first.raw]
    for number, (action, lines) in enumerate(actions, start=1):
        if action == "write":
            fresh = [f"{number} {index} {text}".encode() for index, text in enumerate(lines)]
            append(log, b"".join(line + b"\n" for line in fresh))
            os.utime(log, (number, number))  # rotations are further apart than the file system's clock can tell
            written += fresh
        elif action == "rename":
            while found := tail.poll():
                read += [line.raw for line, _ in found]
                position = found[-1][1]
            log.rename(folder / f"app.log.{number}")
            log.write_bytes(b"")
            os.utime(log, (number, number))
        else:
            found = tail.poll()
            read += [line.raw for line, _ in found]
            position = found[-1][1] if found else position
            tail.close()
            tail = follow(log, position)
    read += drain(tail, rounds=4 + 2 * len(actions))
    tail.close()
    assert read == written


def test_collector_stores_the_position_with_each_record_and_resumes(
    tmp_path: Path, new_sink: Any, running: Any
) -> None:
    log = tmp_path / "auth.log"
    log.write_bytes(b"one\ntwo\n")
    options = {
        "paths": [str(tmp_path / "*.log")],
        "start": "beginning",
        "poll_seconds": 0.01,
        "format": "syslog",
        "host": "web01",
    }

    async def scenario() -> None:
        sink = new_sink()
        async with running(build("file_tail", options, Surroundings()), sink):
            await sink.until(lambda: len(sink.records) == 2)
        positions = dict([sink.records[0].position])
        resumed, surroundings = new_sink(), Surroundings(positions=positions)
        async with running(build("file_tail", options, surroundings), resumed) as collector:
            await resumed.until(lambda: resumed.records)
            assert collector.status.ok
        assert resumed.raws == [b"two"]
        assert resumed.records[0].peer == f"web01:{log}"
        assert resumed.records[0].format == "syslog"

    asyncio.run(scenario())


def test_collector_waits_while_the_disk_is_full(tmp_path: Path, new_sink: Any, running: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"kept\n")

    async def scenario() -> None:
        sink = new_sink()
        sink.full = True
        collector = build("file_tail", {"paths": [str(log)], "start": "beginning"}, Surroundings())
        task = asyncio.create_task(collector.run(sink, now=lambda: None, stop=(stop := asyncio.Event())))
        await sink.until(lambda: sink.attempts)
        sink.full = False
        await sink.until(lambda: sink.records)
        stop.set()
        await task
        assert sink.raws == [b"kept"]

    asyncio.run(scenario())


def test_collector_says_what_it_cannot_read(tmp_path: Path, new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        collector = build("file_tail", {"paths": [str(tmp_path)]}, Surroundings())
        async with running(collector, new_sink()):
            assert not collector.status.ok
            assert str(tmp_path) in collector.status.en
        empty = build("file_tail", {"paths": [str(tmp_path / "*.none")]}, Surroundings())
        async with running(empty, new_sink()):
            assert "no file matches" in empty.status.en

    asyncio.run(scenario())
