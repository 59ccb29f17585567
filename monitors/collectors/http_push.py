from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors.body import BodyError, split
from monitors.http_collector import HttpCollector
from monitors.http_exchange import TOO_LARGE, Answer, Refusal, json_answer
from monitors.http_listener import HttpSettings

if TYPE_CHECKING:
    from monitors.http_exchange import Intake, Request

PATH: Final = "/v1/events"


class HttpPushSettings(HttpSettings):
    """A listener for events over HTTP."""

    port: int = Field(default=8514, ge=0, le=65535)  # 0: a free one


class HttpPushCollector(HttpCollector, kind="http_push"):
    """Takes ``POST /v1/events`` with a token: JSON lines, a JSON array or lines of text; gzip or zstd."""

    Settings = HttpPushSettings

    async def answer(self, intake: Intake, request: Request) -> Answer:
        """Take a request; the sender hears 200 only when its events are durable."""
        if request.path != PATH:
            raise Refusal(404, f"没有此地址；请用 {PATH}", f"no such address; use {PATH}")
        if request.method != "POST":
            raise Refusal(405, "请用 POST", "use POST")
        tenant = await intake.tenant(request)
        most, content_type = self.settings.max_messages, request.content_type
        messages, form = await intake.read(request, lambda body: _messages(body, content_type, most))
        intake.pace(tenant, len(messages))
        await intake.store(intake.records(messages, form, tenant, request.peer))
        return json_answer({"accepted": len(messages)})

    def refuse(self, _request: Request, refusal: Refusal) -> Answer:
        """Say why, in JSON."""
        return json_answer({"error": {"zh": refusal.zh, "en": refusal.en}}, refusal.status, refusal.headers)


def _messages(plain: bytes, content_type: str, most: int) -> tuple[list[bytes], str]:
    messages, form = split(plain, content_type, most)
    if len(messages) > most:
        raise BodyError(TOO_LARGE, f"一次超过 {most} 条；请分批发送", f"more than {most} events; send less at a time")
    return messages, form
