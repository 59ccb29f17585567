"""What every collector that listens for HTTP has in common; a kind says how it answers a request and words a refusal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from monitors.collector import Collector
from monitors.http_exchange import Exchange, Intake
from monitors.http_listener import HttpListener, HttpSettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.http_exchange import Answer, Refusal, Request
    from monitors.record import Sink


class HttpCollector(Collector, kind=""):
    """Listens for HTTP; the subclass answers."""

    Settings = HttpSettings

    def __init__(self, settings: HttpSettings, surroundings: Surroundings) -> None:
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
        await self._listener.run(self, Exchange(self, partial(self.answer, intake), self.refuse), stop)

    async def answer(self, intake: Intake, request: Request) -> Answer:
        """Take a request; the sender hears of success only when its events are durable.

        Raises:
            Refusal: nothing of it was taken.
        """
        raise NotImplementedError

    def refuse(self, request: Request, refusal: Refusal) -> Answer:
        """Word a refusal as the kind's protocol does."""
        raise NotImplementedError
