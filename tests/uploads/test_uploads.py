"""An uploaded file, from the folder to the log: once, whole, counted, whatever ends in the middle."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psutil
import pytest

from monitors.collector import Counters
from monitors.record import Record
from secops import audit, pipeline, upload_files, uploads, wiring
from secops.engines import open_log
from secops.errors import UserError
from secops.normalise.parsers.upload import written
from secops.records import Event
from secops.settings import Settings, Uploads
from secops.store.log import Log
from secops.uploads import Reading, UploadRow, UploadState
from secops.wiring import Service
from secops.worker import uploads as feeding
from tests.waiting import wait_until

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAPPED = Reading({"@timestamp": "时间", "host.name": "主机", "message": "内容"})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = Settings(
        state=tmp_path / "state", uploads=Uploads(max_file_bytes=1 << 20, disk_bytes=2 << 20), _env_file=None
    )  # type: ignore[call-arg]
    wiring.prepare(settings)
    with wiring.opened(settings) as opened:
        yield opened


def bring(
    service: Service, name: str, data: bytes, reading: Reading | None = None, tenant: str = "city"
) -> tuple[UploadRow, bool]:
    bounds = service.settings.uploads
    with upload_files.Incoming(service.uploads_dir, tenant, bounds, 0) as incoming:
        incoming.write(data)
        kept = incoming.keep()
    told = upload_files.peek(
        service.uploads_dir / uploads.file_of(tenant, kept.sha256), name, reading or Reading(), bounds
    )
    with service.database.begin() as tx:
        return uploads.register(
            tx,
            kept,
            tenant=tenant,
            name=name,
            told=told,
            reading=reading,
            actor="wang",
            machine=service.machine,
            now=service.clock(),
        )


class LogSink:
    """Writes to the log at once; ``after`` is called with the number of submissions."""

    def __init__(self, log: Log, after: Any = None) -> None:
        self.log, self.after, self.count = log, after, 0

    async def submit(self, records: Sequence[Record]) -> None:
        pipeline.ingest(records, self.log, SHANGHAI)
        self.count += 1
        if self.after is not None:
            self.after(self.count)

    def offer(self, records: Sequence[Record]) -> bool:
        raise AssertionError(f"{len(records)} records of an upload might be lost for want of room")


def feed(service: Service, after: Any = None, quiet: float = feeding.QUIET_SECONDS) -> None:
    """Run the feeder until nothing waits, or it is stopped by ``after``, which gets the event and the count."""

    async def run() -> None:
        stop = asyncio.Event()
        log = service.writable_log()
        try:
            sink = LogSink(log, (lambda count: after(stop, count)) if after else None)
            running = asyncio.create_task(
                feeding.Uploads(service, sink, log.positions(), Counters(), quiet=quiet).run(stop)
            )
            for _ in range(600):
                with service.database.read() as tx:
                    if stop.is_set() or not uploads.waiting(tx, service.machine):
                        break
                await asyncio.wait({running}, timeout=0.05)
            stop.set()
            await running
        finally:
            log.close()

    asyncio.run(run())


def readers() -> list[psutil.Process]:
    """Processes that read files for this one, which may have others: servers that the whole run shares."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "monitors.files" in child.cmdline():
                found.append(child)
    return found


def stored(service: Service) -> list[Event]:
    log = open_log(service.settings.log, service.log_dir)
    try:
        return [event for partition in range(log.partitions) for event in log.read(partition, 0, 100_000)]
    finally:
        log.close()


def row(service: Service, row_id: int) -> UploadRow:
    with service.database.read() as tx:
        return uploads.get(tx, row_id, None)


def documents(number: int) -> bytes:
    return b"\n".join(
        orjson.dumps({"time": f"2026-03-01T00:00:{n % 60:02}Z", "message": f"m{n}", "host": f"h{n % 7}"})
        for n in range(number)
    )


def test_a_file_becomes_events_of_its_own_time_once(service: Service) -> None:
    first, new = bring(service, "..\\evil/../日志.jsonl", documents(1200) + b"\n{broken")
    assert (new, first.state, first.name) == (True, UploadState.QUEUED, "日志.jsonl")
    feed(service)
    done = row(service, first.id)
    assert (done.state, done.read, done.stored, done.unread, done.refused) == (UploadState.DONE, 1201, 1201, 1, 0)
    assert done.reasons == {"malformed": 1}
    assert done.samples["first"][0]["at"] == "line 1201"
    events = stored(service)
    assert len(events) == 1201
    good = [event for event in events if event["event.kind"] == "event"]
    assert {event["@timestamp"][:10] for event in good} == {"2026-03-01"}
    assert {(event["log.file.path"], event["labels"]["upload"], event["agent.type"]) for event in good} == {
        ("日志.jsonl", first.sha256, "upload")
    }
    assert all(orjson.loads(event["event.original"])["message"] == event["message"] for event in good)
    assert list(service.uploads_dir.iterdir()) == [], "what was read is not kept twice"
    again, new = bring(service, "renamed.jsonl", documents(1200) + b"\n{broken")
    assert (again.id, new) == (first.id, False)
    feed(service)
    assert len(stored(service)) == 1201
    with service.database.read() as tx:
        acts = [(one.action, one.actor, one.tenant) for one in audit.about(tx, [f"upload:{first.id}"])]
    assert acts == [("upload.receive", "wang", "city"), ("upload.finish", "wang", "city")]


def test_the_same_file_of_two_tenants_is_both_of_theirs(service: Service) -> None:
    one, _ = bring(service, "a.jsonl", documents(10))
    two, new = bring(service, "a.jsonl", documents(10), tenant="north")
    assert new
    assert one.id != two.id
    feed(service)
    assert sorted(event["organization.id"] for event in stored(service)) == ["city"] * 10 + ["north"] * 10


@pytest.mark.parametrize("end_after", [1, 3])
def test_a_role_that_ends_in_the_middle_neither_loses_nor_repeats(service: Service, end_after: int) -> None:
    brought, _ = bring(service, "a.jsonl", documents(3000))
    feed(service, lambda stop, count: stop.set() if count == end_after else None)
    assert row(service, brought.id).state == UploadState.READING
    assert len(stored(service)) == end_after * feeding.BATCH
    feed(service)
    assert row(service, brought.id).stored == 3000
    assert len({event["labels"]["at"] for event in stored(service)}) == len(stored(service)) == 3000


def test_a_reader_that_is_killed_fails_the_file_and_the_next_try_goes_on(service: Service) -> None:
    data = documents(9000)

    def kill(_stop: asyncio.Event, count: int) -> None:
        if count == 2:
            for child in readers():
                child.kill()

    brought, _ = bring(service, "a.jsonl", data)
    feed(service, kill)
    failed = row(service, brought.id)
    assert failed.state == UploadState.FAILED
    assert failed.stored == len(stored(service)) < 9000
    assert "ended unexpectedly" in failed.error_en
    _, new = bring(service, "a.jsonl", data)
    assert new
    feed(service)
    assert row(service, brought.id).state == UploadState.DONE
    assert len({event["labels"]["at"] for event in stored(service)}) == len(stored(service)) == 9000


def test_a_reader_that_stands_still_is_ended(service: Service) -> None:
    brought, _ = bring(service, "a.jsonl", documents(9000))

    def freeze(_stop: asyncio.Event, count: int) -> None:
        if count == 2:
            for child in readers():
                child.suspend()

    feed(service, freeze, quiet=3.0)
    failed = row(service, brought.id)
    assert failed.state == UploadState.FAILED
    assert "nothing came of it" in failed.error_en
    assert failed.stored == len(stored(service))
    wait_until(lambda: readers() == [], what="the reader to be gone")


def test_a_table_waits_for_its_columns_and_the_next_one_does_not(service: Service) -> None:
    table = "时间,主机,内容,端口\n2026-03-01 08:00:00,web-1,登录失败,22\n明天,web-2,x,23\n"
    waits, _ = bring(service, "审计.csv", table.encode("gb18030"))
    assert waits.state == UploadState.MAPPING
    assert waits.sample["columns"] == ["时间", "主机", "内容", "端口"]
    feed(service)
    assert stored(service) == []
    with service.database.begin() as tx:
        with pytest.raises(UserError, match="does not have"):
            uploads.choose(
                tx, uploads.get(tx, waits.id, None), Reading({"message": "no such"}), actor="wang", now=service.clock()
            )
        uploads.choose(tx, uploads.get(tx, waits.id, None), MAPPED, actor="wang", now=service.clock())
    feed(service)
    good, unread = sorted(stored(service), key=lambda event: event["host.name"])
    assert good["@timestamp"] == "2026-03-01T00:00:00.000000Z"
    assert (good["message"], good["original"]["端口"], good["event.original"]) == (
        "登录失败",
        "22",
        "2026-03-01 08:00:00,web-1,登录失败,22",
    )
    assert unread["@timestamp"] == unread["event.ingested"]
    assert "time_unread" in unread["tags"]
    following, _ = bring(service, "next.csv", table.replace("22", "24").encode())
    assert following.state == UploadState.QUEUED, "the tenant has said how such tables are read"
    other, _ = bring(service, "next.csv", table.encode(), tenant="north")
    assert other.state == UploadState.MAPPING, "another tenant has not"


def test_files_beyond_the_bounds_leave_nothing_behind(service: Service) -> None:
    bounds, folder = service.settings.uploads, service.uploads_dir
    with pytest.raises(UserError, match="max_file_bytes"), upload_files.Incoming(folder, "city", bounds, 0) as incoming:
        incoming.write(b"x" * (bounds.max_file_bytes + 1))
    with pytest.raises(UserError, match="reserve_bytes"), upload_files.Incoming(folder, "city", bounds, 1 << 60):
        pass
    assert list(folder.iterdir()) == []


def test_a_tenant_that_fills_its_half_of_the_room_leaves_the_other_to_the_others(service: Service) -> None:
    bounds, folder = service.settings.uploads, service.uploads_dir
    folder.mkdir()
    (folder / uploads.file_of("city", "a")).write_bytes(b"x" * (bounds.disk_bytes // 2 - 10))
    with pytest.raises(UserError, match="disk_bytes"), upload_files.Incoming(folder, "city", bounds, 0) as incoming:
        incoming.write(b"x" * 11)
    with upload_files.Incoming(folder, "north", bounds, 0) as incoming:
        incoming.write(b"x" * (bounds.disk_bytes // 2))
        incoming.keep()
    with pytest.raises(UserError, match="disk_bytes"), upload_files.Incoming(folder, "south", bounds, 0) as incoming:
        incoming.write(b"x" * 11)
    assert len(list(folder.iterdir())) == 2


def test_a_bomb_fails_and_says_so(service: Service) -> None:
    bomb = gzip.compress(b'{"a":1}\n' * 12_000_000)
    brought, _ = bring(service, "bomb.jsonl.gz", bomb)

    def stop_early(stop: asyncio.Event, count: int) -> None:
        assert count < 20_000, "it was not stopped"

    bounded = service.settings.model_copy(update={"uploads": Uploads(max_unpacked_bytes=700_000)})
    service.settings = bounded
    feed(service, stop_early)
    failed = row(service, brought.id)
    assert failed.state == UploadState.FAILED
    assert "bomb" in failed.error_en
    assert failed.stored == len(stored(service)) > 0


def test_a_reader_holds_little_however_large_the_file(service: Service) -> None:
    big = gzip.compress(b"\n".join(b'{"n":%d,"pad":"%s"}' % (n, b"x" * 200) for n in range(200_000)))
    (service.settings.state / "big.gz").write_bytes(big)
    asked = upload_files.read_request(service.settings.state / "big.gz", "big", Reading(), service.settings.uploads)
    process = psutil.Popen([*upload_files.READER, "read"], stdin=-1, stdout=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(asked)
    process.stdin.close()
    most = 0
    while process.stdout.read(1 << 20):
        most = max(most, process.memory_info().rss if process.is_running() and process.status() != "zombie" else 0)
    process.stdout.close()
    assert process.wait(10) == 0
    assert 0 < most < 80 << 20


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-01T08:00:00", "2026-03-01T00:00:00.000000Z"),
        ("2026-03-01T08:00:00.5+09:00", "2026-02-28T23:00:00.500000Z"),
        ("2026/3/1 8:05", "2026-03-01T00:05:00.000000Z"),
        ("2026年3月1日 8时5分7秒", "2026-03-01T00:05:07.000000Z"),
        ("2026.03.01", "2026-02-28T16:00:00.000000Z"),
        ("1772323200", "2026-03-01T00:00:00.000000Z"),
        ("1772323200123", "2026-03-01T00:00:00.123000Z"),
        ("2026-13-01 08:00:00", None),
        ("yesterday", None),
        ("9" * 1000, None),
    ],
)
def test_times_as_tables_write_them(text: str, read: str | None) -> None:
    assert written(text, SHANGHAI) == read
