from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors import otlp
from monitors.collector import Collector
from monitors.http_exchange import FULL, Answer, Exchange, Intake, Refusal
from monitors.http_listener import HttpListener, HttpSettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.http_exchange import Request
    from monitors.record import Sink

PATH: Final = "/v1/logs"
_READERS: Final = {otlp.PROTOBUF: otlp.read_protobuf, otlp.JSON: otlp.read_json}
_SLOW: Final = 408


class OtlpSettings(HttpSettings):
    """A listener for OTLP over HTTP."""

    port: int = Field(default=4318, ge=0, le=65535)  # 0: a free one


class OtlpCollector(Collector, kind="otlp"):
    """Takes ``POST /v1/logs`` of the OpenTelemetry protocol with a token: protobuf or JSON, gzip or zstd."""

    Settings = OtlpSettings

    def __init__(self, settings: OtlpSettings, surroundings: Surroundings) -> None:
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


async def _answer(intake: Intake, settings: OtlpSettings, request: Request) -> Answer:
    """Take a request; the sender hears 200 only when its records are durable.

    Records that cannot be decoded are kept in quarantine, and the sender hears of them as a partial success: it is not to
    send them again.
    """
    if request.path != PATH:
        raise Refusal(404, f"只接收日志：{PATH}", f"logs only: {PATH}")
    if request.method != "POST":
        raise Refusal(405, "请用 POST", "use POST")
    tenant = await intake.tenant(request)
    content_type = _content_type(request)
    read = _READERS.get(content_type)
    if read is None:
        known = ", ".join(_READERS)
        raise Refusal(415, f"Content-Type 应为 {known}", f"Content-Type is one of {known}")
    most, longest = settings.max_messages, settings.max_message
    logs = await intake.read(request, lambda body: read(body, most=most, longest=longest))
    intake.pace(tenant, len(logs.documents) + len(logs.damaged))
    records = intake.records(logs.documents, "json", tenant, request.peer)
    damaged = intake.records(logs.damaged, "json", tenant, request.peer)
    await intake.store([*records, *(one._replace(error=one.error or "malformed") for one in damaged)])
    reason = "无法解析的记录已隔离 / records that cannot be read are in quarantine" if damaged else ""
    return Answer(200, otlp.answer(content_type, len(damaged), reason), content_type)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refuse(request: Request, refusal: Refusal) -> Answer:
    content_type = otlp.JSON if _content_type(request) == otlp.JSON else otlp.PROTOBUF
    status = FULL if refusal.status == _SLOW else refusal.status  # OTLP's senders try again after 503, not after 408
    return Answer(
        status, otlp.status(content_type, f"{refusal.zh} / {refusal.en}"), content_type, headers=refusal.headers
    )
