from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors.body import BodyError, split
from monitors.collector import Collector
from monitors.http_exchange import TOO_LARGE, Answer, Exchange, Intake, Refusal, json_answer
from monitors.http_listener import HttpListener, HttpSettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.http_exchange import Request
    from monitors.record import Sink

PATH: Final = "/v1/events"


class HttpPushSettings(HttpSettings):
    """A listener for events over HTTP."""

    port: int = Field(default=8514, ge=0, le=65535)  # 0: a free one


class HttpPushCollector(Collector, kind="http_push"):
    """Takes ``POST /v1/events`` with a token: JSON lines, a JSON array or lines of text; gzip or zstd."""

    Settings = HttpPushSettings

    def __init__(self, settings: HttpPushSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self._listener = HttpListener(settings)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, while it runs."""
        return self._listener.address

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Serve until ``stop``; requests that are being answered then are finished.

        Raises:
            OSError: the address cannot be bound.
        """
        intake = Intake(self, self.settings, sink, now)
        await self._listener.run(self, Exchange(self, partial(_answer, intake, self.settings), _refuse), stop)


async def _answer(intake: Intake, settings: HttpPushSettings, request: Request) -> Answer:
    """Take a request; the sender hears 200 only when its events are durable."""
    if request.path != PATH:
        raise Refusal(404, f"没有此地址；请用 {PATH}", f"no such address; use {PATH}")
    if request.method != "POST":
        raise Refusal(405, "请用 POST", "use POST")
    tenant = await intake.tenant(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    messages, form = await intake.read(request, lambda body: _messages(body, content_type, settings.max_messages))
    intake.pace(tenant, len(messages))
    await intake.store(intake.records(messages, form, tenant, request.peer))
    return json_answer({"accepted": len(messages)})


def _messages(plain: bytes, content_type: str, most: int) -> tuple[list[bytes], str]:
    messages, form = split(plain, content_type, most)
    if len(messages) > most:
        raise BodyError(TOO_LARGE, f"一次超过 {most} 条；请分批发送", f"more than {most} events; send less at a time")
    return messages, form


def _refuse(_request: Request, refusal: Refusal) -> Answer:
    return json_answer({"error": {"zh": refusal.zh, "en": refusal.en}}, refusal.status, refusal.headers)
