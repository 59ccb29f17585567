"""Bad peers and bad days: idle and half-open connections, slow bodies, a flooding tenant, a clock that jumps."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitors.collector import Collector, Surroundings, build
from monitors.record import Record
from secops import pipeline
from secops.store.files import FileLog
from secops.worker.batcher import Batcher

TOKENS = {"flood": "flooding-token-012345", "quiet": "quiet-token-0123456789"}
KNOWN = {hashlib.sha256(token.encode()).hexdigest(): tenant for tenant, token in TOKENS.items()}
IDLE = 10_000
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class World:
    """A collector, the batcher and the embedded log, as the ingest role puts them together, with a clock to turn."""

    def __init__(self, folder: Path, kind: str, **settings: Any) -> None:
        self.log = FileLog(folder, partitions=2, writable=True)
        self.now = AT
        self.batcher = Batcher(self._write, batch_events=2000, queue_events=50_000)
        self.collector: Any = build(kind, {"host": "127.0.0.1", **settings}, Surroundings(tokens=lambda: KNOWN))

    def _write(self, records: Sequence[Record]) -> None:
        pipeline.ingest(records, self.log, UTC)

    async def __aenter__(self) -> Collector:
        self.stop, self.drained = asyncio.Event(), asyncio.Event()
        self.writing = asyncio.ensure_future(self.batcher.run(self.drained))
        self.running = asyncio.ensure_future(self.collector.run(self.batcher, now=lambda: self.now, stop=self.stop))
        await asyncio.wait_for(self.collector.ready.wait(), 20)
        return self.collector

    async def __aexit__(self, *_exc: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.running, 60)
        self.drained.set()
        await asyncio.wait_for(self.writing, 60)

    def messages(self, tenant: str = "") -> list[str]:
        """What is stored, by order of partition."""
        events = [event for partition in range(2) for event in self.log.read(partition, 0, 100_000)]
        return [str(event["message"]) for event in events if event["organization.id"] == tenant or not tenant]


@contextmanager
def world(folder: Path, kind: str, **settings: Any) -> Iterator[World]:
    made = World(folder / "log", kind, **settings)
    try:
        yield made
    finally:
        made.log.close()


def frame(number: int, text: str) -> bytes:
    data = text.encode()
    return b"%d syslog %d %s\n" % (number, len(data), data)


async def acknowledged(address: tuple[str, int], texts: Sequence[str]) -> set[str]:
    """Send by RELP and give what was answered with 200."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"".join(frame(n, text) for n, text in enumerate(texts, start=1)))
    found = set()
    while len(found) < len(texts):
        line = await asyncio.wait_for(reader.readline(), 60)
        assert line.endswith(b" rsp 6 200 OK\n"), line
        found.add(texts[int(line.partition(b" ")[0]) - 1])
    writer.close()
    await writer.wait_closed()
    return found


@contextmanager
def many_files(wanted: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except (ValueError, OSError):
        pytest.skip(f"only {hard} open files are allowed here, {wanted} are needed")
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


HOLDING = """
import socket, sys
held = []
for n in range(int(sys.argv[2])):
    held.append(socket.socket())
    held[-1].bind((f"127.0.0.{n % 4 + 2}", 0))
    held[-1].connect(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_ten_thousand_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    limits = {"max_connections": IDLE + 10, "max_connections_per_peer": IDLE + 10, "port": 0}
    texts = [f"message {n}" for n in range(500)]

    async def scenario(found: World) -> set[str]:
        async with found as collector:
            address = collector.address  # type: ignore[attr-defined]
            idle = await asyncio.create_subprocess_exec(  # two processes: each has files of its own
                *(sys.executable, "-c", HOLDING, str(address[1]), str(IDLE)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert idle.stdin is not None
            assert idle.stdout is not None
            assert await asyncio.wait_for(idle.stdout.readline(), 120) == b"held\n"
            taken = await acknowledged(address, texts)
            assert collector.counters.connections["relp"] >= IDLE
            idle.stdin.close()
            assert await asyncio.wait_for(idle.wait(), 60) == 0
            return taken

    with many_files(IDLE + 500), world(tmp_path, "relp", **limits) as found:
        assert asyncio.run(scenario(found)) == set(texts) == set(found.messages())


def test_silent_and_half_open_peers_are_let_go_and_others_served(tmp_path: Path) -> None:
    async def scenario(found: World) -> set[str]:
        async with found as collector:
            address = collector.address  # type: ignore[attr-defined]
            half = [await asyncio.open_connection(*address) for _ in range(20)]
            for _, writer in half:
                writer.write(b"1 syslog 400 the rest never comes")
            taken = await acknowledged(address, ["whole"])
            for reader, writer in half:
                assert (await asyncio.wait_for(reader.read(), 30)) == b"0 serverclose 0\n"
                writer.close()
            return taken

    with world(tmp_path, "relp", port=0, idle_seconds=1.0) as found:
        assert asyncio.run(scenario(found)) == {"whole"} == set(found.messages())
        assert found.collector.counters.connections["relp"] == 0


def test_slow_bodies_end_with_408_while_others_are_stored(tmp_path: Path) -> None:
    head = f"POST /_bulk HTTP/1.1\r\nHost: x\r\nUser-Agent: slow\r\nAuthorization: Bearer {TOKENS['flood']}\r\nContent-Length: 9999\r\n\r\n"

    async def scenario(found: World) -> list[bytes]:
        async with found as collector:
            slow = [await asyncio.open_connection(*collector.address) for _ in range(50)]  # type: ignore[attr-defined]
            for _, writer in slow:
                writer.write(head.encode() + b'{"create":')
            await push(collector, "quiet", 10)
            answers = [await asyncio.wait_for(reader.readline(), 30) for reader, _ in slow]
            for _, writer in slow:
                writer.close()
            return answers

    with world(tmp_path, "elastic_bulk", port=0, body_seconds=1.0) as found:
        assert {line[:12] for line in asyncio.run(scenario(found))} == {b"HTTP/1.1 408"}
        assert len(found.messages("quiet")) == 10


async def push(collector: Any, tenant: str, count: int) -> int:
    """Send a bulk for a tenant; give the status."""
    body = b"".join(b'{"create":{}}\n{"message":"%s %d"}\n' % (tenant.encode(), n) for n in range(count))
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        url = "http://{}:{}/_bulk".format(*collector.address)
        answer = await client.post(url, content=body, headers={"authorization": f"Bearer {TOKENS[tenant]}"})
        return answer.status_code


def test_a_flooding_tenant_is_slowed_and_the_quiet_one_is_not(tmp_path: Path) -> None:
    async def scenario(found: World) -> tuple[list[int], list[int]]:
        async with found as collector:
            flood = [asyncio.ensure_future(push(collector, "flood", 1000)) for _ in range(12)]
            quiet = [await push(collector, "quiet", 5) for _ in range(10)]
            return await asyncio.gather(*flood), quiet

    with world(tmp_path, "elastic_bulk", port=0, rate=1, burst=3000) as found:
        flood, quiet = asyncio.run(scenario(found))
        assert quiet == [200] * 10
        assert flood.count(200) == 3
        assert flood.count(429) == 9
        assert len(found.messages("flood")) == 3000
        assert len(found.messages("quiet")) == 50


@pytest.mark.parametrize("step", [timedelta(days=-400), timedelta(days=400), timedelta(hours=-1)])
def test_a_clock_that_jumps_loses_nothing_acknowledged(tmp_path: Path, step: timedelta) -> None:
    async def scenario(found: World) -> set[str]:
        async with found as collector:
            address = collector.address  # type: ignore[attr-defined]
            taken = await acknowledged(address, ["before 1", "before 2"])
            found.now += step
            return taken | await acknowledged(address, ["after 1", "after 2"])

    with world(tmp_path, "relp", port=0) as found:
        taken = asyncio.run(scenario(found))
        assert taken == {"before 1", "before 2", "after 1", "after 2"} == set(found.messages())
