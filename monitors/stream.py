"""A TCP or TLS listener: who may connect, how long a silent peer stays, and an orderly end.

A protocol's collector gives the function that reads one connection; what is the same for all of them is here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from contextlib import suppress
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from monitors.collector import CollectorSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitors.collector import Counters

CHUNK = 1 << 18  # bytes read from a connection in one go
DRAIN_SECONDS = 2.0  # at the end, how long what peers have already sent is still read
QUIET_SECONDS = 0.1
HANDSHAKE_SECONDS = 10.0
BACKLOG = 1024  # peers that may wait to be let in: after a restart all come at once


class Tls(BaseModel):
    """TLS of a listener; with ``client_ca_file`` every peer must show a certificate from there (RFC 5425, section 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    peers: dict[str, str] = Field(default_factory=dict)  # common name or DNS name of a client -> its tenant

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            OSError: a file is missing or holds no certificate or key (ssl.SSLError is one).
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(self.certificate_file, self.key_file)
        if self.client_ca_file is not None:
            made.load_verify_locations(self.client_ca_file)
            made.verify_mode = ssl.CERT_REQUIRED
        return made


class StreamSettings(CollectorSettings):
    """What every listener for connections can be told."""

    host: str = "127.0.0.1"
    max_connections: int = Field(default=1000, ge=1)
    max_connections_per_peer: int = Field(default=200, ge=1)
    idle_seconds: float = Field(default=600.0, gt=0)
    tls: Tls | None = None


class Connection(NamedTuple):
    """One peer that was let in."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: str  # address:port
    tenant: str


class Listener:
    """Accepts connections up to the limits and closes them when ``stop`` is set and peers have been heard out."""

    def __init__(
        self,
        settings: StreamSettings,
        counters: Counters,
        kind: str,
        serve: Callable[[Connection], Awaitable[None]],
        stop: asyncio.Event,
    ) -> None:
        self.address: tuple[str, int] | None = None  # once it listens
        self._settings, self._counters, self._kind = settings, counters, kind
        self._serve, self._stop = serve, stop
        self._open: Counter[str] = Counter()  # connections by address of the peer
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, port: int) -> tuple[str, int]:
        """Bind and listen; gives the address.

        Raises:
            OSError: the address is taken, or a TLS file cannot be read.
        """
        tls = self._settings.tls
        self._server = await asyncio.start_server(
            self._accept,
            self._settings.host,
            port,
            limit=CHUNK,
            backlog=BACKLOG,
            ssl=tls.context() if tls is not None else None,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if tls is not None else None,
        )
        host, bound = self._server.sockets[0].getsockname()[:2]
        self.address = (host, bound)
        return self.address

    async def close(self) -> None:
        """Take no more connections and wait for those that are open."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connection(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername")
        address, tenant = str(name[0]), self._tenant(writer)
        if tenant is None or not self._admit(address):
            self._counters.rejected[self._kind] += 1
            writer.transport.abort()
            return
        try:
            await self._serve(Connection(reader, writer, peer_name(name), tenant))
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            self._counters.connections[self._kind] -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _admit(self, address: str) -> bool:
        settings = self._settings
        if self._open.total() >= settings.max_connections or self._open[address] >= settings.max_connections_per_peer:
            return False
        self._open[address] += 1
        self._counters.connections[self._kind] += 1
        return True

    def _tenant(self, writer: asyncio.StreamWriter) -> str | None:
        """Whose messages the peer may send; None for a certificate whose names nobody listed."""
        tls = self._settings.tls
        if tls is None or not tls.peers:
            return self._settings.tenant
        certificate = writer.get_extra_info("peercert") or {}
        return next((tls.peers[name] for name in certificate_names(certificate) if name in tls.peers), None)


class Incoming:
    """Reads one connection until its end, the idle time, or, once we stop, until the peer is quiet."""

    def __init__(self, reader: asyncio.StreamReader, stop: asyncio.Event, idle_seconds: float) -> None:
        self._reader, self._idle = reader, idle_seconds
        self._stopped = asyncio.ensure_future(stop.wait())
        self._clock = asyncio.get_running_loop().time
        self._last = float("inf")

    async def next(self) -> bytes:
        """Give what came next; nothing at the end.

        Raises:
            OSError: the peer reset the connection.
        """
        if self._clock() >= self._last:
            return b""
        data = await self._read()
        if self._stopped.done():
            self._last = min(self._last, self._clock() + DRAIN_SECONDS)
        return data

    def close(self) -> None:
        """Stop waiting for the end of the service."""
        self._stopped.cancel()

    async def _read(self) -> bytes:
        if self._stopped.done():
            return await _within(self._reader.read(CHUNK), QUIET_SECONDS)
        reading = asyncio.ensure_future(self._reader.read(CHUNK))
        await asyncio.wait((reading, self._stopped), timeout=self._idle, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return await _within(reading, QUIET_SECONDS)
        return await reading


async def _within(reading: Awaitable[bytes], seconds: float) -> bytes:
    try:
        return await asyncio.wait_for(reading, seconds)
    except TimeoutError:
        return b""


def certificate_names(certificate: dict[str, Any]) -> list[str]:
    """The common names and DNS names of a certificate as ``SSLSocket.getpeercert`` gives it."""
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return common + [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]


def peer_name(name: tuple[Any, ...]) -> str:
    """``address:port``, an IPv6 address in brackets."""
    return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
