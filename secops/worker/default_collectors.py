"""What is gathered without any configuration: loopback syslog, HTTP push, and this machine's own logs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secops.settings import Ingest

LOG_FILES = ("/var/log/auth.log", "/var/log/secure", "/var/log/syslog", "/var/log/messages", "/var/log/cron.log")
WEB_LOGS = ("/var/log/nginx/access.log", "/var/log/nginx/error.log")
JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))


def default_collectors(settings: Ingest) -> dict[str, dict[str, Any]]:
    """Give the collectors of this machine by name, each with ``kind`` and that kind's settings."""
    found: dict[str, dict[str, Any]] = {
        "syslog": {
            "kind": "syslog",
            "host": "127.0.0.1",
            "udp_port": settings.syslog_port,
            "tcp_port": settings.syslog_port,
        },
        "push": {"kind": "http_push", "host": "127.0.0.1", "port": settings.push_port},
    }
    if shutil.which("journalctl") and any(_has_files(folder) for folder in JOURNALS):
        found["journal"] = {"kind": "journal"}
    if files := [path for path in LOG_FILES if os.access(path, os.R_OK)]:
        found["system-logs"] = {"kind": "file_tail", "paths": files, "format": "syslog", "start": "beginning"}
    if files := [path for path in WEB_LOGS if os.access(path, os.R_OK)]:
        found["web-logs"] = {"kind": "file_tail", "paths": files, "start": "beginning"}
    return found


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK) and next(folder.rglob("*.journal"), None) is not None
