from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors import bulk, elastic
from monitors.http_collector import HttpCollector
from monitors.http_exchange import Answer, Refusal, json_answer
from monitors.http_listener import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitors.bulk import Operation
    from monitors.collector import Surroundings
    from monitors.http_exchange import Intake, Request

_LONGEST_PAUSE: Final = 1.0  # seconds between two attempts for a sender that cannot be refused


class ElasticBulkSettings(HttpSettings):
    """A listener that speaks as Elasticsearch does to senders."""

    port: int = Field(default=9201, ge=0, le=65535)  # 0: a free one
    max_body: int = Field(default=32 << 20, ge=1024)  # bytes as sent
    max_unpacked: int = Field(default=100 << 20, ge=1024)  # bytes once decompressed: Elasticsearch's own limit
    version: str = Field(default="8.19.0", pattern=r"^\d{1,2}\.\d{1,3}\.\d{1,3}$")  # said to clients, which compare


class ElasticBulkCollector(HttpCollector, kind="elastic_bulk"):
    """Takes ``POST /_bulk`` and ``/INDEX/_bulk`` with a token, as Filebeat, Logstash, Vector, Fluent Bit and rsyslog send it.

    Every document becomes an event; indices, ids and pipelines that a sender names decide nothing here. The bulk is answered
    when it is durable; a sender that repeats a bulk has its events twice.
    """

    Settings = ElasticBulkSettings

    def __init__(self, settings: ElasticBulkSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._version = settings.version

    async def answer(self, intake: Intake, request: Request) -> Answer:
        """Give the answer to one request."""
        tenant = await intake.tenant(request)
        parts = elastic.segments(request.path)
        if request.method in {"POST", "PUT"}:
            if elastic.is_bulk(parts):
                return await self._bulk(intake, request, tenant, parts[0] if len(parts) > 1 else "")
            if elastic.is_document(parts):
                return await self._document(intake, request, tenant, parts)
        return elastic.reply(request.method, parts, self._version)

    def refuse(self, _request: Request, refusal: Refusal) -> Answer:
        """Say why as Elasticsearch would."""
        return elastic.refuse(refusal)

    async def _bulk(self, intake: Intake, request: Request, tenant: str, index: str) -> Answer:
        clock = asyncio.get_running_loop().time
        began, most = clock(), self.settings.max_messages
        operations = await intake.read(request, lambda body: bulk.read(body, most, index))
        await self._store(intake, operations, tenant, request)
        took = round((clock() - began) * 1000)
        said = bulk.answer(operations, took=took, short="filter_path=" in request.query)
        return json_answer(said, headers=elastic.PRODUCT)

    async def _document(self, intake: Intake, request: Request, tenant: str, parts: list[str]) -> Answer:
        source = await intake.read(request, bytes.strip)
        operation = bulk.Operation("create", parts[0], parts[2] if len(parts) > 2 else "", source)  # noqa: PLR2004 - INDEX/_doc/ID
        if not source:
            raise Refusal(400, "请求体为空", "the body is empty")
        await self._store(intake, [operation], tenant, request)
        return json_answer(bulk.created(operation), 201, elastic.PRODUCT)

    async def _store(self, intake: Intake, operations: Sequence[Operation], tenant: str, request: Request) -> None:
        documents = [operation.source for operation in operations if operation.adds]
        records = intake.records(documents, "json", tenant, request.peer)
        paced = False
        while True:
            try:
                if not paced:
                    intake.pace(tenant, len(records))
                paced = True
                await intake.store(records)
            except Refusal as refusal:
                if not _must_wait(request):
                    raise
                await asyncio.sleep(min(refusal.retry_after, _LONGEST_PAUSE))
            else:
                break
        self.counters.rejected[self.kind] += len(operations) - len(documents)


def _must_wait(request: Request) -> bool:
    """Whether the sender is rsyslog's omelasticsearch, the one that names no user agent.

    It throws away what is refused, whatever the status, and tries again only when the connection breaks: so it is not
    answered before there is room.
    """
    return "user-agent" not in request.headers
