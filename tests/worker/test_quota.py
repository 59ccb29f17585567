"""Quotas and fairness: who floods waits, alone; what a quiet tenant submits is durable with the next batch but one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops import migrations, source_quotas
from secops.alert.find import Filter, search
from secops.db import Database
from secops.errors import UserError
from secops.source_quotas import Quota, Usage
from secops.worker.batcher import RECORD_BYTES, Batcher
from secops.worker.quota import BURST_SECONDS, SLOW_RATE, QuotaBook
from secops.worker.source_book import USAGE_SECONDS, SourceBook
from secops.worker.source_tally import SourceTally

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


def some(tenant: str, count: int, form: str = "line") -> list[Record]:
    return [Record(b"x" * 100, AT, "t", "", tenant, form)] * count


class Hand:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 5)), min_size=5, max_size=60), st.sampled_from([1, 10, 100])
)
def test_whoever_waits_as_told_never_sends_more_than_its_rate(sends: list[tuple[int, float]], rate: int) -> None:
    hand = Hand()
    book = QuotaBook(Quota(events_per_second=rate), hand)
    begun, sent, last = hand.at, 0, 0
    for count, pause in sends:
        hand.at += pause + book.wait("a")
        assert book.wait("a") == pytest.approx(0, abs=1e-6)
        book.take("a", count, 1)
        sent, last = sent + count, count
        assert sent - last <= rate * (hand.at - begun + BURST_SECONDS) + 1e-3
    assert book.wait("b") == 0


def test_a_tenant_over_its_bytes_of_the_day_goes_on_slowly_until_midnight() -> None:
    hand = Hand()
    book = QuotaBook(Quota(bytes_per_day=1000), hand)
    book.begin_day(date(2026, 11, 24), {"a": 900})
    book.take("a", 1000, 50)
    assert book.wait("a") == 0
    book.take("a", 1000, 50)
    assert book.rate("a") == SLOW_RATE
    assert book.wait("a") > 0
    book.begin_day(date(2026, 11, 25), {})
    assert book.wait("a") == 0


def test_a_quiet_tenant_is_durable_with_the_next_batch_but_one_however_another_floods() -> None:
    batches: list[tuple[int, bool]] = []  # records, and whether the quiet one's are among them
    waited: list[int] = []

    def write(records: Sequence[Record]) -> None:
        batches.append((len(records), any(record.tenant == "quiet" for record in records)))

    batcher = Batcher(write, batch_events=100, queue_events=1000)

    async def flood(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await batcher.submit(some("loud", 100))

    async def scenario() -> None:
        stop, ended = asyncio.Event(), asyncio.Event()
        running = asyncio.ensure_future(batcher.run(ended))
        floods = [asyncio.ensure_future(flood(stop)) for _ in range(50)]
        for _ in range(10):  # every flooder has begun
            await asyncio.sleep(0)
        assert batcher.queued >= 500
        for _ in range(50):
            before = len(batches)
            await batcher.submit(some("quiet", 3))
            waited.append(next(n for n, (_, quiet) in enumerate(batches[before:]) if quiet))
        stop.set()
        await asyncio.gather(*floods)
        ended.set()
        await running

    asyncio.run(scenario())
    assert max(waited) <= 2, "the batch that is being written and one more at most go before it"
    assert max(size for size, _ in batches) <= 100


def test_a_full_queue_has_room_for_a_tenant_that_has_nothing_in_it() -> None:
    stored: list[Record] = []
    batcher = Batcher(stored.extend, batch_events=10, queue_events=100, queue_bytes=100 * (RECORD_BYTES + 100))

    async def scenario() -> None:
        while batcher.offer(some("loud", 1)):
            pass
        assert batcher.queued == 100
        assert batcher.offer(some("quiet", 5)), "a datagram of somebody else is not lost"
        submitting = asyncio.ensure_future(batcher.submit(some("third", 5)))
        stop = asyncio.Event()
        stop.set()
        await asyncio.sleep(0)
        await batcher.run(stop)
        await submitting

    asyncio.run(scenario())
    assert len(stored) == 110
    assert [record.tenant for record in stored[:20]].count("quiet") == 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=60))
def test_everything_queued_is_written_once_and_in_its_tenants_order(puts: list[tuple[str, int]]) -> None:
    stored: list[Record] = []
    batcher = Batcher(stored.extend, batch_events=16, queue_events=100_000)
    wanted: dict[str, list[bytes]] = {"a": [], "b": [], "c": []}
    for number, (tenant, count) in enumerate(puts):
        raws = [f"{number}-{n}".encode() for n in range(count)]
        wanted[tenant] += raws
        assert batcher.offer([Record(raw, AT, "t", "", tenant, "line") for raw in raws])

    async def scenario() -> None:
        stop = asyncio.Event()
        stop.set()
        await batcher.run(stop)

    asyncio.run(scenario())
    assert {tenant: [r.raw for r in stored if r.tenant == tenant] for tenant in wanted} == wanted
    assert batcher.queued == 0


def test_over_quota_a_submitter_waits_a_datagram_is_counted_and_the_services_own_records_pass() -> None:
    hand, stored = Hand(), []
    book = QuotaBook(Quota(events_per_second=10), hand)
    batcher = Batcher(stored.extend, batch_events=1000, queue_events=10_000, quota=book)

    async def scenario() -> None:
        ended = asyncio.Event()
        running = asyncio.ensure_future(batcher.run(ended))
        await batcher.submit(some("loud", 100))
        waiting = asyncio.ensure_future(batcher.submit(some("loud", 1)))
        assert not batcher.offer(some("loud", 7))
        await batcher.submit(some("quiet", 1))
        await batcher.submit(some("loud", 1, "audit"))
        assert not waiting.done()
        assert book.wait("loud") == pytest.approx(8.0)
        batcher.hurry()
        await waiting
        ended.set()
        await running

    asyncio.run(scenario())
    used = book.take_usage()
    assert used["loud"] == Usage(events=101, bytes=10_100, slowed=1, dropped=7)
    assert used["quiet"] == Usage(events=1, bytes=100)
    assert len(stored) == 103


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'state.db'}")
    migrations.upgrade(made)
    yield made
    made.close()


def test_usage_is_stored_by_day_and_who_is_over_is_told_once_an_hour(database: Database) -> None:
    hand, clock = Hand(), [AT]
    book = SourceBook(database, SourceTally(0.0), lambda: clock[0], hand)

    def alerts() -> list[tuple[str, int]]:
        with database.read() as tx:
            return [(one.tenant, one.count) for one in search(tx, Filter(text="配额"), limit=10)]

    for minutes in (0, 1, 59, 61):
        clock[0] = AT + timedelta(minutes=minutes)
        hand.at += USAGE_SECONDS
        book.note({"north": Usage(events=5, bytes=50, slowed=2, dropped=1), "city": Usage(events=1)})
        if minutes < 61:
            assert alerts() == [("north", 1)]
    assert sum(count for _, count in alerts()) == 2
    with database.read() as tx:
        rows = {
            row.tenant: (row.events, row.bytes, row.slowed, row.dropped)
            for row in source_quotas.usage_of(tx, AT.date())
        }
    assert rows == {"north": (20, 200, 8, 4), "city": (4, 0, 0, 0)}


def test_a_quota_is_set_changed_taken_away_and_audited(database: Database) -> None:
    with database.begin() as tx:
        source_quotas.set_quota(tx, "north", Quota(10, 20), actor="a", now=AT)
        source_quotas.set_quota(tx, "north", Quota(11, 20), actor="a", now=AT)
    with database.begin() as tx:
        assert source_quotas.quotas(tx) == {"north": Quota(11, 20)}
        source_quotas.set_quota(tx, "north", None, actor="a", now=AT)
    with database.begin() as tx:
        assert source_quotas.quotas(tx) == {}
        with pytest.raises(UserError):
            source_quotas.set_quota(tx, "north", Quota(-1, 0), actor="a", now=AT)


def test_the_book_costs_little() -> None:
    book, begun = QuotaBook(Quota(events_per_second=10**9), time.monotonic), time.perf_counter()
    for _ in range(10_000):
        book.ask("a")
        book.take("a", 100, 1)
    assert time.perf_counter() - begun < 2
