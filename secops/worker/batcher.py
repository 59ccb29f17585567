"""Group commit: whatever collectors hand over while one batch is being written becomes the next batch.

One thread normalises and appends, so the event loop goes on receiving; a submitter is answered when its batch is
durable. The queue is bounded: submitters wait (a TCP sender is slowed), datagrams that find it full are counted as lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from monitors.record import SinkFull
from secops.store.log import LogFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitors.record import Record

Waiting = tuple["Sequence[Record]", "asyncio.Future[None] | None"]


class Batcher:
    """The ingest role's ``Sink``: queue, group, write, answer."""

    def __init__(self, write: Callable[[Sequence[Record]], None], *, batch_events: int, queue_events: int) -> None:
        self._write = write
        self._batch_events = batch_events
        self._queue_events = queue_events
        self._queue: deque[Waiting] = deque()
        self._queued = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Condition()
        self.full = False  # the disk is full: nothing is being acknowledged
        self.lost = 0  # datagrams that were queued and could not be stored for want of disk

    @property
    def queued(self) -> int:
        """Records waiting."""
        return self._queued

    async def submit(self, records: Sequence[Record]) -> None:
        """Wait for room, then until ``records`` are durable.

        Raises:
            SinkFull: the disk has no room; the records were not taken.
        """
        if not records:
            return
        async with self._room:
            await self._room.wait_for(lambda: self._queued < self._queue_events)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._put(records, done)
        await done

    def offer(self, records: Sequence[Record]) -> bool:
        """Queue without waiting; ``False`` when the queue or the disk is full."""
        if self.full or self._queued + len(records) > self._queue_events:
            return False
        self._put(records, None)
        return True

    def _put(self, records: Sequence[Record], done: asyncio.Future[None] | None) -> None:
        self._queue.append((records, done))
        self._queued += len(records)
        self._filled.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write batches until ``stop`` is set and the queue is empty."""
        stopping = asyncio.ensure_future(stop.wait())
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="append")
        try:
            while self._queue or not stop.is_set():
                if not self._queue:
                    self._filled.clear()
                    filled = asyncio.ensure_future(self._filled.wait())
                    await asyncio.wait({filled, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    filled.cancel()
                    continue
                await self._write_next(thread)
        finally:
            stopping.cancel()
            with suppress(asyncio.CancelledError):
                await stopping
            thread.shutdown(wait=True)

    async def _write_next(self, thread: ThreadPoolExecutor) -> None:
        taken, records = self._take()
        error: BaseException | None = None
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._write, records)
            self.full = False
        except LogFull as full:
            self.full, error = True, SinkFull(str(full))
        except Exception as broken:  # noqa: BLE001 - the loop guard: submitters learn of it, the role reports it and goes on
            error = broken
        async with self._room:
            self._room.notify_all()
        self._answer(taken, error)
        if error is not None and not isinstance(error, SinkFull):
            raise error

    def _take(self) -> tuple[list[Waiting], list[Record]]:
        taken: list[Waiting] = []
        records: list[Record] = []
        while self._queue and (not records or len(records) + len(self._queue[0][0]) <= self._batch_events):
            waiting = self._queue.popleft()
            taken.append(waiting)
            records.extend(waiting[0])
        self._queued -= len(records)
        return taken, records

    def _answer(self, taken: list[Waiting], error: BaseException | None) -> None:
        for records, done in taken:
            if done is None:
                self.lost += len(records) if error is not None else 0
            elif done.cancelled():
                continue
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
