from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.pam import read_pam
from secops.normalise.parser import ProgramParser

if TYPE_CHECKING:
    from secops.records import Event

# What cron and crontab did -> (event.action, event.category, event.type)
_ACTS: Final = {
    "CMD": ("cron_command", "process", "start"),
    "CMDEND": ("cron_command", "process", "end"),
    "RELOAD": ("crontab_reload", "configuration", "change"),
    "REPLACE": ("crontab_replace", "configuration", "change"),
    "DELETE": ("crontab_delete", "configuration", "deletion"),
    "BEGIN EDIT": ("crontab_edit", "configuration", "access"),
    "END EDIT": ("crontab_edit", "configuration", "access"),
    "LIST": ("crontab_list", "configuration", "access"),
}


def parse(event: Event, message: str) -> None:
    """Read ``(USER) ACT (DETAIL)`` of cron, crond and crontab."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.cron"
    if read_pam(event, message):
        return
    user, closed, rest = message[1:].partition(") ")
    act, opened, detail = rest.partition(" (")
    if message[:1] != "(" or not (closed and opened) or act not in _ACTS:
        return
    action, category, kind = _ACTS[act]
    event["event.category"] = [category]
    event["event.type"] = [kind]
    event["event.action"] = action
    event["event.outcome"] = "success"
    event["user.name"] = user
    detail = detail.removesuffix(")")
    if category == "process":
        event["process.command_line"] = detail
    elif "/" not in detail and detail != user:
        event["user.target.name"] = detail


PARSERS = (ProgramParser(("cron", "crond", "crontab", "anacron", "/usr/sbin/cron"), parse),)
