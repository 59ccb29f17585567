"""One request and its answer, for every kind that takes events over HTTP: who sends, how much, how fast, stored or not."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import orjson

from monitors.body import BodyError, decompress
from monitors.http_tokens import tenant_of
from monitors.record import Record, SinkFull
from monitors.stream import peer_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
    from datetime import datetime

    from monitors.collector import Collector
    from monitors.http_listener import HttpSettings
    from monitors.record import Sink

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T")

RETRY_AFTER: Final = 30  # seconds that a sender is asked to wait while the disk is full
OK: Final = 200
UNAUTHORIZED: Final = 401
TOO_LARGE: Final = 413
TOO_MANY: Final = 429
FULL: Final = 503
_UNPACKING: Final = 2  # bodies that are unpacked and cut at once: each may take some hundred megabytes
_JSON: Final = "application/json"


class Request(NamedTuple):
    """The head of a request; its body is read only from those who may send one."""

    method: str
    path: str
    headers: Mapping[str, str]  # lower-case names
    peer: str  # address:port
    receive: Receive
    query: str = ""

    @property
    def content_type(self) -> str:
        """The media type that the sender names, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told."""

    status: int
    body: bytes = b""
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - what we answer, named as people say it
    """A request is not taken; each kind words it as its protocol does."""

    def __init__(self, status: int, zh: str, en: str, *, retry_after: int = 0) -> None:
        super().__init__(en)
        self.status, self.zh, self.en, self.retry_after = status, zh, en, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        found = {"retry-after": str(self.retry_after)} if self.retry_after else {}
        if self.status == UNAUTHORIZED:
            found["www-authenticate"] = "Bearer"
        return found


class Exchange:
    """The ASGI application of a kind: ``answer`` gives what a request is told, ``refuse`` words a refusal."""

    def __init__(
        self,
        collector: Collector,
        answer: Callable[[Request], Awaitable[Answer]],
        refuse: Callable[[Request, Refusal], Answer],
    ) -> None:
        self._collector, self._answer, self._refuse = collector, answer, refuse

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        counters, kind = self._collector.counters, self._collector.kind
        counters.connections[kind] += 1
        request = _request(scope, receive)
        try:
            answer = await self._answer(request)
        except Refusal as refusal:
            counters.rejected[kind] += 1
            answer = self._refuse(request, refusal)
        finally:
            counters.connections[kind] -= 1
        await _respond(send, answer, head=request.method == "HEAD")


class Intake:
    """What every kind does alike: know the sender, read and unpack the body, keep the rate, store."""

    def __init__(self, collector: Collector, settings: HttpSettings, sink: Sink, now: Callable[[], datetime]) -> None:
        self._collector, self._settings, self._sink, self._now = collector, settings, sink, now
        self._buckets: dict[str, Bucket] = {}
        self._unpacking = asyncio.Semaphore(_UNPACKING)

    async def tenant(self, request: Request) -> str:
        """Whose token it is.

        Raises:
            Refusal: 401.
        """
        surroundings = self._collector.surroundings
        authorization = request.headers.get("authorization", "")
        tenant = tenant_of(authorization, surroundings.tokens())
        if tenant is None:
            await asyncio.to_thread(surroundings.refresh_tokens)
            tenant = tenant_of(authorization, surroundings.tokens())
        if tenant is None:
            raise Refusal(UNAUTHORIZED, "令牌无效", "no such token")
        return tenant

    async def read(self, request: Request, cut: Callable[[bytes], T]) -> T:
        """Read and unpack the body; ``cut`` makes of it what the kind needs, in a thread.

        Raises:
            Refusal: 400, 408, 413, 415; ``cut`` may raise BodyError.
        """
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            body = await asyncio.wait_for(_body(request, self._settings.max_body), self._settings.body_seconds)
            async with self._unpacking:
                return await asyncio.to_thread(lambda: cut(decompress(body, encoding, self._settings.max_unpacked)))
        except BodyError as error:
            raise Refusal(error.status, error.zh, error.en) from error
        except TimeoutError as error:
            raise Refusal(408, "请求体到达太慢", "the body came too slowly") from error

    def pace(self, tenant: str, events: int) -> None:
        """Count ``events`` against the tenant's rate.

        Raises:
            Refusal: 429; nothing was counted.
        """
        if (seconds := self._collector.surroundings.wait(tenant)) > 0:
            raise Refusal(
                TOO_MANY, "超过本单位配额", "over this organisation's quota", retry_after=max(1, math.ceil(seconds))
            )
        bucket = self._buckets.setdefault(tenant, Bucket(self._settings.rate, self._settings.burst))
        wait = bucket.take(events, asyncio.get_running_loop().time())
        if wait > 0:
            raise Refusal(TOO_MANY, "发送过快", "too fast", retry_after=max(1, round(wait)))

    async def store(self, records: Sequence[Record]) -> None:
        """Return when ``records`` are durable.

        Raises:
            Refusal: 503, the disk is full and nothing was taken.
        """
        try:
            if records:
                await self._sink.submit(records)
        except SinkFull as full:
            raise Refusal(
                FULL, "磁盘已满，事件未被接收", "the disk is full; nothing was taken", retry_after=RETRY_AFTER
            ) from full
        kind = self._collector.kind
        self._collector.counters.received[kind] += len(records)
        self._collector.counters.rejected[kind] += sum(1 for record in records if record.error)

    def records(self, messages: Iterable[bytes], form: str, tenant: str, peer: str) -> list[Record]:
        """Make records of messages that came now."""
        received, kind, longest = self._now(), self._collector.kind, self._settings.max_message
        return [
            Record(raw[:longest], received, kind, peer, tenant, form, None, "oversized" if len(raw) > longest else "")
            for raw in messages
        ]


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


def json_answer(document: object, status: int = OK, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of JSON."""
    return Answer(status, orjson.dumps(document), headers=headers or {})


def _request(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    peer = peer_name(tuple(scope["client"])) if scope.get("client") else ""
    return Request(scope["method"], scope["path"], headers, peer, receive, scope["query_string"].decode("latin-1"))


async def _body(request: Request, limit: int) -> bytes:
    """Read the body, up to ``limit`` bytes."""
    too_long = BodyError(
        TOO_LARGE, f"请求体超过 {limit} 字节；请分批发送", f"the body is longer than {limit} bytes; send less at a time"
    )
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > limit:
        raise too_long
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BodyError(400, "连接已断开", "the sender left in the middle")
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_long
        if not message.get("more_body", False):
            return bytes(body)


async def _respond(send: Send, answer: Answer, *, head: bool) -> None:
    headers = [
        (b"content-type", answer.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(answer.body)),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
