from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime


class LoadProbeSettings(ProbeSettings):
    """This machine's processors and memory."""

    max_load: float = Field(default=4.0, gt=0)  # mean of five minutes, per core
    max_memory_percent: float = Field(default=95.0, gt=0, le=100)


class LoadProbe(Probe, kind="load"):
    """Looks at the load and the memory of this machine."""

    Settings = LoadProbeSettings

    def __init__(self, settings: LoadProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """This machine."""
        return "load:localhost"

    async def look(self, now: datetime) -> Seen:  # noqa: ARG002 - the time of day does not matter here
        """Ask the kernel once."""
        load = psutil.getloadavg()[1] / (psutil.cpu_count() or 1)
        memory = psutil.virtual_memory()
        detail = {"load_per_core": round(load, 3), "memory_percent": memory.percent, "memory_bytes": memory.total}
        reasons = []
        if load > self.settings.max_load:
            reasons.append(f"load {load:.1f} per core")
        if memory.percent > self.settings.max_memory_percent:
            reasons.append(f"memory {memory.percent:.0f} % used")
        return Seen("fail", {**detail, "reason": "; ".join(reasons)}) if reasons else Seen("pass", detail)
