"""Every cloud, against a far end that checks signatures: everything once, through stops, lateness and trouble."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from cloud_server import CLOUDS, SECRET, FarEnd, Told, World, far_end

from monitors.collector import Collector, Surroundings, build
from monitors.record import Record, SinkFull
from secops.normalise.dispatch import normalise

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Store:
    """Keeps records with the last position, whole submissions or nothing; may be full, or have enough."""

    def __init__(self, stop: asyncio.Event, most: int = 1 << 30) -> None:
        self.records: list[Record] = []
        self.positions: dict[str, Any] = {}
        self.calls = 0
        self._stop, self._most = stop, most
        self._changed = asyncio.Condition()

    async def submit(self, records: Sequence[Record]) -> None:
        self.calls += 1
        if self.calls == 2:
            raise SinkFull
        self.records += records
        self.positions |= dict(record.position for record in records if record.position)
        if len(self.records) >= self._most:
            self._stop.set()

    def offer(self, records: Sequence[Record]) -> bool:
        raise AssertionError(f"{len(records)} records offered by a source that waits")

    @property
    def ids(self) -> list[str]:
        return [key_of(orjson.loads(record.raw)) for record in self.records]


def key_of(document: dict[str, Any]) -> str:
    return str(
        document.get("trace_id") or document.get("eventId") or document.get("EventId") or document.get("message_id")
    )


def make(end: FarEnd, positions: dict[str, Any] | None = None, **more: Any) -> Collector:
    surroundings = Surroundings(positions=positions or {}, endpoints=frozenset({end.host}))
    return build(end.cloud.kind, {**end.settings, **more}, surroundings)


async def until(what: Callable[[], object], task: asyncio.Task[None], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            if task.done():
                task.result()
                raise AssertionError("the collector ended by itself")
            await asyncio.sleep(0.01)  # the polling interval itself, not a guess


def gather(
    end: FarEnd, done: Callable[[Store, Collector], object], collector: Collector | None = None, most: int = 1 << 30
) -> tuple[Store, str]:
    """Run a collector until ``done``; give what was stored and what it said then."""
    collector = collector or make(end)

    async def run() -> tuple[Store, str]:
        stop = asyncio.Event()
        store = Store(stop, most)
        task = asyncio.create_task(collector.run(store, now=lambda: end.world.now, stop=stop))
        await until(lambda: stop.is_set() or done(store, collector), task)
        said = f"{collector.status.zh} | {collector.status.en}"
        stop.set()
        await asyncio.wait_for(task, 20)
        return store, said

    return asyncio.run(run())


@pytest.fixture(params=sorted(CLOUDS))
def end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    with far_end(CLOUDS[request.param], World(START), tmp_path) as served:
        yield served


def fill(end: FarEnd, count: int, hours: float = 20.0) -> None:
    step = timedelta(hours=hours) / count
    end.world.entries += [
        end.cloud.entry(number, START - timedelta(minutes=1) - step * number) for number in range(count)
    ]


def test_everything_is_gathered_once_and_every_signature_is_right(end: FarEnd) -> None:
    fill(end, 260 if end.cloud.kind != "openstack_actions" else 60)
    wanted = {key_of_entry(entry) for entry in end.world.entries}
    store, said = gather(
        end,
        lambda store, collector: collector.status.ok and set(store.ids) == wanted and "08:00:00" in collector.status.en,
    )
    assert Counter(store.ids) == Counter(wanted)
    assert not end.world.refused
    assert len(end.world.asked) > 3
    assert "已读到 2026-11-24 08:00:00 UTC" in said
    assert {record.tenant for record in store.records} == {"county-a"}


def key_of_entry(entry: dict[str, Any]) -> str:
    return str(entry.get("trace_id") or entry.get("eventId") or entry.get("EventId") or entry.get("request_id"))


def test_records_go_through_the_clouds_own_parsers(end: FarEnd) -> None:
    fill(end, 3)
    store, _ = gather(end, lambda store, _collector: len(store.records) == 3)
    events = normalise(store.records)
    assert {event["event.dataset"] for event in events} == {end.cloud.dataset}
    assert {event["event.outcome"] for event in events} == {"success"}
    assert all("2026-11-23T" < event["@timestamp"] < "2026-11-24T08" for event in events)
    assert {event.get("user.name") or event.get("user.id") for event in events} <= {"liwei", "u1"}


def has(count: int, store: Store, _collector: Collector) -> bool:
    return len(store.records) >= count


@pytest.mark.parametrize("most", [1, 70, 200])
def test_a_stop_anywhere_loses_and_repeats_nothing(end: FarEnd, most: int) -> None:
    fill(end, 230 if end.cloud.kind != "openstack_actions" else 40)
    wanted = {key_of_entry(entry) for entry in end.world.entries}
    ids: list[str] = []
    positions: dict[str, Any] = {}
    for _ in range(6):  # each begins with no more than what the log holds
        left = len(wanted) - len(ids)
        store, _said = gather(end, partial(has, left), make(end, positions), most)
        ids += store.ids
        positions |= store.positions
        if len(ids) >= len(wanted):
            break
    store, _said = gather(
        end, lambda _store, collector: "08:00:00" in collector.status.en and collector.status.ok, make(end, positions)
    )
    assert Counter(ids + store.ids) == Counter(wanted)


def test_what_arrives_late_is_found_and_nothing_comes_twice(end: FarEnd) -> None:
    fill(end, 5)
    steps = iter(range(100, 103))

    def late(store: Store, collector: Collector) -> bool:
        if len(store.records) < 5 + late.added or "UTC" not in collector.status.en:
            return False
        number = next(steps, None)
        if number is None:
            return True
        end.world.now += timedelta(minutes=3)
        end.world.entries.append(end.cloud.entry(number, end.world.now - timedelta(minutes=9)))
        late.added += 1
        return False

    late.added = 0
    store, _ = gather(end, late)
    assert Counter(store.ids) == Counter(key_of_entry(entry) for entry in end.world.entries)


TROUBLES = {
    "throttled": ("请求过快", lambda end: end.cloud.throttled),
    "expired": ("", lambda end: end.cloud.expired),
    "refused": ("密钥被拒绝", lambda end: end.cloud.wrong),
    "server": ("对方服务出错", lambda _end: Told(503, b"<html>busy</html>")),
    "redirect": ("对方服务出错", lambda _end: Told(302, b"", {"Location": "http://169.254.169.254/latest/meta-data"})),
    "malformed": ("无法理解", lambda _end: Told(200, b'{"traces": [')),
    "no list": (
        "无法理解",
        lambda _end: Told(200, {"traces": {}, "Events": 5, "Response": {"Events": "x"}, "servers": 7, "token": []}),
    ),
    "deep": ("无法理解", lambda _end: Told(200, b"[" * 100_000)),
    "huge": ("回答过大", lambda _end: Told(200, b" " * (17 << 20))),
    "packed": ("无法理解", lambda _end: Told(200, b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"})),
}


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_trouble_is_told_in_both_languages(end: FarEnd, trouble: str) -> None:
    zh, told = TROUBLES[trouble]
    fill(end, 2)
    end.world.faults += [told(end)] * 8
    store, said = gather(end, lambda _store, collector: "next try" in collector.status.en)
    assert zh in said
    assert "秒后重试" in said
    assert SECRET not in said
    assert not store.records
    assert not any("169.254" in asked.path for asked in end.world.asked)


def test_after_trouble_it_goes_on_by_itself(end: FarEnd) -> None:
    fill(end, 4)
    end.world.faults += [Told(500, b""), end.cloud.throttled]
    store, _ = gather(end, lambda store, _collector: len(store.records) == 4)
    assert len(set(store.ids)) == 4


def test_a_clock_that_is_wrong_is_told_as_such(end: FarEnd) -> None:
    if end.cloud.kind == "openstack_actions":
        end.world.faults += [end.cloud.wrong] * 8  # no signature, but a token that had expired when it was made
    end.world.skew = timedelta(hours=1)
    _, said = gather(end, lambda _store, collector: "next try" in collector.status.en)
    assert "请检查 NTP" in said
    assert "check NTP" in said


def test_a_wrong_secret_is_refused_by_the_far_end(end: FarEnd) -> None:
    key = Path(end.settings["key_file"])
    key.write_text(end.cloud.key.replace(SECRET, "another"))
    _, said = gather(end, lambda _store, collector: "next try" in collector.status.en)
    assert "密钥被拒绝" in said
    assert "another" not in said
    assert end.world.refused


def test_a_key_that_others_may_read_is_not_used(end: FarEnd) -> None:
    key = Path(end.settings["key_file"])
    key.chmod(0o640)
    _, said = gather(end, lambda _store, collector: "next try" in collector.status.en)
    assert f"chmod 600 {key}" in said
    assert not end.world.asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        'access_key = "a"\n',
        'x = "y"\n',
        "\xff",
        'id = 5\nsecret = ["a"]\n',
        'id = "a\\nb"\nsecret = "c"\n',
    ],
)
def test_a_key_file_that_says_something_else_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    with far_end(CLOUDS["openstack_actions"], World(START), tmp_path) as end:
        Path(end.settings["key_file"]).write_text(text, encoding="latin-1")
        _, said = gather(end, lambda _store, collector: "next try" in collector.status.en)
    assert "密钥文件不可用" in said
    assert "nonsense" not in said


def test_a_stranger_in_the_middle_gets_nothing(end: FarEnd) -> None:
    _, said = gather(end, lambda _store, collector: "next try" in collector.status.en, make(end, ca_file=None))
    assert "无法连接" in said
    assert "CERTIFICATE_VERIFY_FAILED" in said.upper() or "certificate verify failed" in said
    assert not end.world.asked


def test_only_allowed_endpoints_and_known_regions_are_asked(end: FarEnd) -> None:
    with pytest.raises(ValueError, match=r"ingest\.pull_endpoints"):
        build(end.cloud.kind, end.settings, Surroundings(endpoints=frozenset({"127.0.0.1:1"})))
    if "region" in end.cloud.own:
        own = {name: value for name, value in end.settings.items() if name != "endpoint"}
        with pytest.raises(ValueError, match="unknown region"):
            build(end.cloud.kind, {**own, "region": "evil-1"}, Surroundings())
        build(end.cloud.kind, own, Surroundings())
    with pytest.raises(ValueError, match="https"):
        make(end, **{name: "http://127.0.0.1" for name in ("endpoint", "identity_url") if name in end.settings})


def test_a_gap_is_an_event_and_not_a_silence(end: FarEnd) -> None:
    fill(end, 2)
    old = {"from": "2020-01-01T00:00:00+00:00", "seen": ""}
    first = make(end)
    source = first._pull._source  # type: ignore[attr-defined]
    collector = make(end, {source: old})
    store, _ = gather(end, lambda store, _collector: store.records, collector)
    gap = store.records[0]
    assert gap.error == "truncated"
    assert orjson.loads(gap.raw)["from"] == "2020-01-01T00:00:00+00:00"
    assert collector.counters.dropped[end.cloud.kind] == 1
    (event,) = normalise([gap])
    assert event["event.kind"] == "pipeline_error"


def test_an_entry_that_is_too_long_is_kept_in_part(tmp_path: Path) -> None:
    with far_end(CLOUDS["huawei_cts"], World(START), tmp_path) as end:
        fill(end, 1)
        end.world.entries[0]["request"] = "x" * 5000
        store, _ = gather(end, lambda store, _collector: store.records, make(end, max_message=480))
    assert [(len(record.raw), record.error) for record in store.records] == [(480, "oversized")]


def test_entries_without_an_id_are_known_by_what_they_say(tmp_path: Path) -> None:
    with far_end(CLOUDS["alibaba_actiontrail"], World(START), tmp_path) as end:
        strange = [{"eventName": "a"}, {"eventName": "a"}, "text", None, 5, {"eventId": 7}]
        end.world.faults += [Told(200, {"Events": strange, "NextToken": ""})] * 200
        store, _ = gather(end, lambda _store, collector: "08:00:00" in collector.status.en, make(end, history_hours=0))
    assert sorted(record.raw for record in store.records) == sorted(
        [b'{"eventName":"a"}', b'"text"', b"null", b"5", b'{"eventId":7}']
    )
    assert len(normalise(store.records)) == 5


def test_two_pulls_of_one_account_share_its_budget(tmp_path: Path) -> None:
    with far_end(CLOUDS["tencent_cloudaudit"], World(START), tmp_path) as end:
        shared = Surroundings(endpoints=frozenset({end.host}))
        settings = {**end.settings, "requests_per_second": 5, "history_hours": 2000}
        regions = ("ap-guangzhou", "ap-shanghai")
        collectors = [build(end.cloud.kind, {**settings, "region": region}, shared) for region in regions]

        async def run() -> float:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            begun, store = loop.time(), Store(stop)
            tasks = [asyncio.create_task(c.run(store, now=lambda: START, stop=stop)) for c in collectors]
            await until(lambda: len(end.world.asked) >= 11, tasks[0])
            took = loop.time() - begun
            stop.set()
            await asyncio.gather(*tasks)
            return took

        assert asyncio.run(run()) >= 1.9  # ten intervals of a fifth of a second, not five
        assert {asked.headers["x-tc-region"] for asked in end.world.asked} == set(regions)


def test_openstack_asks_for_a_new_token_when_the_old_one_is_not_taken(tmp_path: Path) -> None:
    with far_end(CLOUDS["openstack_actions"], World(START), tmp_path) as end:
        fill(end, 4)

        def more(store: Store, collector: Collector) -> bool:
            if len(store.records) == 4 and len(end.world.entries) == 4:
                end.world.tokens = set()
                end.world.now += timedelta(minutes=1)
                end.world.entries.append(end.cloud.entry(50, end.world.now))
            return len(store.records) == 5

        gather(end, more)
        assert sum(asked.path.endswith("/auth/tokens") for asked in end.world.asked) >= 2


def test_an_action_that_fails_later_is_told_again(tmp_path: Path) -> None:
    with far_end(CLOUDS["openstack_actions"], World(START), tmp_path) as end:
        fill(end, 1)
        action = end.world.entries[0]
        events, action["events"] = action["events"], []

        def fails(store: Store, collector: Collector) -> bool:
            if len(store.records) == 1:
                action["events"], action["message"] = [{**events[0], "result": "Error"}], "Error"
                action["updated_at"] = f"{end.world.now:%Y-%m-%dT%H:%M:%S}.000000"
            return len(store.records) == 2

        store, _ = gather(end, fails)
    assert [event["event.action"] for event in normalise(store.records)] == [
        "compute.instance.create.start",
        "compute.instance.create.error",
    ]
    assert [event["event.outcome"] for event in normalise(store.records)] == ["unknown", "failure"]


def test_the_proxy_is_asked_and_the_environment_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HTTPS_PROXY", "http://127.0.0.1:9")
    with far_end(CLOUDS["alibaba_actiontrail"], World(START), tmp_path) as end:
        fill(end, 1)
        asked: list[bytes] = []

        async def run() -> int:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", end.port)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.gather(pour(reader, far_writer), pour(far_reader, writer))

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            stop = asyncio.Event()
            store = Store(stop, 1)
            collector = make(end, proxy=proxy)
            await asyncio.wait_for(collector.run(store, now=lambda: START, stop=stop), 20)
            server.close()
            return len(store.records)

        assert asyncio.run(run()) == 1
        assert asked == [f"CONNECT 127.0.0.1:{end.port} HTTP/1.1".encode()]


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
