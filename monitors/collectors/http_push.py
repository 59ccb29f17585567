from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any, Final

import orjson
import uvicorn
from pydantic import Field

from monitors.body import BodyError, decompress, split
from monitors.collector import Collector, CollectorSettings
from monitors.record import Record, SinkFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.record import Sink

PATH: Final = "/v1/events"
RETRY_AFTER: Final = 30  # seconds that a sender is asked to wait while the disk is full
_TOKEN: Final = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]{16,512})")  # RFC 6750 section 2.1, bounded
_GRACE: Final = 5  # seconds that open requests get when the service stops
_UNPACKING: Final = 2  # bodies that are unpacked and cut at once: each may take some hundred megabytes


class HttpPushSettings(CollectorSettings):
    """A listener for events over HTTP; a token decides the tenant, ``tenant`` is not used."""

    host: str = "127.0.0.1"
    port: int = Field(default=8514, ge=0, le=65535)  # 0: a free one
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


class HttpPushCollector(Collector, kind="http_push"):
    """Takes ``POST /v1/events`` with a Bearer token: JSON lines, a JSON array or lines of text; gzip or zstd."""

    Settings = HttpPushSettings

    def __init__(self, settings: HttpPushSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self.address: tuple[str, int] | None = None  # while it runs

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Serve until ``stop``; requests that are being answered then are finished.

        Raises:
            OSError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        with socket.create_server((self.settings.host, self.settings.port), family=family, backlog=512) as listener:
            self.address = listener.getsockname()[:2]
            server = _Server(self._configuration(self.application(sink, now)))
            serving = asyncio.create_task(server.serve([listener]))
            stopping = asyncio.create_task(stop.wait())
            self.running(f"正在监听 {self.address}", f"listening on {self.address}")
            self.ready.set()
            try:
                await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                server.should_exit = True
                await serving
                self.failing("已停止", "stopped")

    def application(self, sink: Sink, now: Callable[[], datetime]) -> PushApplication:
        """Give the ASGI application."""
        return PushApplication(self, self.settings, sink, now)

    def _configuration(self, application: PushApplication) -> uvicorn.Config:
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told."""

    status: int
    zh: str = ""
    en: str = ""
    accepted: int = 0
    retry_after: int = 0

    def body(self) -> bytes:
        """Give the JSON body."""
        if self.status == 200:  # noqa: PLR2004 - OK
            return orjson.dumps({"accepted": self.accepted})
        return orjson.dumps({"error": {"zh": self.zh, "en": self.en}})


class PushApplication:
    """A plain ASGI application: ``POST /v1/events``."""

    def __init__(
        self, collector: Collector, settings: HttpPushSettings, sink: Sink, now: Callable[[], datetime]
    ) -> None:
        self._collector = collector
        self._settings = settings
        self._sink = sink
        self._now = now
        self._buckets: dict[str, Bucket] = {}
        self._unpacking = asyncio.Semaphore(_UNPACKING)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        counters, kind = self._collector.counters, self._collector.kind
        counters.connections[kind] += 1
        try:
            answer = await self._answer(scope, receive)
        finally:
            counters.connections[kind] -= 1
        if answer.status != 200:  # noqa: PLR2004 - OK
            counters.rejected[kind] += 1
        await _respond(send, answer)

    async def _answer(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    ) -> Answer:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] != PATH:
            return Answer(404, f"没有此地址；请用 {PATH}", f"no such address; use {PATH}")
        if scope["method"] != "POST":
            return Answer(405, "请用 POST", "use POST")
        surroundings = self._collector.surroundings
        tenant = tenant_of(headers.get("authorization", ""), surroundings.tokens())
        if tenant is None:
            await asyncio.to_thread(surroundings.refresh_tokens)
            tenant = tenant_of(headers.get("authorization", ""), surroundings.tokens())
        if tenant is None:
            return Answer(401, "令牌无效", "no such token")
        try:
            body = await asyncio.wait_for(_body(receive, headers, self._settings.max_body), self._settings.body_seconds)
            async with self._unpacking:
                messages, form = await asyncio.to_thread(self._messages, body, headers)
        except BodyError as error:
            return Answer(error.status, error.zh, error.en)
        except TimeoutError:
            return Answer(408, "请求体到达太慢", "the body came too slowly")
        return await self._take(messages, form, tenant, _peer(scope))

    def _messages(self, body: bytes, headers: Mapping[str, str]) -> tuple[list[bytes], str]:
        plain = decompress(body, headers.get("content-encoding", "").strip().lower(), self._settings.max_unpacked)
        most = self._settings.max_messages
        messages, form = split(plain, headers.get("content-type", "").partition(";")[0].strip().lower(), most)
        if len(messages) > most:
            raise BodyError(413, f"一次超过 {most} 条；请分批发送", f"more than {most} events; send less at a time")
        return messages, form

    async def _take(self, messages: list[bytes], form: str, tenant: str, peer: str) -> Answer:
        """Submit; the sender hears 200 only when its events are durable."""
        bucket = self._buckets.setdefault(tenant, Bucket(self._settings.rate, self._settings.burst))
        wait = bucket.take(len(messages), asyncio.get_running_loop().time())
        if wait > 0:
            return Answer(429, "发送过快", "too fast", retry_after=max(1, round(wait)))
        records = self._records(messages, form, tenant, peer)
        try:
            if records:
                await self._sink.submit(records)
        except SinkFull:
            return Answer(503, "磁盘已满，事件未被接收", "the disk is full; nothing was taken", retry_after=RETRY_AFTER)
        kind = self._collector.kind
        self._collector.counters.received[kind] += len(records)
        self._collector.counters.rejected[kind] += sum(1 for record in records if record.error)
        return Answer(200, accepted=len(records))

    def _records(self, messages: list[bytes], form: str, tenant: str, peer: str) -> list[Record]:
        received, kind, longest = self._now(), self._collector.kind, self._settings.max_message
        return [
            Record(raw[:longest], received, kind, peer, tenant, form, None, "oversized" if len(raw) > longest else "")
            for raw in messages
        ]


def tenant_of(authorization: str, tokens: Mapping[str, str]) -> str | None:
    """Give the tenant of a Bearer token (``tokens``: SHA-256 in hex -> tenant), compared in constant time."""
    given = _TOKEN.fullmatch(authorization)
    digest = hashlib.sha256(given[1].encode() if given else b"").hexdigest()
    found = None
    for known, tenant in tokens.items():
        if hmac.compare_digest(known.encode(), digest.encode()) and given:
            found = tenant
    return found


@dataclass(slots=True)
class Bucket:
    """A token bucket: ``rate`` events a second, ``burst`` at once; ``at`` is the clock's reading when it was last full so far."""

    rate: float
    burst: float
    spent: float = 0.0
    at: float = 0.0

    def take(self, count: int, now: float) -> float:
        """Take ``count`` events at ``now`` (seconds); give 0, or the seconds to wait when nothing was taken.

        A request larger than ``burst`` passes when the bucket is full, or it could never pass.
        """
        self.spent = max(0.0, self.spent - (now - self.at) * self.rate)
        self.at = now
        if self.spent and self.spent + count > self.burst:
            return (self.spent + min(count, self.burst) - self.burst) / self.rate
        self.spent += count
        return 0.0


async def _body(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]], headers: Mapping[str, str], limit: int
) -> bytes:
    """Read the body, up to ``limit`` bytes."""
    too_long = BodyError(
        413, f"请求体超过 {limit} 字节；请分批发送", f"the body is longer than {limit} bytes; send less at a time"
    )
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > limit:
        raise too_long
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyError(400, "连接已断开", "the sender left in the middle")
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_long
        if not message.get("more_body", False):
            return bytes(body)


async def _respond(send: Callable[[MutableMapping[str, Any]], Awaitable[None]], answer: Answer) -> None:
    body = answer.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if answer.retry_after:
        headers.append((b"retry-after", b"%d" % answer.retry_after))
    if answer.status == 401:  # noqa: PLR2004 - Unauthorized
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _peer(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    if not client:
        return ""
    return f"[{client[0]}]:{client[1]}" if ":" in client[0] else f"{client[0]}:{client[1]}"
