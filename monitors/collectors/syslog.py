from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pydantic import Field

from monitors.collector import Collector, submit_patiently
from monitors.datagrams import Datagrams
from monitors.framing import SyslogFramer
from monitors.record import Record
from monitors.stream import Listener, StreamSettings, peer_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.framing import Frame
    from monitors.record import Sink
    from monitors.stream import Connection

SO_RCVBUFFORCE = getattr(socket, "SO_RCVBUFFORCE", 33)  # Linux: past net.core.rmem_max, for those who may
_DATAGRAMS = 256  # taken by one system call
_ROUNDS = 16  # such calls before other work gets its turn


class SyslogSettings(StreamSettings):
    """A syslog listener on UDP and TCP; a port of 0 takes a free one, ``None`` leaves the transport out.

    With ``tls`` the TCP port speaks TLS (RFC 5425; its registered port is 6514).
    """

    udp_port: int | None = Field(default=5140, ge=0, le=65535)
    tcp_port: int | None = Field(default=5140, ge=0, le=65535)
    max_message: int = Field(default=65_536, ge=480, le=1 << 20)  # bytes
    receive_buffer: int = Field(
        default=64 << 20, ge=4096
    )  # bytes the kernel may hold for UDP: more than a second at 100,000/s


class SyslogCollector(Collector, kind="syslog"):
    """Listens for syslog (RFC 5424, RFC 3164) on UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425)."""

    Settings = SyslogSettings

    def __init__(self, settings: SyslogSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self.udp_address: tuple[str, int] | None = None  # while it runs
        self.tcp_address: tuple[str, int] | None = None
        self._kernel_drops = 0

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Listen until ``stop``; then read what peers have sent already, and close.

        Raises:
            OSError: an address cannot be bound.
        """
        udp, server = None, None
        try:
            udp = self._open_udp(sink, now)
            server = await self._open_tcp(sink, now, stop)
            addresses = (("udp", self.udp_address), ("tcp", self.tcp_address))
            listening = ", ".join(f"{name} {peer_name(address)}" for name, address in addresses if address)
            self.running(f"正在监听 {listening}", f"listening on {listening}")
            self.ready.set()
            await stop.wait()
        finally:
            if server is not None:
                await server.close()
            if udp is not None:
                source, datagrams = udp
                asyncio.get_running_loop().remove_reader(source.fileno())
                while self._drain(datagrams, sink, now):
                    pass
                source.close()
            self.failing("已停止", "stopped")

    # UDP

    def _open_udp(self, sink: Sink, now: Callable[[], datetime]) -> tuple[socket.socket, Datagrams] | None:
        if self.settings.udp_port is None:
            return None
        source = _bound(self.settings, self.settings.udp_port)
        self.udp_address = source.getsockname()[:2]
        datagrams = Datagrams(source, many=_DATAGRAMS, longest=self.settings.max_message + 1)
        self._kernel_drops = datagrams.dropped()
        asyncio.get_running_loop().add_reader(source.fileno(), self._drain, datagrams, sink, now)
        return source, datagrams

    def _drain(self, datagrams: Datagrams, sink: Sink, now: Callable[[], datetime]) -> int:
        """Take the datagrams that wait, offer them, count those that were not taken; give how many came."""
        count = 0
        for _ in range(_ROUNDS):
            try:
                taken = datagrams.take()
            except OSError:  # an ICMP error of an earlier answer; the socket lives on
                break
            self._offer(self._records(taken, now()), sink)
            count += len(taken)
            if len(taken) < _DATAGRAMS:
                break
        self._count_kernel_drops(datagrams.dropped())
        return count

    def _records(self, taken: list[tuple[bytes, str]], received: datetime) -> list[Record]:
        longest, kind, tenant = self.settings.max_message, self.kind, self.tenant
        stripped = [(raw[:longest].rstrip(b"\r\n\x00"), peer, len(raw) > longest) for raw, peer in taken]
        return [
            Record(raw, received, kind, peer, tenant, "syslog", None, "oversized" if oversized else "")
            for raw, peer, oversized in stripped
            if raw
        ]

    def _offer(self, records: list[Record], sink: Sink) -> None:
        if not records:
            return
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        if not sink.offer(records):
            self.counters.dropped[self.kind] += len(records)

    def _count_kernel_drops(self, total: int) -> None:
        self.counters.dropped[self.kind] += (total - self._kernel_drops) % (1 << 32)
        self._kernel_drops = total

    # TCP and TLS

    async def _open_tcp(self, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> Listener | None:
        if self.settings.tcp_port is None:
            return None

        async def serve(connection: Connection) -> None:
            await self._read_all(connection, sink, now, stop)

        server = Listener(self.settings, self.surroundings, self.kind, serve, stop)
        self.tcp_address = await server.open(self.settings.tcp_port)
        return server

    async def _read_all(
        self, connection: Connection, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> None:
        """Read, cut, submit; not reading while a submit waits is the back-pressure that the peer feels."""
        framer = SyslogFramer(self.settings.max_message)
        clean = False
        try:
            while data := await connection.incoming.next():
                if not await self._submit(framer.feed(data), connection, sink, now, stop):
                    return
            clean = connection.reader.at_eof()
        except OSError:  # reset by the peer: what came before is kept
            clean = False
        await self._submit(framer.close(clean=clean), connection, sink, now, stop)

    async def _submit(
        self,
        frames: list[Frame],
        connection: Connection,
        sink: Sink,
        now: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> bool:
        if not frames:
            return True
        received = now()
        records = [
            Record(frame.raw, received, self.kind, connection.peer, connection.tenant, "syslog", None, frame.error)
            for frame in frames
            if frame.raw
        ]
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        taken = await submit_patiently(sink, records, stop)
        if not taken:
            self.counters.dropped[self.kind] += len(records)
        return taken


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
        datagrams.bind((settings.host, port))
    except BaseException:
        datagrams.close()
        raise
    return datagrams
