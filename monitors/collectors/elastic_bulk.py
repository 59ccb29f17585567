from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors import bulk, elastic
from monitors.collector import Collector
from monitors.http_exchange import Answer, Exchange, Intake, Refusal, json_answer
from monitors.http_listener import HttpListener, HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from monitors.bulk import Operation
    from monitors.collector import Surroundings
    from monitors.http_exchange import Request
    from monitors.record import Sink


_LONGEST_PAUSE: Final = 1.0  # seconds between two attempts for a sender that cannot be refused


class ElasticBulkSettings(HttpSettings):
    """A listener that speaks as Elasticsearch does to senders."""

    port: int = Field(default=9201, ge=0, le=65535)  # 0: a free one
    max_body: int = Field(default=32 << 20, ge=1024)  # bytes as sent
    max_unpacked: int = Field(default=100 << 20, ge=1024)  # bytes once decompressed: Elasticsearch's own limit
    version: str = Field(default="8.19.0", pattern=r"^\d{1,2}\.\d{1,3}\.\d{1,3}$")  # said to clients, which compare


class ElasticBulkCollector(Collector, kind="elastic_bulk"):
    """Takes ``POST /_bulk`` and ``/INDEX/_bulk`` with a token, as Filebeat, Logstash, Vector, Fluent Bit and rsyslog send it.

    Every document becomes an event; indices, ids and pipelines that a sender names decide nothing here. The bulk is answered
    when it is durable; a sender that repeats a bulk has its events twice.
    """

    Settings = ElasticBulkSettings

    def __init__(self, settings: ElasticBulkSettings, surroundings: Surroundings) -> None:
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
        receiver = _Receiver(self, Intake(self, self.settings, sink, now))
        await self._listener.run(self, Exchange(self, receiver.answer, _refuse), stop)


class _Receiver:
    """Answers requests."""

    def __init__(self, collector: ElasticBulkCollector, intake: Intake) -> None:
        self._collector, self._settings, self._intake = collector, collector.settings, intake

    async def answer(self, request: Request) -> Answer:
        """Give the answer to one request."""
        tenant = await self._intake.tenant(request)
        parts = elastic.segments(request.path)
        if request.method in {"POST", "PUT"}:
            if elastic.is_bulk(parts):
                return await self._bulk(request, tenant, parts[0] if len(parts) > 1 else "")
            if elastic.is_document(parts):
                return await self._document(request, tenant, parts)
        return elastic.reply(request.method, parts, self._settings.version)

    async def _bulk(self, request: Request, tenant: str, index: str) -> Answer:
        clock = asyncio.get_running_loop().time
        began, most = clock(), self._settings.max_messages
        operations = await self._intake.read(request, lambda body: bulk.read(body, most, index))
        await self._store(operations, tenant, request)
        took = round((clock() - began) * 1000)
        said = bulk.answer(operations, took=took, short="filter_path=" in request.query)
        return json_answer(said, headers=elastic.PRODUCT)

    async def _document(self, request: Request, tenant: str, parts: list[str]) -> Answer:
        source = await self._intake.read(request, bytes.strip)
        operation = bulk.Operation("create", parts[0], parts[2] if len(parts) > 2 else "", source)  # noqa: PLR2004 - INDEX/_doc/ID
        if not source:
            raise Refusal(400, "请求体为空", "the body is empty")
        await self._store([operation], tenant, request)
        return json_answer(bulk.created(operation), 201, elastic.PRODUCT)

    async def _store(self, operations: Sequence[Operation], tenant: str, request: Request) -> None:
        documents = [operation.source for operation in operations if operation.adds]
        records = self._intake.records(documents, "json", tenant, request.peer)
        paced = False
        while True:
            try:
                if not paced:
                    self._intake.pace(tenant, len(records))
                paced = True
                await self._intake.store(records)
            except Refusal as refusal:
                if not _must_wait(request):
                    raise
                await asyncio.sleep(min(refusal.retry_after, _LONGEST_PAUSE))
            else:
                break
        self._collector.counters.rejected[self._collector.kind] += len(operations) - len(documents)


def _must_wait(request: Request) -> bool:
    """Whether the sender is rsyslog's omelasticsearch, the one that names no user agent.

    It throws away what is refused, whatever the status, and tries again only when the connection breaks: so it is not
    answered before there is room.
    """
    return "user-agent" not in request.headers


def _refuse(_request: Request, refusal: Refusal) -> Answer:
    return elastic.refuse(refusal)
