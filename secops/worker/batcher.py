"""Group commit: whatever collectors hand over while one batch is being written becomes the next batch.

One thread normalises and appends, so the event loop goes on receiving; a submitter is answered when its batch is
durable. The queue is bounded: submitters wait (a TCP sender is slowed), datagrams that find it full are counted as lost.
Datagrams, whose sender cannot wait, have much more room, counted in bytes, and stand in a line of their own, so that ten seconds of
a flood can be kept and delay nobody who waits for an answer.

Every tenant has queues of its own, and a batch takes from each in turn: a tenant that floods fills its own share of the room
and no more, and what another submits is durable with the next batch but one at the latest. The service's own
records (audit trail, probes) count as a tenant without a quota.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from monitors.record import SinkFull
from secops.source_quotas import Quota
from secops.store.log import LogFull
from secops.worker.quota import QuotaBook
from secops.worker.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitors.record import Record

Waiting = tuple["Sequence[Record]", "asyncio.Future[None] | None"]
Line = tuple[str, bool]  # the tenant, and whether it is that of its datagrams

LOOK_SECONDS: Final = 1.0  # a waiting submitter looks this often whether its quota changed
OWN: Final = frozenset({"audit", "probe"})  # formats of the service's own records
RECORD_BYTES: Final = 200  # of memory that a waiting record takes beside its text
QUEUE_BYTES: Final = 256 << 20


class Batcher:
    """The ingest role's ``Sink``: queue, group, write, answer."""

    def __init__(
        self,
        write: Callable[[Sequence[Record]], None],
        *,
        batch_events: int,
        queue_events: int,
        queue_bytes: int = QUEUE_BYTES,
        quota: QuotaBook | None = None,
    ) -> None:
        self._write = write
        self._batch_events = batch_events
        self._room_for = {False: Room(queue_events), True: Room(queue_bytes)}
        self._quota = quota or QuotaBook(Quota(), time.monotonic)
        self._queues: dict[Line, deque[Waiting]] = {}  # those that are not empty, the next to be served first
        self._blocked: Counter[str] = Counter()  # submitters that wait for room, by tenant
        self._queued = 0
        self._filled = asyncio.Event()
        self._hurry = asyncio.Event()
        self._room = asyncio.Condition()
        self.full = False  # the disk is full: nothing is being acknowledged
        self.lost = 0  # datagrams that were queued and could not be stored, for want of disk or of time at the end

    @property
    def queued(self) -> int:
        """Records waiting."""
        return self._queued

    def hurry(self) -> None:
        """Let nobody wait for his quota any more: the service ends, and what was received is to be stored."""
        self._hurry.set()

    async def submit(self, records: Sequence[Record]) -> None:
        """Wait for the tenant's quota and for room, then until ``records``, all of one tenant, are durable.

        Raises:
            SinkFull: the disk has no room; the records were not taken.
        """
        if not records:
            return
        tenant = _queue_of(records)
        if tenant:
            await self._paced(tenant)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._blocked[tenant] or not self._room_for[False].is_open(tenant):
            await self._put_when_room(tenant, records, done)
        else:  # nobody of this tenant waits: it need not stand in line behind those of another, who wait for their own room
            self._put(tenant, records, done)
        await done

    def offer(self, records: Sequence[Record]) -> bool:
        """Queue without waiting; ``False`` when the queue or the disk is full, or the tenant is over its quota."""
        if not records:
            return True
        tenant = _queue_of(records)
        if tenant and self._quota.wait(tenant) > 0:
            self._quota.drop(tenant, len(records))
            return False
        if self.full or not self._room_for[True].fits(tenant, _weight(records, datagrams=True)):
            return False
        self._put(tenant, records, None)
        return True

    async def _put_when_room(self, tenant: str, records: Sequence[Record], done: asyncio.Future[None]) -> None:
        self._blocked[tenant] += 1
        try:
            async with self._room:
                await self._room.wait_for(lambda: self._room_for[False].is_open(tenant))
                self._put(tenant, records, done)
        finally:
            self._blocked[tenant] -= 1

    async def _paced(self, tenant: str) -> None:
        seconds = self._quota.ask(tenant)
        while seconds > 0 and not self._hurry.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), min(seconds, LOOK_SECONDS))
            seconds = self._quota.wait(tenant)

    def _put(self, tenant: str, records: Sequence[Record], done: asyncio.Future[None] | None) -> None:
        if tenant:
            self._quota.take(tenant, len(records), sum(len(record.raw) for record in records))
        datagrams = done is None
        self._queues.setdefault((tenant, datagrams), deque()).append((records, done))
        self._room_for[datagrams].put(tenant, _weight(records, datagrams=datagrams))
        self._queued += len(records)
        self._filled.set()

    def give_up(self) -> None:
        """Drop what is queued, when there is no time left to write it: datagrams are counted as lost, nobody else was answered."""
        waiting = [one for queue in self._queues.values() for one in queue]
        self.lost += sum(len(records) for records, done in waiting if done is None)
        self._queues.clear()
        self._queued = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Write batches until ``stop`` is set and the queue is empty."""
        stopping = asyncio.ensure_future(stop.wait())
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="append")
        try:
            while self._queues or not stop.is_set():
                if not self._queues:
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
        """The next batch: in rounds, from each line its part; who had to stand back comes first in the next batch."""
        taken: list[Waiting] = []
        records: list[Record] = []
        served = True
        while served and self._queues:
            part = max(1, self._batch_events // len(self._queues))
            served = sum(self._serve(line, part, taken, records) for line in list(self._queues)) > 0
        self._queued -= len(records)
        return taken, records

    def _serve(self, line: Line, part: int, taken: list[Waiting], records: list[Record]) -> bool:
        """Move about ``part`` records of a line into the batch; ``False`` when its next submission does not fit."""
        queue, before, (tenant, datagrams) = self._queues[line], len(records), line
        while queue and len(records) - before < part:
            if records and len(records) + len(queue[0][0]) > self._batch_events:
                break
            taken.append(queue[0])
            records.extend(queue.popleft()[0])
        if len(records) == before:
            return False
        self._room_for[datagrams].take(tenant, _weight(records[before:], datagrams=datagrams))
        del self._queues[line]
        if queue:
            self._queues[line] = queue  # behind the others
        return True

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


def _queue_of(records: Sequence[Record]) -> str:
    """Whose queue records stand in; "" is the service's own."""
    return "" if records[0].format in OWN else records[0].tenant


def _weight(records: Sequence[Record], *, datagrams: bool) -> int:
    """What records take of the room: bytes of memory for datagrams, else their number."""
    return sum(len(record.raw) for record in records) + RECORD_BYTES * len(records) if datagrams else len(records)
