from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pydantic import Field

from monitors import relp
from monitors.collector import Collector, submit_patiently
from monitors.record import Record
from monitors.stream import Listener, StreamSettings, peer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.record import Sink
    from monitors.stream import Connection

AHEAD: Final = 4  # batches of one connection that may wait for the disk while more is read
ANSWER_SECONDS: Final = 10.0  # how long a peer may leave answers unread


_OK: Final = b" rsp 6 200 OK\n"


class RelpSettings(StreamSettings):
    """A RELP listener; a port of 0 takes a free one."""

    port: int = Field(default=2514, ge=0, le=65535)
    max_message: int = Field(default=65_536, ge=480, le=1 << 20)  # bytes


class RelpCollector(Collector, kind="relp"):
    """Listens for RELP, plain or over TLS: every message is answered when it is durable, never before.

    Answers are sent in the order of the messages. When a connection breaks, the sender repeats what it has no answer
    for: a message may be stored twice then, and is never lost.
    """

    Settings = RelpSettings

    def __init__(self, settings: RelpSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self.address: tuple[str, int] | None = None  # while it runs

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Listen until ``stop``; then take what peers have sent already, answer it, say serverclose, and close.

        Raises:
            OSError: the address cannot be bound, or a TLS file cannot be read.
        """

        async def serve(connection: Connection) -> None:
            await _Session(self, connection, sink, now, stop).run()

        server = Listener(self.settings, self.surroundings, self.kind, serve, stop)
        try:
            self.address = await server.open(self.settings.port)
            listening = f"relp {peer_name(self.address)}"
            self.running(f"正在监听 {listening}", f"listening on {listening}")
            self.ready.set()
            await stop.wait()
        finally:
            await server.close()
            self.failing("已停止", "stopped")


class _Session:
    """One connection: frames in, answers out."""

    def __init__(
        self,
        collector: RelpCollector,
        connection: Connection,
        sink: Sink,
        now: Callable[[], datetime],
        stop: asyncio.Event,
    ) -> None:
        self._collector, self._connection = collector, connection
        self._sink, self._now, self._stop = sink, now, stop
        self._waiting: asyncio.Queue[asyncio.Future[bytes] | None] = asyncio.Queue(AHEAD)

    async def run(self) -> None:
        """Read until the end; what was submitted is answered before the connection closes."""
        answering = asyncio.ensure_future(self._answer_all())
        framer = relp.RelpFramer(self._collector.settings.max_message)
        try:
            while data := await self._connection.incoming.next():
                if not await self._take(framer.feed(data)):
                    break
        except relp.RelpError as error:
            await self._take(error.frames)
            self._collector.counters.rejected[self._collector.kind] += 1
        except OSError:  # reset by the peer: it repeats what it has no answer for
            pass
        finally:
            await self._waiting.put(None)
            await answering
            await self._say(relp.SERVER_CLOSE)

    async def _take(self, frames: Iterable[relp.Frame]) -> bool:
        """Submit the messages among ``frames``; False when the peer closed the session."""
        messages: list[relp.Frame] = []
        for frame in frames:
            if frame.command == b"syslog":
                messages.append(frame)
                continue
            await self._submit(messages)
            messages = []
            await self._reply(_reply(frame))
            if frame.command == b"close":
                return False
        await self._submit(messages)
        return True

    async def _submit(self, frames: list[relp.Frame]) -> None:
        if not frames:
            return
        received, one, kind = self._now(), self._connection, self._collector.kind
        records = [
            Record(
                raw, received, kind, one.peer, one.tenant, "syslog", None,
                "oversized" if frame.oversized else "",
            )
            for frame in frames
            if (raw := frame.data.rstrip(b"\r\n\x00"))
        ]  # fmt: skip
        self._collector.counters.received[kind] += len(records)
        self._collector.counters.rejected[kind] += sum(1 for frame in frames if frame.oversized)
        ok = _OK.join([*(frame.number for frame in frames), b""])
        await self._waiting.put(asyncio.ensure_future(self._store(records, ok)))

    async def _store(self, records: list[Record], ok: bytes) -> bytes:
        """Give the answers to a batch once it is durable; nothing when the service stops before: it comes again then."""
        taken = not records or await submit_patiently(self._sink, records, self._stop)
        return ok if taken else b""

    async def _reply(self, text: bytes) -> None:
        async def said() -> bytes:
            return text

        await self._waiting.put(asyncio.ensure_future(said()))

    async def _answer_all(self) -> None:
        """Send answers in order, each when its batch is durable; after a fault none, so that the peer repeats."""
        fault: Exception | None = None
        while (answer := await self._waiting.get()) is not None:
            try:
                said = await answer
            except Exception as error:  # noqa: BLE001 - kept until everything that waits is taken, then raised
                fault = fault or error
                self._connection.writer.transport.abort()
            else:
                await self._say(b"" if fault is not None else said)
        if fault is not None:
            raise fault

    async def _say(self, text: bytes) -> None:
        writer = self._connection.writer
        if not text or writer.is_closing():
            return
        writer.write(text)
        try:
            async with asyncio.timeout(min(ANSWER_SECONDS, self._collector.settings.idle_seconds)):
                await writer.drain()
        except OSError:  # also when time is up
            writer.transport.abort()


def _reply(frame: relp.Frame) -> bytes:
    """The answer to a frame that is no message."""
    if frame.command == b"open":
        return relp.opened(frame.number)
    if frame.command == b"close":
        return relp.answer(frame.number, b"")
    return relp.answer(frame.number, b"500 unknown command")
