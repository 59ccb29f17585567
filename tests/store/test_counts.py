"""Counts made beforehand, compacted files and files of an earlier version answer what looking at each event answers."""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.store import needles, segment, stretch, text
from secops.store.columns import microseconds
from secops.store.evaluate import compile_query
from secops.store.fields import KEYWORDS, lookup, scalars
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.query import parse
from secops.store.sqlite import SqliteIndex

START = datetime(2026, 11, 24, tzinfo=UTC)
TENANTS = ["city", "health", "县"]
LIMITED = [None, frozenset({"city"}), frozenset({"县", "nobody"}), frozenset[str]()]
TEXTS = [
    "",
    "",
    "event.outcome:failure",
    "NOT event.outcome:failure",
    "*ail*",
    "user.name:u?",
    "登录",
    "failed",
    "*10.0.1*",
    "*0.0.2.1*",
]
LARGE = 2 * stretch.EVENTS + 5000


def event(draw: random.Random, second: float) -> dict[str, Any]:
    late = draw.choice([0, 0, 0, 3000])
    made: dict[str, Any] = {
        "@timestamp": (START + timedelta(seconds=second - late)).isoformat(timespec="microseconds"),
        "organization.id": draw.choice(TENANTS),
        "message": draw.choice(["failed", "登录失败", "ok"]),
        "event.outcome": draw.choice(["failure", "success"]),
        "user.name": draw.choice(["u1", "u2", "Ünal", ["a", "b", "a"], 7, None]),
        "source.ip": f"10.0.{draw.randrange(3)}.{draw.randrange(300)}",
    }
    if draw.random() < 0.2:
        del made["user.name"]
    return made


def store(log: FileLog, index: SqliteIndex, batches: Iterable[dict[int, list[dict[str, Any]]]]) -> None:
    for batch in batches:
        log.append(batch)
        for partition in batch:
            while got := log.read(partition, index.position(partition), 4096):
                index.add(partition, got)


def everything(log: FileLog) -> list[dict[str, Any]]:
    return [each for partition in range(log.partitions) for each in log.read(partition, log.first(partition), 10**6)]


def hits(stored: list[dict[str, Any]], wanted: Query) -> list[dict[str, Any]]:
    matches = compile_query(parse(wanted.text))
    low, high = (None if at is None else at.timestamp() * 1_000_000 for at in (wanted.start, wanted.end))
    return [
        each
        for each in stored
        if (wanted.tenants is None or each["organization.id"] in wanted.tenants)
        and (low is None or microseconds(each) >= low)
        and (high is None or microseconds(each) < high)
        and matches(each)
    ]


def counts(found: list[dict[str, Any]], field: str, size: int) -> list[tuple[str, int]]:
    values = Counter(value for each in found for value in set(scalars(lookup(each, field))))
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))[:size]


def spans(found: list[dict[str, Any]], wanted: Query, buckets: int) -> list[int]:
    times = [microseconds(each) for each in found]
    if not times and None in {wanted.start, wanted.end}:
        return []
    low, high = (None if at is None else int(at.timestamp() * 1_000_000) for at in (wanted.start, wanted.end))
    first = min(times) if low is None else low
    last = max(times) + 1 if high is None else high
    width = max((last - first) / buckets, 1.0)
    numbers = Counter(min(int((moment - first) / width), buckets - 1) for moment in times)
    return [numbers[number] for number in range(buckets)]


def agree(index: SqliteIndex, stored: list[dict[str, Any]], wanted: Query, fields: Iterable[str] = KEYWORDS) -> None:
    found = hits(stored, wanted)
    assert index.search(wanted).total == len(found), wanted
    for field in fields:
        assert index.facets(wanted, field, 10) == counts(found, field, 10), (wanted, field)
    for buckets in (1, 7):
        assert [count for _, count in index.histogram(wanted, buckets)] == spans(found, wanted, buckets), wanted


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    draw=st.randoms(use_true_random=False),
    shard_events=st.sampled_from([5, 40, 1000]),
    bounds=st.tuples(st.none() | st.integers(-4000, 400), st.none() | st.integers(-4000, 400)),
)
def test_compacted_files_count_as_a_scan_does_whatever_comes_late(
    tmp_path_factory: pytest.TempPathFactory,
    draw: random.Random,
    shard_events: int,
    bounds: tuple[int | None, int | None],
) -> None:
    directory = tmp_path_factory.mktemp("counts")
    log = FileLog(directory / "log", partitions=2, writable=True, reserve_bytes=0)
    for part in range(3):  # opened anew each time, as after a restart
        index = SqliteIndex(directory / "index", log, writable=True, shard_events=shard_events)
        lines = [[event(draw, part * 100 + n) for n in range(draw.randrange(40))] for _ in range(2)]
        store(log, index, [dict(enumerate(lines))])
        while draw.random() < 0.8 and index.compact():
            pass
        start, end = (None if at is None else START + timedelta(seconds=at) for at in bounds)
        for tenants in LIMITED:
            wanted = Query(text=draw.choice(TEXTS), tenants=tenants, start=start, end=end)
            agree(index, everything(log), wanted)
            agree(index, everything(log), Query(tenants=tenants, start=start, end=end))
        index.close()
    log.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileLog, SqliteIndex, list[dict[str, Any]]]]:
    """A file that still grows, with several stretches in one partition, and a few events in another."""
    directory, draw = tmp_path_factory.mktemp("large"), random.Random(1)
    log = FileLog(directory / "log", partitions=2, writable=True, reserve_bytes=0, segment_bytes=2**18)
    index = SqliteIndex(directory / "index", log, writable=True, page_seconds=600, count_seconds=600)
    made = [event(draw, number / 10) for number in range(LARGE)]
    store(log, index, ({0: made[at : at + 3000], 1: made[at : at + 7]} for at in range(0, LARGE, 3000)))
    yield log, index, everything(log)
    index.close()
    log.close()


def test_growing_file_is_counted_by_stretches_and_by_runs(
    large: tuple[FileLog, SqliteIndex, list[dict[str, Any]]],
) -> None:
    _, index, stored = large
    assert len(index._list()[0].stretches()) == 2  # or nothing of what follows is put to the test
    fields = ("organization.id", "user.name", "source.ip", "event.code")
    for tenants in LIMITED[:3]:
        agree(index, stored, Query(tenants=tenants), fields)
        for start, end in ((-3000, 20_000), (1, 5000)):
            span = Query(tenants=tenants, start=START + timedelta(seconds=start), end=START + timedelta(seconds=end))
            agree(index, stored, span, fields)


def test_most_runs_of_everything_are_counted_beforehand(
    large: tuple[FileLog, SqliteIndex, list[dict[str, Any]]],
) -> None:
    _, index, _ = large
    runs, _ = index._finder(Query(tenants=None)).counted("user.name")
    assert len(runs) * 2 > len(index._list()[0].chunks())
    assert index._finder(Query(text="failed", tenants=None)).counted("user.name")[0] == frozenset()


def test_counts_go_with_the_events_that_left_the_log(
    large: tuple[FileLog, SqliteIndex, list[dict[str, Any]]],
) -> None:
    log, index, stored = large  # the last test that uses it: its reader remembers what went
    paths = segment.list_segments(log.directory, 0)
    removed = paths[: len(paths) // 2]
    for path in removed:
        path.rename(path.with_suffix(".away"))
    try:
        kept = everything(log)
        assert 0 < len(kept) < len(stored)
        for tenants in LIMITED:
            agree(index, kept, Query(tenants=tenants), ("user.name", "source.ip"))
    finally:
        for path in removed:
            path.with_suffix(".away").rename(path)


def test_file_of_an_earlier_version_is_searched_goes_on_and_is_compacted(tmp_path: Path) -> None:
    draw = random.Random(2)
    log = FileLog(tmp_path / "log", partitions=1, writable=True, reserve_bytes=0)
    index = SqliteIndex(tmp_path / "index", log, writable=True, shard_events=50)
    store(log, index, [{0: [event(draw, number) for number in range(60)]} for _ in range(2)])
    index.close()
    for path in (tmp_path / "index").glob("*.idx"):
        with sqlite3.connect(path) as connection:
            connection.executescript("drop table stretch; drop table counted")
        connection.close()
    reader = SqliteIndex(tmp_path / "index", log)
    agree(reader, everything(log), Query(tenants=None))
    index = SqliteIndex(tmp_path / "index", log, writable=True, shard_events=50)
    assert index.position(0) == 120  # not built anew
    store(log, index, [{0: [event(draw, 200 + number) for number in range(60)]} for _ in range(2)])
    sizes = [sum(len(shard.stretches()) for shard in index._list())]
    while index.compact():
        sizes.append(sum(len(shard.stretches()) for shard in index._list()))
    assert sizes == list(range(len(index._list())))
    for found in (index, reader):
        agree(found, everything(log), Query(tenants=None))
        agree(found, everything(log), Query(text="*ail*", tenants=frozenset({"city"})))
        found.close()
    log.close()


def test_what_is_passed_over_without_a_look_holds_no_letter_or_digit_in_disguise() -> None:
    assert needles.MAY_SIGN.search("登录失败®é".encode()) is None
    everyday = "登录失败，用户：张三。—“…”カナ ®é Привет"
    assert needles.MAY_FOLD.search(everyday.encode()) is None
    for code in (*range(0x80, 0xD800), *range(0xE000, 0x30000)):
        if needles.MAY_FOLD.search(chr(code).encode()) is None:
            assert not re.search("[0-9a-z]", text.fold(chr(code))), hex(code)
        if needles.MAY_SIGN.search(chr(code).encode()) is None:
            assert not re.search("[ -~]", text.fold(chr(code))), hex(code)
