"""What each role last said of itself: one small file a role, replaced whole, read by the overview.

Files and not the database, because "the database is stuck" and "the disk is full" are among the things to be said.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """One role as it last reported."""

    role: str
    pid: int
    at: str  # RFC 3339 UTC
    alive: bool  # it reported within the allowed silence
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Free space where the state lies, in bytes."""

    total: int
    free: int
    reserve: int  # below this much nothing is acknowledged

    @property
    def accepting(self) -> bool:
        """Whether new events are taken."""
        return self.free > self.reserve


def report(folder: Path, role: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Say how ``role`` is; a full disk leaves the last report in place."""
    body = orjson.dumps({"role": role, "pid": os.getpid(), "at": now.isoformat(), "detail": dict(detail)})
    temporary = folder / f".{role}.{os.getpid()}"
    try:
        temporary.write_bytes(body)
        temporary.replace(folder / f"{role}.json")
    except OSError:
        temporary.unlink(missing_ok=True)


def read(folder: Path, role: str, now: datetime, silence: timedelta) -> RoleStatus:
    """Give the role's last report; a role that never reported is not alive."""
    try:
        said = orjson.loads((folder / f"{role}.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return RoleStatus(role=role, pid=0, at="", alive=False, detail={})
    at = type(now).fromisoformat(said["at"])
    alive = now - at <= silence and _exists(said["pid"])
    return RoleStatus(role=role, pid=said["pid"], at=said["at"], alive=alive, detail=said["detail"])


def disk(folder: Path, reserve: int) -> Disk:
    """Look at the disk that holds ``folder``."""
    usage = shutil.disk_usage(folder)
    return Disk(total=usage.total, free=usage.free, reserve=reserve)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
