from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime


class DiskProbeSettings(ProbeSettings):
    """A file system, by any path on it."""

    path: Path = Path("/")
    min_free_percent: float = Field(default=10.0, ge=0, le=100)


class DiskProbe(Probe, kind="disk"):
    """Looks at the free room of a file system."""

    Settings = DiskProbeSettings

    def __init__(self, settings: DiskProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """The path whose file system is looked at."""
        return f"disk:{self.settings.path}"

    async def look(self, now: datetime) -> Seen:  # noqa: ARG002 - the time of day does not matter here
        """Ask the kernel once; a file system that hangs is left behind in its thread."""
        usage = await asyncio.to_thread(psutil.disk_usage, str(self.settings.path))
        free = 100.0 - usage.percent
        detail = {"total_bytes": usage.total, "free_bytes": usage.free, "free_percent": round(free, 1)}
        if free < self.settings.min_free_percent:
            return Seen("fail", {**detail, "reason": f"{free:.1f} % free"})
        return Seen("pass", detail)
