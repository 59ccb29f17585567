from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from monitors.record import SinkFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitors.collector import Collector
    from monitors.record import Record

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class MemorySink:
    """A whole small sink: keeps records, can be full, can refuse offers, and lets a test wait for what it wants."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self.refuses_offers = False
        self.attempts = 0
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, records: Sequence[Record]) -> None:
        self.attempts += 1
        async with self._changed:
            if not self.full:
                self.records += records
            self._changed.notify_all()
        if self.full:
            raise SinkFull

    def offer(self, records: Sequence[Record]) -> bool:
        if self.refuses_offers:
            return False
        self.records += records
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, predicate: Callable[[], object], timeout: float = 20.0) -> None:
        async with self._changed, asyncio.timeout(timeout):
            await self._changed.wait_for(lambda: bool(predicate()))

    @property
    def raws(self) -> list[bytes]:
        return [record.raw for record in self.records]

    @property
    def errors(self) -> list[str]:
        return [record.error for record in self.records]


class Running:
    """``async with Running(collector, sink)``: the collector runs, and has ended cleanly afterwards."""

    def __init__(self, collector: Collector, sink: MemorySink) -> None:
        self.collector = collector
        self.sink = sink
        self.stop = asyncio.Event()

    async def __aenter__(self) -> Collector:
        self.task = asyncio.create_task(self.collector.run(self.sink, now=lambda: NOW, stop=self.stop))
        ready = asyncio.create_task(self.collector.ready.wait())
        await asyncio.wait((self.task, ready), timeout=20, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self.task.done():
            self.task.result()
        return self.collector

    async def __aexit__(self, *_exc: object) -> None:
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task


@pytest.fixture
def new_sink() -> type[MemorySink]:
    return MemorySink


@pytest.fixture
def running() -> type[Running]:
    return Running
