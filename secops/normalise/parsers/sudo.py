from __future__ import annotations

from typing import TYPE_CHECKING

from secops.normalise.pam import read_pam
from secops.normalise.parser import ProgramParser

if TYPE_CHECKING:
    from secops.records import Event

_NAMES = {"PWD": "process.working_directory", "USER": "user.target.name", "GROUP": "group.name"}


def parse(event: Event, message: str) -> None:
    """Read sudo's ``USER : [REASON ; ]TTY=… ; PWD=… ; USER=… ; COMMAND=…``."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.sudo"
    message = message.lstrip(" ")
    if read_pam(event, message):
        return
    user, colon, rest = message.partition(" : ")
    if not colon or " " in user:
        return
    before, _, command = rest.partition("COMMAND=")
    parts = [part for part in before.split(" ; ") if part]
    reason = parts.pop(0) if parts and "=" not in parts[0] else ""
    event["event.category"] = ["process"]
    event["event.type"] = ["denied"] if reason else ["start"]
    event["event.action"] = "sudo"
    event["event.outcome"] = "failure" if reason else "success"
    event["user.name"] = user
    if reason:
        event["event.reason"] = reason[:200].rstrip(" ;")
    for part in parts:
        name, equals, value = part.partition("=")
        if equals and name in _NAMES:
            event.setdefault(_NAMES[name], value.rstrip(" ;"))
    if command:
        event["process.command_line"] = command


PARSERS = (ProgramParser(("sudo",), parse),)
