from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING

import httpx
from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime

_MOST = 1 << 20  # bytes of an answer that are read


class HttpProbeSettings(ProbeSettings):
    """A GET of ``url``; ``ca`` is a PEM file to trust beside the system's, ``contains`` a text the answer must have."""

    url: str = Field(pattern=r"^https?://", max_length=2000)
    status: tuple[int, ...] = ()  # allowed ones; empty: 200 to 399
    contains: str = ""
    ca: Path | None = None
    slow_seconds: float = Field(default=5.0, gt=0)


class HttpProbe(Probe, kind="http"):
    """Asks a web server and looks at status, text and time."""

    Settings = HttpProbeSettings

    def __init__(self, settings: HttpProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """The address that is asked."""
        return self.settings.url

    async def look(self, now: datetime) -> Seen:  # noqa: ARG002 - the time of day does not matter here
        """Ask once, in a thread; a server that cannot be reached or does not answer fails."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> Seen:
        context = ssl.create_default_context()
        if self.settings.ca is not None:
            context.load_verify_locations(self.settings.ca)
        started = time.monotonic()
        try:
            with (
                httpx.Client(verify=context, trust_env=False, timeout=self.settings.timeout_seconds) as client,
                client.stream("GET", self.settings.url) as response,
            ):
                body = _beginning(response, started + self.settings.timeout_seconds)
        except httpx.HTTPError as error:
            return Seen("fail", {"reason": f"{type(error).__name__}: {error}"[:500]})
        elapsed = time.monotonic() - started
        detail = {"status": response.status_code, "seconds": round(elapsed, 4), "bytes": len(body)}
        reason = self._complaint(response.status_code, body, elapsed)
        return Seen("fail", {**detail, "reason": reason}) if reason else Seen("pass", detail)

    def _complaint(self, status: int, body: bytes, elapsed: float) -> str:
        allowed = status in self.settings.status if self.settings.status else 200 <= status < 400  # noqa: PLR2004 - HTTP
        if not allowed:
            return f"status {status}"
        if self.settings.contains and self.settings.contains.encode() not in body:
            return "the expected text is missing"
        return f"slow: {elapsed:.1f} s" if elapsed > self.settings.slow_seconds else ""


def _beginning(response: httpx.Response, deadline: float) -> bytes:
    """Read up to ``_MOST`` bytes, until ``deadline`` on the monotonic clock: a server may drip."""
    body = bytearray()
    for piece in response.iter_bytes(65_536):
        body += piece
        if len(body) >= _MOST or time.monotonic() > deadline:
            break
    return bytes(body)
