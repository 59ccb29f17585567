from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.collector import Surroundings, build
from monitors.relp import Frame, RelpError, RelpFramer, answer

GOOD = b"<13>1 2026-11-24T08:00:00Z web01 app 7 - - hello"
OPEN = b"1 open 50 relp_version=0\nrelp_software=test\ncommands=syslog"


def listener(**settings: Any) -> Any:
    return build("relp", {"port": 0, **settings}, Surroundings())


def frame(number: int, command: bytes, data: bytes = b"") -> bytes:
    return b"%d %s %d%s\n" % (number, command, len(data), b" " + data if data else b"")


frames = st.lists(
    st.tuples(st.integers(1, 999_999_999), st.sampled_from([b"open", b"syslog", b"close"]), st.binary(max_size=60)),
    max_size=20,
)


@given(frames, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_frames_come_out_whole_however_they_are_cut(sent: list[tuple[int, bytes, bytes]], sizes: list[int]) -> None:
    stream = b"".join(frame(*one) for one in sent)
    framer, got, at = RelpFramer(40), [], 0
    for size in sizes * (len(stream) // sum(sizes) + 1):
        got += framer.feed(stream[at : at + size])
        at += size
    assert [(int(f.number), f.command, f.oversized) for f in got] == [(n, c, len(d) > 40) for n, c, d in sent]
    assert all(d.startswith(f.data) and (f.oversized or f.data == d) for f, (_, _, d) in zip(got, sent, strict=True))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_frames_or_an_error_and_memory_is_bounded(noise: bytes, size: int) -> None:
    framer = RelpFramer(64)
    try:
        for at in range(0, len(noise), size):
            for one in framer.feed(noise[at : at + size]):
                assert len(one.data) <= 64
            assert len(framer._rest) <= 64 + 60
    except RelpError:
        pass


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"1 syslog x\n",
        b"1 syslog 5 helloX",
        b"1234567890 syslog 1 x\n",
        b"1 " + b"s" * 40 + b" 1 x\n",
        b"1 syslog 12345678901 x\n",
        b"-1 syslog 1 x\n",
        b"1  1 x\n",
    ],
)
def test_what_is_not_relp_is_an_error(stream: bytes) -> None:
    with pytest.raises(RelpError):
        RelpFramer(100).feed(stream)


def test_a_frame_of_no_data_may_end_at_once() -> None:
    assert RelpFramer(100).feed(b"3 close 0\n4 close 0 \n") == [Frame(b"3", b"close", b""), Frame(b"4", b"close", b"")]


def test_an_answer_counts_its_own_bytes() -> None:
    assert answer(b"7", b"200 OK") == b"7 rsp 6 200 OK\n"


async def read_answers(reader: asyncio.StreamReader, count: int) -> list[Frame]:
    framer, got = RelpFramer(4096), []
    async with asyncio.timeout(20):
        while len(got) < count:
            data = await reader.read(65536)
            assert data, f"the connection ended after {got}"
            got += framer.feed(data)
    return got


def test_messages_are_answered_when_they_are_durable(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(tenant="county", max_message=480)
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.address)
            writer.write(frame(1, b"open", b"relp_version=0\ncommands=syslog"))
            hello = await read_answers(reader, 1)
            assert hello[0].number == b"1"
            assert hello[0].data.startswith(b"200 OK\nrelp_version=0\n")
            assert b"commands=syslog" in hello[0].data
            writer.write(frame(2, b"syslog", GOOD + b"\n") + frame(3, b"syslog", b"x" * 500) + frame(4, b"starttls"))
            answers = await read_answers(reader, 3)
            assert [(one.number, one.data[:3]) for one in answers] == [(b"2", b"200"), (b"3", b"200"), (b"4", b"500")]
            writer.write(frame(5, b"close"))
            end = await read_answers(reader, 2)
            assert [(one.number, one.command) for one in end] == [(b"5", b"rsp"), (b"0", b"serverclose")]
            assert await reader.read() == b""
            writer.close()
        assert sink.raws == [GOOD, b"x" * 480]
        assert sink.errors == ["", "oversized"]
        assert {(one.tenant, one.collector, one.format) for one in sink.records} == {("county", "relp", "syslog")}

    asyncio.run(scenario())


def test_a_full_disk_withholds_the_answer_until_there_is_room(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        sink.full = True
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.address)
            writer.write(frame(1, b"syslog", GOOD))
            await sink.until(lambda: sink.attempts >= 2)
            assert sink.records == []
            sink.full = False
            assert [one.data for one in await read_answers(reader, 1)] == [b"200 OK"]
            assert sink.raws == [GOOD]
            writer.close()

    asyncio.run(scenario())


def test_what_is_not_relp_ends_the_connection_and_is_counted(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.address)
            writer.write(frame(1, b"syslog", GOOD) + b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(20):
                assert (await reader.read()).startswith(b"1 rsp 6 200 OK\n")
            writer.close()
        assert sink.raws == [GOOD]
        assert collector.counters.rejected["relp"] == 1

    asyncio.run(scenario())


def test_at_the_end_what_was_sent_is_stored_and_answered(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        async with running(collector, sink) as found:
            reader, writer = await asyncio.open_connection(*found.address)
            writer.write(frame(1, b"open", b"relp_version=0"))
            await read_answers(reader, 1)
            writer.write(b"".join(frame(2 + n, b"syslog", GOOD) for n in range(1000)))
        answers = await read_answers(reader, 1001)
        assert sink.raws == [GOOD] * 1000
        assert [int(one.number) for one in answers] == [*range(2, 1002), 0]
        writer.close()

    asyncio.run(scenario())


def test_a_peer_that_reads_no_answer_keeps_neither_its_place_nor_the_service_from_ending(
    new_sink: Any, running: Any
) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(frame(1, b"what") * 1000)
            await writer.drain()

    async def scenario() -> None:
        sink, collector = new_sink(), listener(idle_seconds=0.5)
        async with running(collector, sink):
            _reader, writer = await asyncio.open_connection(*collector.address, limit=1)
            async with asyncio.timeout(30):
                with suppress(OSError):
                    await flood(writer)
            writer.transport.abort()
        assert collector.counters.connections["relp"] == 0

    asyncio.run(scenario())
