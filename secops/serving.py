"""TLS in front of the application: the console's port, and a port of its own for logging in with a certificate.

uvicorn asks for a client certificate but does not hand it to the application; ``PeerCertificateProtocol`` does, in the
ASGI scope (the "tls" extension), which no client can write to. Never through a header.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

LOG = logging.getLogger(__name__)
FIRST_REQUEST_SECONDS: Final = 15.0
RENEWAL_SECONDS: Final = 3600.0
EXTENSION: Final = "tls"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's certificate chain and key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(slots=True)
class Listener:
    """One port: its bound socket, its application, and how it is spoken to."""

    socket: socket.socket
    app: ASGIApp
    plain: bool = False  # no TLS: CRL and OCSP, which are signed themselves
    client_authorities: str = ""  # PEM; not empty: ask for a client certificate issued by one of these
    context: ssl.SSLContext | None = field(default=None, init=False)


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening TCP socket (port 0: any free one).

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def tls_context(credentials: Credentials, client_authorities: str = "") -> ssl.SSLContext:
    """A server's TLS settings: 1.2 or newer, forward secrecy only, HTTP/1.1.

    With ``client_authorities`` (PEM) the handshake asks for a client certificate and checks its chain; a visitor without
    one still gets through, to a page that explains, because a broken handshake explains nothing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(credentials.certificate, credentials.key)
    if client_authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_authorities)
        context.num_tickets = 0  # a resumed session would skip showing the certificate again
        context.options |= ssl.OP_NO_TICKET
    return context


class PeerCertificateProtocol(HttpToolsProtocol):
    """Puts the client certificate (DER, or None) into ``scope["extensions"]["tls"]["client_certificate"]``."""

    certificate: bytes | None = None
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class above
        """Read the certificate once; give up on a client that opens a connection and says nothing."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self.certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self._waiting = self.loop.call_later(FIRST_REQUEST_SECONDS, transport.close)

    def on_message_begin(self) -> None:
        """Extend the scope that the class above makes for each request."""
        super().on_message_begin()
        extensions: dict[str, Any] = {EXTENSION: {"client_certificate": self.certificate}}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        """The first whole head has arrived: the client means it."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: the role that runs the servers decides when to stop."""
        yield


def server_of(listener: Listener, credentials: Credentials) -> Server:
    """A server for one listener; its TLS context is kept on the listener for renewals."""
    config = uvicorn.Config(
        listener.app,
        http=PeerCertificateProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        limit_concurrency=1000,
    )
    config.load()
    if not listener.plain:
        listener.context = config.ssl = tls_context(credentials, listener.client_authorities)
    return Server(config)


async def serve(listeners: Sequence[Listener], credentials: Callable[[], Credentials], stop: asyncio.Event) -> None:
    """Serve every listener until ``stop``; look for a renewed server certificate each hour.

    ``credentials`` gives the files to use now; a change takes effect for new connections without a restart.
    """
    current = await asyncio.to_thread(credentials)
    servers = [server_of(listener, current) for listener in listeners]
    async with asyncio.TaskGroup() as group:
        for listener, server in zip(listeners, servers, strict=True):
            group.create_task(server.serve(sockets=[listener.socket]))
        renewing = group.create_task(_renew(listeners, credentials))
        await stop.wait()
        renewing.cancel()
        for listener, server in zip(listeners, servers, strict=True):
            _end_live_pages(listener.app)
            server.should_exit = True


def _end_live_pages(app: ASGIApp) -> None:
    """Live pages never end by themselves; the server would wait for them."""
    hub = getattr(getattr(app, "state", None), "hub", None)
    if hub is not None:
        hub.end_all()


async def _renew(listeners: Sequence[Listener], credentials: Callable[[], Credentials]) -> None:
    """Load the credentials again, hour by hour; a failure is logged and the old certificate stays."""
    while True:
        await asyncio.sleep(RENEWAL_SECONDS)
        try:
            fresh = await asyncio.to_thread(credentials)
            for listener in listeners:
                if listener.context is not None:
                    listener.context.load_cert_chain(fresh.certificate, fresh.key)
        except Exception:
            LOG.exception("the server certificate could not be renewed; the present one stays in use")
