"""An HTTP listener inside the ingest role; a collector gives the function that answers a request."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from pydantic import Field
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from monitors.collector import CollectorSettings
from monitors.door import HANDSHAKE_SECONDS, MAX_HANDSHAKES, Door
from monitors.stream import peer_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from monitors.collector import Collector

    Application = Callable[
        [
            MutableMapping[str, Any],
            Callable[[], Awaitable[MutableMapping[str, Any]]],
            Callable[[MutableMapping[str, Any]], Awaitable[None]],
        ],
        Awaitable[None],
    ]

_GRACE: Final = 5  # seconds that open requests get when the service stops
_BACKLOG: Final = 512


class HttpSettings(CollectorSettings):
    """What every HTTP listener can be told; a token decides the tenant, ``tenant`` is not used."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)  # 0: a free one
    certificate: Path | None = None  # PEM chain; with ``key``: TLS
    key: Path | None = None
    max_body: int = Field(default=8 << 20, ge=1024)  # bytes as sent
    max_unpacked: int = Field(default=64 << 20, ge=1024)  # bytes once decompressed
    max_message: int = Field(default=262_144, ge=480, le=1 << 20)  # bytes of one event
    max_messages: int = Field(default=50_000, ge=1)  # in one request
    max_connections: int = Field(default=500, ge=1)
    rate: float = Field(default=50_000, gt=0)  # events a second and tenant
    burst: float = Field(default=500_000, gt=0)  # events that may come at once
    head_seconds: float = Field(
        default=30.0, gt=0
    )  # that a sender may take for the head of a request, and to begin one
    body_seconds: float = Field(default=30.0, gt=0)  # that a sender may take for a body
    max_handshakes: int = Field(default=MAX_HANDSHAKES, ge=1)  # TLS, at once; others wait
    handshake_seconds: float = Field(default=HANDSHAKE_SECONDS, gt=0)


class HttpListener:
    """Serves an application on the address of the settings."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.address: tuple[str, int] | None = None  # while it runs

    async def run(self, collector: Collector, application: Application, stop: asyncio.Event) -> None:
        """Serve until ``stop``; requests that are being answered then are finished.

        Raises:
            OSError: the address cannot be bound, or a TLS file cannot be read.
        """
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        with socket.create_server((self.settings.host, self.settings.port), family=family, backlog=_BACKLOG) as bound:
            self.address = bound.getsockname()[:2]
            door = Door(
                collector.counters,
                collector.kind,
                most=self.settings.max_handshakes,
                seconds=self.settings.handshake_seconds,
            )
            server = _Server(self._configuration(application, self._protocols(collector, door)))
            serving = asyncio.create_task(server.serve([bound]))
            stopping = asyncio.create_task(stop.wait())
            listening = peer_name(self.address)
            collector.running(f"正在监听 {listening}", f"listening on {listening}")
            collector.ready.set()
            try:
                await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                server.should_exit = True
                door.close()
                await serving
                collector.failing("已停止", "stopped")

    def _protocols(self, collector: Collector, door: Door) -> Callable[..., asyncio.Protocol]:
        """What makes the protocol of each connection: with TLS, the one that waits at the door.

        Raises:
            OSError: a TLS file cannot be read.
        """
        head_seconds = self.settings.head_seconds

        def plain(**given: Any) -> asyncio.Protocol:  # noqa: ANN401 - uvicorn's own words
            return _Request(collector, head_seconds, given)

        if self.settings.certificate is None:
            return plain
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.settings.certificate, self.settings.key)
        return lambda **given: door.knock(lambda: context, lambda: plain(**given))

    def _configuration(self, application: Application, protocols: Callable[..., asyncio.Protocol]) -> uvicorn.Config:
        return uvicorn.Config(
            application,
            http=cast("type[asyncio.Protocol]", protocols),  # it calls what it is given
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=self.settings.max_connections,
            timeout_graceful_shutdown=_GRACE,
        )


class _Request(HttpToolsProtocol):
    """Ends a connection that does not get a request's head together in time, from its first moment on."""

    def __init__(self, collector: Collector, head_seconds: float, given: dict[str, Any]) -> None:
        super().__init__(**given)
        self._collector, self._seconds = collector, head_seconds
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._wait_no_more()
        self._due = asyncio.get_running_loop().call_later(self._seconds, self._give_up)

    def _wait_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        self._collector.counters.silent[self._collector.kind] += 1
        self.transport.close()


class _Server(uvicorn.Server):
    """A server inside another program: that one owns the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
