"""A TCP or TLS listener: who may connect, how long a silent peer stays, and an orderly end.

A protocol's collector gives the function that reads one connection; what is the same for all of them is here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from monitors.collector import CollectorSettings
from monitors.door import HANDSHAKE_SECONDS, MAX_HANDSHAKES, Door
from monitors.revoked import LOOK_SECONDS, Revoked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitors.collector import Surroundings

LOG = logging.getLogger(__name__)
CHUNK = 1 << 18  # bytes read from a connection in one go
DRAIN_SECONDS = 2.0  # at the end, how long what peers have already sent is still read
QUIET_SECONDS = 0.1
BACKLOG = 1024  # peers that may wait to be let in: after a restart all come at once


class Tls(BaseModel):
    """TLS of a listener; with ``client_ca_file`` every peer must show a certificate from there (RFC 5425, section 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_crl_file: Path | None = None  # revoked ones (PEM or DER), beside those of our own authority
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
    first_byte_seconds: float = Field(default=120.0, gt=0)  # for a peer that has never said anything
    max_handshakes: int = Field(default=MAX_HANDSHAKES, ge=1)  # TLS, at once; others wait
    handshake_seconds: float = Field(default=HANDSHAKE_SECONDS, gt=0)
    tls: Tls | None = None


class Connection(NamedTuple):
    """One peer that was let in."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: str  # address:port
    tenant: str
    incoming: Incoming


class Listener:
    """Accepts connections up to the limits and closes them when ``stop`` is set and peers have been heard out."""

    def __init__(
        self,
        settings: StreamSettings,
        surroundings: Surroundings,
        kind: str,
        serve: Callable[[Connection], Awaitable[None]],
        stop: asyncio.Event,
    ) -> None:
        counters = surroundings.counters
        self.address: tuple[str, int] | None = None  # once it listens
        self._settings, self._counters, self._kind = settings, counters, kind
        self._serve, self._stop = serve, stop
        self._open: Counter[str] = Counter()  # connections by address of the peer
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._door = Door(counters, kind, most=settings.max_handshakes, seconds=settings.handshake_seconds)
        self._shown: dict[asyncio.WriteTransport, bytes] = {}  # certificates of the peers that are connected, DER
        self._revoked: Revoked | None = None
        self._looking: asyncio.Task[None] | None = None
        if settings.tls is not None and settings.tls.client_ca_file is not None:
            self._revoked = Revoked(settings.tls.client_ca_file, settings.tls.client_crl_file, surroundings.revoked)

    async def open(self, port: int) -> tuple[str, int]:
        """Bind and listen; gives the address.

        Raises:
            OSError: the address is taken, or a TLS file cannot be read.
        """
        loop, host, tls = asyncio.get_running_loop(), self._settings.host, self._settings.tls
        if tls is None:
            self._server = await loop.create_server(self._plain, host, port, backlog=BACKLOG)
        else:
            context = tls.context()
            if self._revoked is not None:
                await asyncio.to_thread(self._revoked.begin)
                self._looking = asyncio.ensure_future(self._look(self._revoked))
            self._server = await loop.create_server(
                lambda: self._door.knock(lambda: context, self._plain), host, port, backlog=BACKLOG
            )
        host, bound = self._server.sockets[0].getsockname()[:2]
        self.address = (host, bound)
        return self.address

    async def close(self) -> None:
        """Take no more connections and wait for those that are open."""
        if self._server is not None:
            self._server.close()
        if self._looking is not None:
            self._looking.cancel()
        self._door.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _plain(self) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(CHUNK), self._accept)

    async def _look(self, revoked: Revoked) -> None:
        """Every few seconds: what has been revoked since, and who is connected with such a certificate."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(revoked.look):
                self._let_go(revoked)
            if (wrong := revoked.wrong or revoked.stale(datetime.now(UTC))) != said:
                said = wrong
                LOG.warning("revoked certificates for %s: %s", self._kind, wrong or "the list can be read again")

    def _let_go(self, revoked: Revoked) -> None:
        for transport, certificate in list(self._shown.items()):
            if revoked.holds(certificate):
                self._counters.rejected[self._kind] += 1
                transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connection(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername") or ("", 0)  # a peer that is gone already has none
        address, tenant = str(name[0]), self._tenant(writer)
        if tenant is None or self._is_revoked(writer) or not self._admit(address):
            self._counters.rejected[self._kind] += 1
            self._shown.pop(writer.transport, None)
            writer.transport.abort()
            return
        settings = self._settings
        incoming = Incoming(reader, self._stop, settings.idle_seconds, settings.first_byte_seconds)
        try:
            await self._serve(Connection(reader, writer, peer_name(name), tenant, incoming))
        finally:
            incoming.close()
            self._counters.silent[self._kind] += incoming.silent
            self._shown.pop(writer.transport, None)
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

    def _is_revoked(self, writer: asyncio.StreamWriter) -> bool:
        """Whether the peer showed a certificate that was revoked; one that was not is remembered while it is connected."""
        encrypted = writer.get_extra_info("ssl_object")
        shown = None if encrypted is None or self._revoked is None else encrypted.getpeercert(binary_form=True)
        if shown is None:
            return False
        self._shown[writer.transport] = shown
        return self._revoked is not None and self._revoked.holds(shown)

    def _tenant(self, writer: asyncio.StreamWriter) -> str | None:
        """Whose messages the peer may send; None for a certificate whose names nobody listed."""
        tls = self._settings.tls
        if tls is None or not tls.peers:
            return self._settings.tenant
        certificate = writer.get_extra_info("peercert") or {}
        return next((tls.peers[name] for name in certificate_names(certificate) if name in tls.peers), None)


class Incoming:
    """Reads one connection until its end, the idle time, or, once we stop, until the peer is quiet.

    A peer that has never said anything is given ``first_seconds`` instead of the idle time.
    """

    def __init__(
        self, reader: asyncio.StreamReader, stop: asyncio.Event, idle_seconds: float, first_seconds: float
    ) -> None:
        self._reader, self._idle = reader, idle_seconds
        self._patience = min(first_seconds, idle_seconds)
        self._stopped = asyncio.ensure_future(stop.wait())
        self._clock = asyncio.get_running_loop().time
        self._last = float("inf")
        self.silent = False  # whether the peer was let go without a word

    async def next(self) -> bytes:
        """Give what came next; nothing at the end.

        Raises:
            OSError: the peer reset the connection.
        """
        if self._clock() >= self._last:
            return b""
        data = await self._read()
        if data:
            self._patience = self._idle
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
        await asyncio.wait((reading, self._stopped), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            self.silent = self._patience != self._idle and not self._stopped.done()
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
