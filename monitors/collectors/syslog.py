from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from monitors.collector import Collector, CollectorSettings, submit_patiently
from monitors.framing import SyslogFramer
from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.framing import Frame
    from monitors.record import Sink

SO_RCVBUFFORCE = getattr(socket, "SO_RCVBUFFORCE", 33)  # Linux: past net.core.rmem_max, for those who may
SO_RXQ_OVFL = 40  # Linux: every datagram brings the number of those the kernel dropped before it
_DATAGRAMS = 512  # taken in one go, before other work gets its turn
_CHUNK = 1 << 18  # bytes read from a connection in one go
_DRAIN_SECONDS = 2.0  # at the end, how long what peers have already sent is still read
_QUIET_SECONDS = 0.1
_DROPS = struct.Struct("@I")


class SyslogSettings(CollectorSettings):
    """A syslog listener on UDP and TCP; a port of 0 takes a free one, ``None`` leaves the transport out."""

    host: str = "127.0.0.1"
    udp_port: int | None = Field(default=5140, ge=0, le=65535)
    tcp_port: int | None = Field(default=5140, ge=0, le=65535)
    max_message: int = Field(default=65_536, ge=480, le=1 << 20)  # bytes
    max_connections: int = Field(default=1000, ge=1)
    max_connections_per_peer: int = Field(default=200, ge=1)
    idle_seconds: float = Field(default=600.0, gt=0)
    receive_buffer: int = Field(default=16 << 20, ge=4096)  # bytes the kernel may hold for UDP


class SyslogCollector(Collector, kind="syslog"):
    """Listens for syslog (RFC 5424, RFC 3164) on UDP (RFC 5426) and TCP (RFC 6587)."""

    Settings = SyslogSettings

    def __init__(self, settings: SyslogSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self.udp_address: tuple[str, int] | None = None  # while it runs
        self.tcp_address: tuple[str, int] | None = None
        self._kernel_drops = 0
        self._open: Counter[str] = Counter()  # connections by address of the peer
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Listen until ``stop``; then read what peers have sent already, and close.

        Raises:
            OSError: an address cannot be bound.
        """
        datagrams, server = None, None
        try:
            datagrams = self._open_udp(sink, now)
            server = await self._open_tcp(sink, now, stop)
            listening = f"udp {self.udp_address}, tcp {self.tcp_address}"
            self.running(f"正在监听 {listening}", f"listening on {listening}")
            self.ready.set()
            await stop.wait()
        finally:
            if server is not None:
                server.close()
            if self._connections:
                await asyncio.wait(self._connections)
            if datagrams is not None:
                asyncio.get_running_loop().remove_reader(datagrams.fileno())
                while self._drain(datagrams, sink, now):
                    pass
                datagrams.close()
            self.failing("已停止", "stopped")

    # UDP

    def _open_udp(self, sink: Sink, now: Callable[[], datetime]) -> socket.socket | None:
        if self.settings.udp_port is None:
            return None
        datagrams = _bound(self.settings, self.settings.udp_port)
        self.udp_address = datagrams.getsockname()[:2]
        asyncio.get_running_loop().add_reader(datagrams.fileno(), self._drain, datagrams, sink, now)
        return datagrams

    def _drain(self, datagrams: socket.socket, sink: Sink, now: Callable[[], datetime]) -> int:
        """Take the datagrams that wait, offer them together, count those that were not taken; give how many came."""
        buffer = bytearray(self.settings.max_message + 1)
        view, received = memoryview(buffer), now()
        records: list[Record] = []
        for _ in range(_DATAGRAMS):
            try:
                size, ancillary, _flags, peer = datagrams.recvmsg_into([buffer], 64)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of an earlier answer; the socket lives on
                continue
            if ancillary:
                self._count_kernel_drops(ancillary)
            raw = bytes(view[: min(size, self.settings.max_message)]).rstrip(b"\r\n\x00")
            error = "oversized" if size > self.settings.max_message else ""
            if raw:
                records.append(Record(raw, received, self.kind, _peer(peer), self.tenant, "syslog", None, error))
        self._offer(records, sink)
        return len(records)

    def _offer(self, records: list[Record], sink: Sink) -> None:
        if not records:
            return
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        if not sink.offer(records):
            self.counters.dropped[self.kind] += len(records)

    def _count_kernel_drops(self, ancillary: Iterable[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) == _DROPS.size:
                total = _DROPS.unpack(data)[0]
                self.counters.dropped[self.kind] += (total - self._kernel_drops) % (1 << 32)
                self._kernel_drops = total

    # TCP

    async def _open_tcp(self, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> asyncio.Server | None:
        if self.settings.tcp_port is None:
            return None

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._connection(reader, writer, sink, now, stop)
            finally:
                self._connections.discard(task)

        server = await asyncio.start_server(accept, self.settings.host, self.settings.tcp_port, limit=_CHUNK)
        self.tcp_address = server.sockets[0].getsockname()[:2]
        return server

    async def _connection(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sink: Sink,
        now: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> None:
        """Read one peer to its end; too many connections are closed at once."""
        peer = writer.get_extra_info("peername")
        address = str(peer[0])
        if not self._admit(address):
            self.counters.rejected[self.kind] += 1
            writer.transport.abort()
            return
        try:
            await self._read_all(reader, _peer(peer), sink, now, stop)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            self.counters.connections[self.kind] -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _admit(self, address: str) -> bool:
        if (
            self._open.total() >= self.settings.max_connections
            or self._open[address] >= self.settings.max_connections_per_peer
        ):
            return False
        self._open[address] += 1
        self.counters.connections[self.kind] += 1
        return True

    async def _read_all(
        self, reader: asyncio.StreamReader, peer: str, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> None:
        """Read, cut, submit; not reading while a submit waits is the back-pressure that the peer feels."""
        framer = SyslogFramer(self.settings.max_message)
        stopped = asyncio.ensure_future(stop.wait())
        clean, last = False, math.inf
        clock = asyncio.get_running_loop().time
        try:
            while clock() < last and (data := await self._read(reader, stopped)):
                if not await self._submit(framer.feed(data), peer, sink, now, stop):
                    return
                last = min(last, clock() + _DRAIN_SECONDS) if stopped.done() else last
            clean = reader.at_eof()
        except OSError:  # reset by the peer: what came before is kept
            clean = False
        finally:
            stopped.cancel()
        await self._submit(framer.close(clean=clean), peer, sink, now, stop)

    async def _read(self, reader: asyncio.StreamReader, stopped: asyncio.Future[Literal[True]]) -> bytes:
        """Give what the peer sent next; nothing at its end, after the idle time, or when we stop and it is quiet."""
        if stopped.done():
            return await _within(reader.read(_CHUNK), _QUIET_SECONDS)
        reading = asyncio.ensure_future(reader.read(_CHUNK))
        await asyncio.wait((reading, stopped), timeout=self.settings.idle_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return await _within(reading, _QUIET_SECONDS)
        return await reading

    async def _submit(
        self, frames: list[Frame], peer: str, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> bool:
        if not frames:
            return True
        received = now()
        records = [
            Record(frame.raw, received, self.kind, peer, self.tenant, "syslog", None, frame.error)
            for frame in frames
            if frame.raw
        ]
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        taken = await submit_patiently(sink, records, stop)
        if not taken:
            self.counters.dropped[self.kind] += len(records)
        return taken


async def _within(reading: Awaitable[bytes], seconds: float) -> bytes:
    try:
        return await asyncio.wait_for(reading, seconds)
    except TimeoutError:
        return b""


def _bound(settings: SyslogSettings, port: int) -> socket.socket:
    """Open a UDP socket with a large buffer that tells what the kernel dropped."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    try:
        datagrams.setblocking(False)
        try:
            datagrams.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, settings.receive_buffer)
        except OSError:  # without CAP_NET_ADMIN: as much as net.core.rmem_max allows
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer)
        with suppress(OSError):  # not Linux
            datagrams.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        datagrams.bind((settings.host, port))
    except BaseException:
        datagrams.close()
        raise
    return datagrams


def _peer(name: tuple[str, int] | tuple[str, int, int, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
