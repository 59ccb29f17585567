from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secops.store import shard, stretch
from secops.store.check_index import check_index
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex

ODD = [
    "",
    "plain",
    "登录 失败",
    "Ünïcode ＡＢＣ",
    "x" * 40_000,
    "a\u0000b",
    "\U0001f600 é" * 3000,
    "10.0.0.1 ::ffff:10.0.0.1",
]


def event(number: int) -> dict[str, Any]:
    return {
        "@timestamp": f"2026-11-24T{number % 24:02d}:00:00.000001Z",
        "organization.id": "ab"[number % 2],
        "event.category": ["authentication", "session"] if number % 3 else "process",
        "host.name": f"主机{number % 5}",
        "message": f"{ODD[number % len(ODD)]} {number} {random.Random(number).random()}",
        "original": {"user.name": "ada", "n": [number, None]},
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileLog, Path]]:
    folder = tmp_path_factory.mktemp("filled")
    log = FileLog(folder / "log", partitions=2, writable=True, reserve_bytes=0)
    for start in range(0, 600, 50):
        log.append({p: [event(number) for number in range(start + p, start + 50, 2)] for p in range(2)})
    monkey = pytest.MonkeyPatch()
    monkey.setattr(stretch, "EVENTS", 40)
    monkey.setattr(shard, "CHUNK", 20)
    index = SqliteIndex(folder / "index", log, writable=True, shard_events=200)
    for start in range(0, 300, 25):
        for partition in range(2):
            index.add(partition, log.read(partition, start, 25))
    assert index.compact()
    index.close()
    monkey.undo()
    assert len(list((folder / "index").glob("*.idx"))) == 3
    yield log, folder / "index"
    log.close()


def test_a_sound_index_has_no_flaw_also_while_it_grows(filled: tuple[FileLog, Path], tmp_path: Path) -> None:
    log, folder = filled
    said: list[tuple[int, int]] = []
    assert check_index(folder, log, lambda done, of: said.append((done, of))) == []
    assert said[-1] == (3000, 3000)
    index = SqliteIndex(tmp_path / "growing", log, writable=True, shard_events=80)
    for start in range(0, 300, 30):
        index.add(0, log.read(0, start, 30))
        assert check_index(tmp_path / "growing", log) == []
    index.close()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_byte_that_changes_an_answer_is_found(
    data: st.DataObject, filled: tuple[FileLog, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    log, sound = filled
    folder = tmp_path_factory.mktemp("index") / "index"
    shutil.copytree(sound, folder)
    path = data.draw(st.sampled_from(sorted(folder.glob("*.idx"))))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    if not check_index(folder, log):
        assert answers(folder, log) == answers(sound, log), "a byte that nobody reads"


def answers(folder: Path, log: FileLog) -> list[Any]:
    index = SqliteIndex(folder, log)
    try:
        queries = ["", "登录", "plain", "host.name:主机3", "user.name:ada AND event.category:process", "599"]
        found: list[Any] = []
        for text in queries:
            query = Query(text=text, tenants=frozenset({"a"}), limit=20)
            page = index.search(query)
            found.append(([hit["event.id"] for hit in page.hits], page.total))
        query = Query(tenants=None)
        return [*found, index.facets(query, "host.name", 10), index.histogram(query, 7)]
    finally:
        index.close()


def test_an_index_that_says_something_else_than_the_log_is_named(tmp_path: Path, filled: tuple[FileLog, Path]) -> None:
    log, _ = filled
    for field, why in (("host.name", "host.name"), ("message", "words"), ("@timestamp", "times")):
        index = SqliteIndex(tmp_path / field, log, writable=True)
        events = log.read(0, 0, 1000)
        index.add(0, [{**one, field: "2026-11-25T00:00:00Z"} if n == 170 else one for n, one in enumerate(events)])
        index.close()
        (flaw,) = check_index(tmp_path / field, log)
        assert why in flaw.why
        assert flaw.path.endswith("00000001.idx")
    assert check_index(tmp_path / "message", log, words=False) == [], "words are looked at when asked for"


def test_counts_made_beforehand_are_counted_again(tmp_path: Path, filled: tuple[FileLog, Path]) -> None:
    log, sound = filled
    folder = tmp_path / "index"
    shutil.copytree(sound, folder)
    path = min(folder.glob("*.idx"))
    with sqlite3.connect(path) as connection:
        ((first, second), *_) = connection.execute(
            "select id, lag(id) over (order by id desc) from stretch order by id"
        )
        assert second is not None
        one, other = (
            connection.execute("select data from counted where number = 4 and stretch = ?", (each,)).fetchone()
            for each in (first, second)
        )
        connection.execute("update counted set data = ? where number = 4 and stretch = ?", (*other, first))
    connection.close()
    assert one != other
    (flaw,) = check_index(folder, log)
    assert "counts of host.name" in flaw.why
    assert check_index(sound, log) == []


def test_events_that_are_missing_from_the_index_are_named(tmp_path: Path, filled: tuple[FileLog, Path]) -> None:
    log, _ = filled
    index = SqliteIndex(tmp_path, log, writable=True)
    index.add(0, log.read(0, 0, 100))
    index.add(0, log.read(0, 120, 100))
    index.close()
    (flaw,) = check_index(tmp_path, log)
    assert "100 to 119" in flaw.why
