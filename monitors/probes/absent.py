from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING

from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime

_DAY = 86_400


class AbsentProbeSettings(ProbeSettings):
    """A file that must not stay here."""

    path: Path
    grace_days: float = Field(default=7.0, ge=0)  # how old it may become before it must be gone


class AbsentProbe(Probe, kind="absent"):
    """Looks whether something that belongs elsewhere, such as an offline key, is still on this machine."""

    Settings = AbsentProbeSettings

    def __init__(self, settings: AbsentProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """The file."""
        return f"absent:{self.settings.path}"

    async def look(self, now: datetime) -> Seen:
        """Ask for the file's age; a folder that may not be read says nothing about it."""
        try:
            found = await asyncio.to_thread(self.settings.path.lstat)
        except (FileNotFoundError, NotADirectoryError):
            return Seen("pass", {"present": False})
        except OSError as error:
            return Seen("unknown", {"reason": error.strerror or type(error).__name__})
        days = max(0.0, now.timestamp() - found.st_mtime) / _DAY
        detail = {"present": True, "age_days": round(days, 1)}
        if days < self.settings.grace_days:
            return Seen("pass", detail)
        return Seen("fail", {**detail, "reason": f"still here after {days:.0f} days"})
