from __future__ import annotations

import re
from typing import TYPE_CHECKING

from secops.normalise.schema import address

if TYPE_CHECKING:
    from secops.records import Event

_SESSION = re.compile(
    r"session (opened|closed) for user ([^\s(]{1,256})(?:\(uid=\d{1,10}\))?(?: by ([^\s(]{0,256})\(uid=\d{1,10}\))?"
)
_LIMIT = 1024  # PAM's lines are short; what follows is not looked at


def read_pam(event: Event, message: str) -> bool:
    """Read the lines of Linux-PAM's ``pam_unix`` and ``pam_faillock``; say whether it was one of them."""
    if message[:4] != "pam_" and message[:4] != "PAM ":
        return False
    text = message[:_LIMIT].partition(": ")[2] if message[:4] == "pam_" else message[4:_LIMIT]
    session = _SESSION.match(text)
    if session is not None:
        _session(event, session)
    elif "authentication failure" in text:
        _failure(event, text)
    return True


def _session(event: Event, found: re.Match[str]) -> None:
    opened, user, by = found[1] == "opened", found[2], found[3]
    event["event.category"] = ["session"]
    event["event.type"] = ["start" if opened else "end"]
    event["event.action"] = "session_opened" if opened else "session_closed"
    event["event.outcome"] = "success"
    event["user.name"] = user
    if by and by != user:
        event["user.name"], event["user.target.name"] = by, user


def _failure(event: Event, text: str) -> None:
    values = dict(word.split("=", 1) for word in text.partition(";")[2].split() if "=" in word)
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start"]
    event["event.action"] = "pam_authentication"
    event["event.outcome"] = "failure"
    user, actor = values.get("user", ""), values.get("ruser", "")
    if user:
        event["user.name"] = user
    if actor and user and actor != user:
        event["user.name"], event["user.target.name"] = actor, user
    remote = values.get("rhost", "")
    if found := address(remote):
        event["source.ip"] = found
    elif remote:
        event["source.domain"] = remote
