from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from monitors.record import Record, SinkFull
from secops.store.log import LogFull
from secops.worker.batcher import RECORD_BYTES, Batcher

AT = datetime(2026, 11, 24, tzinfo=UTC)


def record(number: int) -> Record:
    return Record(raw=str(number).encode(), received=AT, collector="t", peer="", tenant="city", format="line")


def run_with(batcher: Batcher, work: Coroutine[Any, Any, None]) -> None:
    async def scenario() -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(batcher.run(stop))
        try:
            await work
        finally:
            stop.set()
            await running

    asyncio.run(scenario())


def test_submit_returns_only_after_the_write_and_later_records_share_the_next_batch() -> None:
    written: list[int] = []
    gate, began = threading.Event(), threading.Event()

    def write(records: Sequence[Record]) -> None:
        began.set()
        assert gate.wait(10)
        written.append(len(records))

    batcher = Batcher(write, batch_events=100, queue_events=1000)

    async def work() -> None:
        first = asyncio.ensure_future(batcher.submit([record(0)]))
        await asyncio.to_thread(began.wait, 10)
        others = [asyncio.ensure_future(batcher.submit([record(n)])) for n in range(1, 8)]
        assert not first.done()
        gate.set()
        await asyncio.gather(first, *others)
        assert written == [1, 7]

    run_with(batcher, work())


def test_a_full_disk_refuses_the_submitter_counts_datagrams_and_recovers() -> None:
    full = True
    stored: list[Record] = []

    def write(records: Sequence[Record]) -> None:
        if full:
            raise LogFull("here", 0, 1)
        stored.extend(records)

    batcher = Batcher(write, batch_events=10, queue_events=100)

    async def work() -> None:
        nonlocal full
        assert batcher.offer([record(1), record(2)])
        with pytest.raises(SinkFull):
            await batcher.submit([record(3)])
        assert batcher.full
        assert batcher.lost == 2
        assert not batcher.offer([record(4)]), "a datagram that cannot be stored is refused, so the collector counts it"
        full = False
        await batcher.submit([record(5)])
        assert not batcher.full
        assert stored == [record(5)]

    run_with(batcher, work())


def test_a_full_queue_slows_the_submitter() -> None:
    gate, began = threading.Event(), threading.Event()
    stored: list[Record] = []

    def write(records: Sequence[Record]) -> None:
        began.set()
        assert gate.wait(10)
        stored.extend(records)

    batcher = Batcher(write, batch_events=1, queue_events=3)

    async def work() -> None:
        first = asyncio.ensure_future(batcher.submit([record(0)]))
        await asyncio.to_thread(began.wait, 10)
        submitting = [asyncio.ensure_future(batcher.submit([record(n)])) for n in range(1, 6)]
        await asyncio.sleep(0)
        assert batcher.queued == 3
        gate.set()
        await asyncio.gather(first, *submitting)
        assert [int(r.raw) for r in stored] == [0, 1, 2, 3, 4, 5]

    run_with(batcher, work())


def test_datagrams_are_refused_when_their_room_is_full_and_delay_nobody_who_waits() -> None:
    gate, began = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def write(records: Sequence[Record]) -> None:
        began.set()
        assert gate.wait(10)
        batches.append([int(r.raw) for r in records])

    batcher = Batcher(write, batch_events=2, queue_events=1, queue_bytes=3 * (RECORD_BYTES + 1))

    async def work() -> None:
        first = asyncio.ensure_future(batcher.submit([record(0)]))
        await asyncio.to_thread(began.wait, 10)
        assert batcher.offer([record(1), record(2)])
        assert not batcher.offer([record(3), record(4)])
        assert batcher.offer([record(3)])
        assert not batcher.offer([record(4)])
        submitting = asyncio.ensure_future(batcher.submit([record(5)]))
        await asyncio.sleep(0)
        assert batcher.queued == 4
        gate.set()
        await asyncio.gather(first, submitting)
        assert any(5 in batch for batch in batches[1:3]), "it does not wait behind all the datagrams of its own tenant"

    run_with(batcher, work())
    assert sorted(number for batch in batches for number in batch) == [0, 1, 2, 3, 5]
    assert batcher.queued == 0


def test_datagrams_for_which_no_time_is_left_at_the_end_are_counted_as_lost() -> None:
    batcher = Batcher(lambda _records: None, batch_events=10, queue_events=10)
    assert batcher.offer([record(1), record(2)])
    batcher.give_up()
    assert (batcher.lost, batcher.queued) == (2, 0)


def test_an_unexpected_error_reaches_the_submitter_and_the_batcher_can_run_again() -> None:
    broken = True
    stored: list[Record] = []

    def write(records: Sequence[Record]) -> None:
        if broken:
            raise ZeroDivisionError
        stored.extend(records)

    batcher = Batcher(write, batch_events=10, queue_events=100)

    async def scenario() -> None:
        nonlocal broken
        stop = asyncio.Event()
        running = asyncio.ensure_future(batcher.run(stop))
        with pytest.raises(ZeroDivisionError):
            await batcher.submit([record(1)])
        with pytest.raises(ZeroDivisionError):
            await running
        broken = False
        running = asyncio.ensure_future(batcher.run(stop))
        await batcher.submit([record(2)])
        stop.set()
        await running

    asyncio.run(scenario())
    assert stored == [record(2)]


def test_stop_writes_what_is_queued() -> None:
    stored: list[Record] = []
    batcher = Batcher(stored.extend, batch_events=2, queue_events=100)

    async def scenario() -> None:
        stop = asyncio.Event()
        for number in range(7):
            assert batcher.offer([record(number)])
        stop.set()
        await batcher.run(stop)

    asyncio.run(scenario())
    assert len(stored) == 7
