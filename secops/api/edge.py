"""What stands between the socket and every page: host check, size of bodies, security headers, the last error guard.

Plain ASGI, so that streams (server-sent events) pass through untouched.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse

from secops.api.problems import Problem, Refusal, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from secops.settings import Settings

LOG = logging.getLogger(__name__)
MAX_BODY: Final = 256 * 2**10  # forms, certificate requests, OCSP requests; logs are pushed to the collectors' port


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """How this service is reached: its own origin, the certificate login's, and other names it also answers to."""

    origin: str
    certificate_origin: str
    hosts: frozenset[str]
    max_body: int = MAX_BODY
    larger: Mapping[str, int] = field(default_factory=dict)  # path -> bytes, where a POST may bring more

    @classmethod
    def of(cls, settings: Settings, *, larger: Mapping[str, int] | None = None) -> Edge:
        """Read the edge from the settings."""
        web = settings.web
        names = {web.public_host, *web.dns_names, *web.ip_addresses}
        return cls(
            origin=settings.issuer,
            certificate_origin=settings.certificate_origin,
            hosts=frozenset(name.lower() for name in names),
            max_body=min(web.max_body_bytes, MAX_BODY),
            larger=larger or {},
        )

    def at(self, origin: str) -> Edge:
        """The same edge on another port of ours."""
        return replace(self, origin=origin)

    @property
    def host(self) -> str:
        """The one host name whose cookies are ours."""
        return urlsplit(self.origin).hostname or ""

    def headers(self) -> dict[str, str]:
        """The security headers of every answer."""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
            f"connect-src 'self'; form-action 'self' {self.certificate_origin}; frame-ancestors 'none'; base-uri 'none'"
        )
        # Not for localhost: browsers would demand TLS of every other program on the person's own machine, for a year.
        strict = {} if self.host == "localhost" else {"Strict-Transport-Security": "max-age=31536000"}
        return {
            **strict,
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }


class SecurityHeaders:
    """Adds the security headers, and ``no-store`` where nothing else was said."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self.app = app
        self.fixed = edge.headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap ``send``."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.fixed.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, sending)


class HostCheck:
    """Answers only to our own names, and to pages only under the canonical one.

    A foreign Host header is the tool of DNS rebinding and of poisoned links; another name of ours would scatter cookies.
    """

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self.app = app
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, redirect, or refuse with 421."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        host = _host(Headers(scope=scope))
        answer: Response | None = None
        if host not in self.edge.hosts:
            answer = PlainTextResponse("421 此主机名不属于本服务 Unknown host name\n", 421)
        elif host != self.edge.host and not scope["path"].startswith(("/pki/", "/healthz")):
            answer = RedirectResponse(
                self.edge.origin + _target(scope), 308 if scope["method"] in {"GET", "HEAD"} else 303
            )
        await (answer or self.app)(scope, receive, send)


class BodyLimit:
    """Refuses bodies over the limit, by their declared length or while they arrive."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self.app = app
        self.usual, self.larger = edge.max_body, edge.larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.larger.get(scope["path"], self.usual) if scope["method"] == "POST" else self.usual
        declared = Headers(scope=scope).get("content-length", "0")
        received = 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        if declared.isdigit() and int(declared[:20]) > limit:
            raise _too_large(limit)
        await self.app(scope, receiving, send)


class ErrorGuard:
    """Turns every exception of the application into an answer; unknown ones are logged under a reference."""

    def __init__(self, app: ASGIApp, answer: Callable[[Request, Problem], Response]) -> None:
        self.app = app
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            await respond(Request(scope, receive), error, self.answer)(scope, receive, send)


def respond(request: Request, error: Exception, answer: Callable[[Request, Problem], Response]) -> Response:
    """The answer to an exception; an unknown one is logged with the reference that the visitor is shown."""
    problem = problem_of(error, secrets.token_hex(4))
    if problem.reference:
        LOG.error(
            "request failed, reference %s: %s %s", problem.reference, request.method, request.url.path, exc_info=error
        )
    return answer(request, problem)


def _too_large(limit: int) -> Refusal:
    return Refusal(
        413, "body.large", f"请求过大，上限为 {limit} 字节。", f"The request is too large; the limit is {limit} bytes."
    )


def _host(headers: Headers) -> str:
    """The host name of the Host header, lower case, without port and brackets; "" when it is malformed or doubled."""
    values = headers.getlist("host")
    if len(values) != 1:
        return ""
    try:
        return (urlsplit(f"//{values[0]}").hostname or "").lower()
    except ValueError:
        return ""


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    path: str = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    return "/" + path.lstrip("/") + (f"?{query}" if query else "")
