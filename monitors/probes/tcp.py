from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime


class TcpProbeSettings(ProbeSettings):
    """A TCP port that should accept connections."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(ge=1, le=65535)


class TcpProbe(Probe, kind="tcp"):
    """Connects to a port and closes at once."""

    Settings = TcpProbeSettings

    def __init__(self, settings: TcpProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """The port that is tried."""
        return f"tcp://{self.settings.host}:{self.settings.port}"

    async def look(self, now: datetime) -> Seen:  # noqa: ARG002 - the time of day does not matter here
        """Connect once."""
        started = time.monotonic()
        try:
            _, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
        except OSError as error:
            return Seen("fail", {"reason": f"{type(error).__name__}: {error.strerror or error}"[:500]})
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
        return Seen("pass", {"seconds": round(time.monotonic() - started, 4)})
