"""TLS handshakes of a listener: so many at once, each within a time, counted; the rest wait their turn unread.

A peer that has not finished its handshake has shown nothing yet, neither a certificate nor a token, and costs more than
any other. So the connection is taken as a plain one and is not read before its turn; what is behind the door meets only
connections whose handshake is done. A peer that waits costs an open file and its place in the queue.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from monitors.collector import Counters

MAX_HANDSHAKES: Final = 100  # at once; one takes a millisecond or two of CPU, and a slow peer its whole time
MAX_WAITING: Final = 20_000  # peers that wait for their turn: after a restart all come at once
HANDSHAKE_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 60.0


class Door:
    """Gives connections to protocols once their handshake is done."""

    def __init__(
        self,
        counters: Counters,
        kind: str,
        *,
        most: int = MAX_HANDSHAKES,
        waiting: int = MAX_WAITING,
        seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        self._counters, self._kind = counters, kind
        self._turn = asyncio.Semaphore(most)
        self._most_waiting, self._seconds = waiting, seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Let go of those who wait or are in the middle of a handshake."""
        for task in self._tasks:
            task.cancel()

    def knock(self, context: Callable[[], ssl.SSLContext], inside: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """Give the protocol of one new connection; ``context`` is asked when its turn comes."""
        return _Knocking(self, context, inside)

    def arrived(self, knocking: _Knocking, transport: asyncio.Transport) -> None:
        """Queue a connection that was just accepted."""
        if len(self._tasks) >= self._most_waiting:
            self._counters.rejected[self._kind] += 1
            transport.abort()
            return
        transport.pause_reading()
        task = asyncio.ensure_future(self._let_in(knocking, transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _let_in(self, knocking: _Knocking, transport: asyncio.Transport) -> None:
        try:
            await asyncio.wait_for(self._turn.acquire(), WAIT_SECONDS)
        except (TimeoutError, asyncio.CancelledError):
            self._counters.rejected[self._kind] += 1
            transport.abort()
            return
        self._counters.handshakes[self._kind] += 1
        try:
            encrypted = await self._handshake(knocking, transport)
        finally:
            self._counters.handshakes[self._kind] -= 1
            self._turn.release()
        if encrypted is not None:
            knocking.enter(encrypted)

    async def _handshake(self, knocking: _Knocking, transport: asyncio.Transport) -> asyncio.Transport | None:
        if transport.is_closing():
            return None
        behind = _Behind()
        knocking.behind = behind
        try:
            made = await asyncio.get_running_loop().start_tls(
                transport, behind, knocking.context(), server_side=True, ssl_handshake_timeout=self._seconds
            )
        except OSError:  # ssl.SSLError and the time-out are among them
            self._counters.handshakes_failed[self._kind] += 1
            transport.abort()
            return None
        except asyncio.CancelledError:
            transport.abort()
            return None
        return cast("asyncio.Transport", made)


class _Behind(asyncio.Protocol):
    """Keeps what the peer says between the end of the handshake and the moment its protocol takes over."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.ended = self.lost = False
        self.reason: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.said.append(data)

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self.reason = True, exc


class _Knocking(asyncio.Protocol):
    """A connection before its handshake."""

    def __init__(
        self, door: Door, context: Callable[[], ssl.SSLContext], inside: Callable[[], asyncio.Protocol]
    ) -> None:
        self._door, self.context, self._inside = door, context, inside
        self.behind = _Behind()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.arrived(self, cast("asyncio.Transport", transport))

    def enter(self, transport: asyncio.Transport) -> None:
        """Hand the encrypted connection over, with what was said meanwhile."""
        protocol, behind = self._inside(), self.behind
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for piece in behind.said:
            protocol.data_received(piece)
        if behind.ended:
            protocol.eof_received()
        if behind.lost:
            protocol.connection_lost(behind.reason)
