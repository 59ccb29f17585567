from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from monitors.collector import Surroundings, build

GOOD = b"<13>1 2026-11-24T08:00:00Z web01 app 7 - - hello"


def listener(surroundings: Surroundings | None = None, **settings: Any) -> Any:
    return build("syslog", {"udp_port": 0, "tcp_port": 0, **settings}, surroundings or Surroundings())


def test_udp_datagrams_become_records(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(max_message=480)
        async with running(collector, sink):
            udp, tcp = (f"127.0.0.1:{address[1]}" for address in (collector.udp_address, collector.tcp_address))
            assert collector.status.en == f"listening on udp {udp}, tcp {tcp}"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.1", 0))
                for datagram in (GOOD + b"\n", b"x" * 481, b"", b"\xff\xfe binary\x00", GOOD):
                    sender.sendto(datagram, collector.udp_address)
                await sink.until(lambda: len(sink.records) == 4)
                assert sink.records[0].peer == f"127.0.0.1:{sender.getsockname()[1]}"
        assert sink.raws == [GOOD, b"x" * 480, b"\xff\xfe binary", GOOD]
        assert sink.errors == ["", "oversized", "", ""]
        assert {(record.tenant, record.collector, record.format) for record in sink.records} == {
            ("city", "syslog", "syslog")
        }
        assert collector.counters.received["syslog"] == 4
        assert collector.counters.rejected["syslog"] == 1

    asyncio.run(scenario())


def test_udp_what_the_queue_does_not_take_is_counted(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        sink.refuses_offers = True
        async with running(collector, sink):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(3):
                    sender.sendto(GOOD, collector.udp_address)
        assert collector.counters.dropped["syslog"] == 3
        assert sink.records == []

    asyncio.run(scenario())


def test_udp_what_the_kernel_drops_is_counted(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(receive_buffer=4096)
        sent = 400
        async with running(collector, sink):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(sent):  # the loop cannot read meanwhile: the small buffer overflows
                    sender.sendto(GOOD.ljust(1000), collector.udp_address)
                await sink.until(lambda: sink.records)
                taken = len(sink.records)
                assert taken < sent
                sender.sendto(GOOD, collector.udp_address)  # brings the number of those that were dropped
                await sink.until(lambda: len(sink.records) > taken)
        assert collector.counters.received["syslog"] + collector.counters.dropped["syslog"] == sent + 1

    asyncio.run(scenario())


def test_tcp_both_framings_on_one_connection(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(tenant="county")
        async with running(collector, sink):
            _, writer = await asyncio.open_connection(*collector.tcp_address)
            writer.write(GOOD + b"\n" + b"%d %s" % (len(GOOD), GOOD) + GOOD + b"\r\n")
            await sink.until(lambda: len(sink.records) == 3)
            assert collector.counters.connections["syslog"] == 1
            writer.close()
            await writer.wait_closed()
        assert sink.raws == [GOOD] * 3
        assert {record.tenant for record in sink.records} == {"county"}
        assert collector.counters.connections["syslog"] == 0

    asyncio.run(scenario())


def test_tcp_bad_messages_leave_the_connection_open(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(max_message=480)
        async with running(collector, sink):
            _, writer = await asyncio.open_connection(*collector.tcp_address)
            for piece in (b"<13>" + b"z" * 5000 + b"\n", b"\x00\x01\x02\xff\n", GOOD + b"\n"):
                writer.write(piece)
                await writer.drain()
            await sink.until(lambda: GOOD in sink.raws)
            writer.close()
            await writer.wait_closed()
        assert sink.errors == ["oversized", "", ""]

    asyncio.run(scenario())


def test_tcp_half_a_message_when_the_peer_resets(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        async with running(collector, sink):
            _, writer = await asyncio.open_connection(*collector.tcp_address)
            writer.write(GOOD + b"\n<13>half of")
            await sink.until(lambda: len(sink.records) == 1)
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            await sink.until(lambda: len(sink.records) == 2)
        assert sink.records[1].raw == b"<13>half of"
        assert sink.records[1].error == "truncated"

    asyncio.run(scenario())


def test_tcp_an_idle_peer_is_closed(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(idle_seconds=0.05)
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.tcp_address)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


def test_tcp_too_many_connections_are_refused_and_counted(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener(max_connections_per_peer=1)
        async with running(collector, sink):
            _, first = await asyncio.open_connection(*collector.tcp_address)
            first.write(GOOD + b"\n")
            await sink.until(lambda: sink.records)
            reader, second = await asyncio.open_connection(*collector.tcp_address)
            async with asyncio.timeout(20):
                with_reset = await asyncio.gather(reader.read(), return_exceptions=True)
            assert with_reset[0] == b"" or isinstance(with_reset[0], OSError)
            assert collector.counters.rejected["syslog"] == 1
            first.write(GOOD + b"\n")
            await sink.until(lambda: len(sink.records) == 2)
            for writer in (first, second):
                writer.transport.abort()
        assert sink.raws == [GOOD, GOOD]

    asyncio.run(scenario())


def test_tcp_a_full_disk_holds_the_sender_back_and_loses_nothing(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        sink.full = True
        async with running(collector, sink):
            _, writer = await asyncio.open_connection(*collector.tcp_address)
            writer.write(GOOD + b"\n")
            await sink.until(lambda: sink.attempts)
            assert sink.records == []
            sink.full = False
            await sink.until(lambda: sink.records)
            writer.close()
            await writer.wait_closed()
        assert sink.raws == [GOOD]

    asyncio.run(scenario())


def test_tcp_what_was_sent_before_the_stop_is_read(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        sink, collector = new_sink(), listener()
        async with running(collector, sink):
            _, writer = await asyncio.open_connection(*collector.tcp_address)
            writer.write(GOOD + b"\n")
            await sink.until(lambda: sink.records)
            writer.write((GOOD + b"\n") * 2000)
            await writer.drain()
        assert len(sink.records) == 2001
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    asyncio.run(scenario())


def test_an_address_in_use_is_an_error(new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            collector = listener(tcp_port=taken.getsockname()[1])
            try:
                async with running(collector, new_sink()):
                    raise AssertionError("it must not start")
            except OSError as error:
                assert "in use" in str(error)

    asyncio.run(scenario())
