from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors import otlp
from monitors.http_collector import HttpCollector
from monitors.http_exchange import FULL, Answer, Refusal
from monitors.http_listener import HttpSettings

if TYPE_CHECKING:
    from monitors.http_exchange import Intake, Request

PATH: Final = "/v1/logs"
_READERS: Final = {otlp.PROTOBUF: otlp.read_protobuf, otlp.JSON: otlp.read_json}
_SLOW: Final = 408


class OtlpSettings(HttpSettings):
    """A listener for OTLP over HTTP."""

    port: int = Field(default=4318, ge=0, le=65535)  # 0: a free one


class OtlpCollector(HttpCollector, kind="otlp"):
    """Takes ``POST /v1/logs`` of the OpenTelemetry protocol with a token: protobuf or JSON, gzip or zstd."""

    Settings = OtlpSettings

    async def answer(self, intake: Intake, request: Request) -> Answer:
        """Take a request; the sender hears 200 only when its records are durable.

        Records that cannot be decoded are kept in quarantine, and the sender hears of them as a partial success: it is not to
        send them again.
        """
        if request.path != PATH:
            raise Refusal(404, f"只接收日志：{PATH}", f"logs only: {PATH}")
        if request.method != "POST":
            raise Refusal(405, "请用 POST", "use POST")
        tenant = await intake.tenant(request)
        read = _READERS.get(request.content_type)
        if read is None:
            known = ", ".join(_READERS)
            raise Refusal(415, f"Content-Type 应为 {known}", f"Content-Type is one of {known}")
        most, longest = self.settings.max_messages, self.settings.max_message
        logs = await intake.read(request, lambda body: read(body, most=most, longest=longest))
        intake.pace(tenant, len(logs.documents) + len(logs.damaged))
        records = intake.records(logs.documents, "json", tenant, request.peer)
        damaged = intake.records(logs.damaged, "json", tenant, request.peer)
        await intake.store([*records, *(one._replace(error=one.error or "malformed") for one in damaged)])
        reason = "无法解析的记录已隔离 / records that cannot be read are in quarantine" if damaged else ""
        return Answer(200, otlp.answer(request.content_type, len(damaged), reason), request.content_type)

    def refuse(self, request: Request, refusal: Refusal) -> Answer:
        """Say why in a google.rpc.Status; OTLP's senders try again after 503, not after 408."""
        content_type = otlp.JSON if request.content_type == otlp.JSON else otlp.PROTOBUF
        status = FULL if refusal.status == _SLOW else refusal.status
        said = otlp.status(content_type, f"{refusal.zh} / {refusal.en}")
        return Answer(status, said, content_type, headers=refusal.headers)
