"""Pages that update by themselves: one task looks at the change counters, every open page hears which topics changed.

A stream ends when its session does: sessions opened with a certificate are asked about at every look, the others when
the audit trail grew (every end of a session is audited) and at least every ``RECHECK_LOOKS`` looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from identity.principal import Permission, can
from secops import source_health, uploads
from secops.alert.tables import AlertEventRow
from secops.api.problems import Forbidden, Refusal
from secops.api.session import need_session
from secops.audit import AuditRow
from secops.console import previews
from secops.store.index import IndexUnavailable
from secops.ticket.tables import TicketEventRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from identity.provider import Session
    from secops.wiring import Service

LOG = logging.getLogger(__name__)
LOOK_SECONDS: Final = 0.3
RECHECK_LOOKS: Final = 20
PULSE_SECONDS: Final = 10.0
MOST_STREAMS: Final = 200
MOST_OF_ONE: Final = 12  # streams of one person: tabs, however often he logged in
TOPICS: Final[Mapping[str, Permission]] = {
    "events": Permission.EVENTS_READ,
    "alerts": Permission.ALERTS_READ,
    "tickets": Permission.TICKETS_READ,
    "audit": Permission.AUDIT_READ,
    "trials": Permission.EVENTS_READ,
    "sources": Permission.SOURCES_READ,
    "uploads": Permission.SOURCES_READ,
    "overview": Permission.OVERVIEW_READ,
}


@dataclass(slots=True, eq=False)
class Stream:
    """One open page: what it wants to hear, whose session it lives by, and what it has not been told yet."""

    topic: str
    account_id: str
    session_id: str
    by_certificate: bool
    pending: set[str] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def tell(self, topic: str) -> None:
        """Note a change; several between two deliveries are one."""
        self.pending.add(topic)
        self.wake.set()

    def end(self) -> None:
        """Let the stream close."""
        self.ended = True
        self.wake.set()


class Hub:
    """The streams of this process and the task that feeds them."""

    def __init__(self, counters: Callable[[], Mapping[str, int]], alive: Callable[[str], bool]) -> None:
        self._counters, self._alive = counters, alive
        self._streams: set[Stream] = set()
        self._last: Mapping[str, int] = {}
        self._looks = 0

    def open(self, topic: str, session: Session) -> Stream:
        """Take a new stream.

        Raises:
            Refusal: there are too many.
        """
        person = session.principal.account_id
        mine = sum(stream.account_id == person for stream in self._streams)
        if len(self._streams) >= MOST_STREAMS or mine >= MOST_OF_ONE:
            raise Refusal(
                503,
                "live.busy",
                "自动更新的页面过多，请稍后刷新。",
                "Too many live pages are open; reload later.",
                retry_after=30,
            )
        stream = Stream(topic, person, session.id, session.certificate_serial is not None)
        self._streams.add(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        self._streams.discard(stream)

    def end_all(self) -> None:
        """End every stream, so that the server can stop."""
        for stream in self._streams:
            stream.end()

    async def run(self) -> None:
        """Look, tell, check sessions, rest; idle while no page is open."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._streams:
                self._last = {}
                continue
            try:
                await self._look()
            except Exception:
                LOG.exception("live pages: a look at the change counters failed; trying again")

    async def _look(self) -> None:
        counters = await run_in_threadpool(self._counters)
        # The first look after a rest has nothing to compare with, and something may have changed since the pages were made.
        changed = {name for name, value in counters.items() if self._last.get(name) != value}
        self._last = counters
        for stream in self._streams:
            if stream.topic in changed or (stream.topic == "overview" and changed):
                stream.tell(stream.topic)
        self._looks += 1
        await self._check_sessions(everybody="audit" in changed or self._looks % RECHECK_LOOKS == 0)

    async def _check_sessions(self, *, everybody: bool) -> None:
        doubtful = {stream.session_id for stream in self._streams if everybody or stream.by_certificate}
        dead = await run_in_threadpool(lambda: {one for one in doubtful if not self._alive(one)})
        for stream in self._streams:
            if stream.session_id in dead:
                stream.end()


def hub_of(service: Service) -> Hub:
    """The hub over a service's counters and sessions."""
    return Hub(lambda: counters(service), lambda one: service.identity.session_by_id(one, service.clock()) is not None)


def counters(service: Service) -> dict[str, int]:
    """A number for each topic that grows when something there changed."""
    with service.database.read() as tx:
        last = [tx.scalar(sa.select(sa.func.max(row.id))) or 0 for row in (AlertEventRow, TicketEventRow, AuditRow)]
        heard = source_health.mark(tx)
        brought = uploads.mark(tx)
    try:
        events = sum(service.index.position(partition) for partition in range(service.log.partitions))
    except IndexUnavailable:
        events = 0  # another number than before and after: pages look when it is gone and when it is back
    return {
        "alerts": last[0],
        "tickets": last[1],
        "audit": last[2],
        "events": events,
        "trials": previews.mark(service),
        "sources": heard,
        "uploads": brought,
    }


async def live(request: Request) -> Response:
    """``GET /live?topic=``: server-sent events named ``changed``; ``ended`` when the session has ended."""
    session = await run_in_threadpool(need_session, request)
    topic = request.query_params.get("topic", "")
    permission = TOPICS.get(topic)
    if permission is None:
        raise Refusal(400, "live.topic", "没有这个主题。", f"Choose a topic: {', '.join(TOPICS)}.")
    decision = can(session.principal, permission)
    if not decision:
        raise Forbidden(decision.reason)
    hub: Hub = request.app.state.hub
    return StreamingResponse(_messages(hub, hub.open(topic, session)), media_type="text/event-stream")


async def _messages(hub: Hub, stream: Stream) -> AsyncIterator[bytes]:
    """The stream's text; a pulse now and then, so that a page with clocks redraws and a dead peer is noticed."""
    try:
        yield b"retry: 2000\n\n"
        while not stream.ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stream.wake.wait(), PULSE_SECONDS)
            kind = b"changed" if stream.pending else b"pulse"
            stream.pending.clear()
            stream.wake.clear()
            if not stream.ended:
                yield b"event: " + kind + b"\ndata: " + stream.topic.encode() + b"\n\n"
        yield b"event: ended\ndata: ended\n\n"
    finally:
        hub.close(stream)
