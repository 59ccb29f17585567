from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable  # noqa: TC003 - the dataclass names it
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - likewise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import orjson

from monitors.collector import stopped_within
from monitors.pull_trouble import Trouble, Words, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from monitors.budget import Budget

MOST_ANSWER: Final = 16 << 20  # bytes of an answer
_SECONDS: Final = 60.0  # for a whole answer, however it drips
_CONNECT: Final = 15.0


class StoppedError(Exception):
    """The service ends: nothing more is asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, byte by byte as it was signed; ``target`` is the path with its query, already encoded."""

    method: str
    host: str  # with its port where that is not 443
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer; header names are in lower case."""

    document: dict[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a far end says that something is wrong: where its words stand, and which codes mean what."""

    words: Callable[[dict[str, Any]], Words | None]
    codes: Mapping[str, str]


def query(pairs: Sequence[tuple[str, str]]) -> str:
    """Sorted, percent-encoded by RFC 3986: as it is signed and as it is sent."""
    return "&".join(
        f"{name}={value}" for name, value in sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in pairs)
    )


def open_client(ca_file: Path | None, proxy: str) -> httpx.AsyncClient:
    """A client that verifies certificates, follows no redirect and asks no environment variable where to go.

    Raises:
        Trouble: the CA file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise Trouble("network", f"{ca_file}: {error.strerror or error}") from None
    limits = httpx.Limits(max_connections=2, max_keepalive_connections=1)
    return httpx.AsyncClient(
        verify=context,
        proxy=httpx.Proxy(proxy) if proxy else None,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(_SECONDS, connect=_CONNECT),
        limits=limits,
    )


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends requests within an account's budget and gives good answers only."""

    client: httpx.AsyncClient
    budget: Budget
    per_second: float
    reading: Reading
    now: Callable[[], datetime]
    stop: asyncio.Event

    async def ask(self, make: Callable[[datetime], Request]) -> Answer:
        """Wait for a slot, then sign and send: a signature made before the wait could be too old by then.

        Raises:
            Trouble: there is no good answer.
            StoppedError: ``stop`` was set meanwhile.
        """
        loop = asyncio.get_running_loop()
        if await stopped_within(self.stop, self.budget.reserve(loop.time(), self.per_second)):
            raise StoppedError
        request = make(self.now())
        try:
            async with asyncio.timeout(_SECONDS):
                status, headers, body = await self._send(request)
        except TimeoutError:
            raise Trouble("network", f"{request.host}: {_SECONDS:.0f} s") from None
        except (httpx.HTTPError, OSError, httpx.InvalidURL) as error:
            raise Trouble("network", f"{request.host}: {type(error).__name__} {error}") from None
        document = _document(body)
        words = None if document is None else self.reading.words(document)
        if trouble := judge(status, headers, words, self.reading.codes, self.now()):
            if trouble.kind == "throttled":
                self.budget.hold(loop.time() + max(1.0, trouble.wait))
            raise trouble
        if document is None:
            raise Trouble("malformed", f"{request.host}: {len(body)} bytes, no JSON object")
        return Answer(document, headers)

    async def _send(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        headers = {"accept": "application/json", "accept-encoding": "identity", "host": request.host, **request.headers}
        url, body = f"https://{request.host}{request.target}", bytearray()
        sent = self.client.stream(request.method, url, headers=headers, content=request.body)
        async with sent as answer:
            # Raw bytes: nothing is unpacked, so a small answer cannot become a large one.
            async for piece in answer.aiter_raw(65_536):
                body += piece
                if len(body) > MOST_ANSWER:
                    raise Trouble("oversized", f"{request.host}: > {MOST_ANSWER} bytes")
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, bytes(body)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
