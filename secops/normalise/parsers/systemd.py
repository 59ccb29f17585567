from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secops.normalise.pam import read_pam
from secops.normalise.parser import ProgramParser

if TYPE_CHECKING:
    from secops.records import Event

_SESSION = re.compile(r"(New|Removed) session (\S{1,32}?)(?: of user (\S{1,256}?))?\.$")
_UNIT = re.compile(
    r"([\w@.:\\-]{1,255}\.(?:service|socket|timer|mount|target|scope|slice|path|device|swap))\b", re.ASCII
)
_LIMIT = 512

# First words of a line -> (event.action, event.type, event.outcome)
_WORDS: Final = {
    "Starting": ("unit_starting", "start", "unknown"),
    "Started": ("unit_started", "start", "success"),
    "Finished": ("unit_finished", "end", "success"),
    "Reached": ("unit_started", "start", "success"),
    "Stopping": ("unit_stopping", "end", "unknown"),
    "Stopped": ("unit_stopped", "end", "success"),
    "Reloading": ("unit_reloading", "change", "unknown"),
    "Reloaded": ("unit_reloaded", "change", "success"),
    "Failed": ("unit_failed", "error", "failure"),
}


def parse(event: Event, message: str) -> None:
    """Read the service manager's lines about units and those of systemd-logind about sessions."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.systemd"
    if read_pam(event, message):
        return
    session = _SESSION.match(message[:_LIMIT])
    if session is not None:
        _session(event, session)
        return
    word = message.partition(" ")[0]
    if word in _WORDS:
        _unit(event, message, _WORDS[word])
    elif "Failed with result" in message or "Main process exited, code=" in message:
        _unit(event, message, _WORDS["Failed"])


def _unit(event: Event, message: str, meaning: tuple[str, str, str]) -> None:
    event["event.category"] = ["process"]
    event["event.action"], event["event.outcome"] = meaning[0], meaning[2]
    event["event.type"] = [meaning[1]]
    unit = _UNIT.search(message[:_LIMIT])
    if unit is not None:
        event["service.name"] = unit[1]


def _session(event: Event, found: re.Match[str]) -> None:
    opened = found[1] == "New"
    event["event.category"] = ["session"]
    event["event.type"] = ["start" if opened else "end"]
    event["event.action"] = "session_opened" if opened else "session_closed"
    event["event.outcome"] = "success"
    event["session.id"] = found[2]
    if found[3]:
        event["user.name"] = found[3]


PARSERS = (ProgramParser(("systemd", "systemd-logind", "init"), parse),)
