"""An HTTP listener inside the ingest role; a collector gives the function that answers a request."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from pydantic import Field

from monitors.collector import CollectorSettings

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
    body_seconds: float = Field(default=30.0, gt=0)  # that a sender may take for a body


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
            server = _Server(self._configuration(application))
            serving = asyncio.create_task(server.serve([bound]))
            stopping = asyncio.create_task(stop.wait())
            collector.running(f"正在监听 {self.address}", f"listening on {self.address}")
            collector.ready.set()
            try:
                await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                server.should_exit = True
                await serving
                collector.failing("已停止", "stopped")

    def _configuration(self, application: Application) -> uvicorn.Config:
        certificate, key = self.settings.certificate, self.settings.key
        return uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=self.settings.max_connections,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
        )


class _Server(uvicorn.Server):
    """A server inside another program: that one owns the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
