from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.pam import read_pam
from secops.normalise.parser import ProgramParser
from secops.normalise.schema import address, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.records import Event

# OpenSSH lets whoever connects choose the user name, spaces and all ("a from 192.0.2.1 port 1 ssh2"): what sshd itself
# writes about the peer comes after the last " from ", never before.


def parse(event: Event, message: str) -> None:
    """Read what OpenSSH's sshd says about logins and connections."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.sshd"
    reader = _READERS.get(message.partition(" ")[0])
    if reader is not None:
        reader(event, message)
    else:
        read_pam(event, message)


def _failed(event: Event, message: str) -> None:
    """``Failed METHOD for [invalid user ]NAME from ADDRESS port N ssh2``."""
    head, separator, user = message.partition(" for ")
    user, found, peer = user.rpartition(" from ")
    if not (separator and found):
        return
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start"]
    event["event.action"] = "ssh_login"
    event["event.outcome"] = "failure"
    if user[:13] == "invalid user ":
        user = user[13:]
        event["event.reason"] = "invalid user"
    event["user.name"] = user
    event["original"] = {**event.get("original", {}), "ssh.method": head[7:]}
    _peer(event, peer)


def _accepted(event: Event, message: str) -> None:
    """``Accepted METHOD for NAME from ADDRESS port N ssh2[: KEY]``; the name is an account's, the key's text is not ours."""
    head, separator, rest = message.partition(" for ")
    user, found, peer = rest.partition(" from ")
    if not (separator and found):
        return
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start"]
    event["event.action"] = "ssh_login"
    event["event.outcome"] = "success"
    event["user.name"] = user
    original = {**event.get("original", {}), "ssh.method": head[9:]}
    key = peer.partition(": ")[2]
    if key:
        original["ssh.key"] = key[:512]
    event["original"] = original
    _peer(event, peer)


def _invalid(event: Event, message: str) -> None:
    """``Invalid user NAME from ADDRESS port N``."""
    user, found, peer = message[len("Invalid user ") :].rpartition(" from ")
    if not found or message[:13] != "Invalid user ":
        return
    event["event.category"] = ["authentication"]
    event["event.type"] = ["info"]
    event["event.action"] = "ssh_invalid_user"
    event["event.outcome"] = "failure"
    event["user.name"] = user
    _peer(event, peer)


def _disconnected(event: Event, message: str) -> None:
    """``Disconnected from [user NAME|authenticating user NAME|invalid user NAME] ADDRESS port N[ [preauth]]``."""
    _ended(event, message.partition(" from ")[2], "ssh_disconnect")


def _connection(event: Event, message: str) -> None:
    """``Connection closed by ...``, ``Connection reset by ...``, ``Connection from ADDRESS port N on ADDRESS port N``."""
    if message[:16] == "Connection from ":
        event["event.category"] = ["network"]
        event["event.type"] = ["connection", "start"]
        event["event.action"] = "ssh_connect"
        _peer(event, message[16:])
    else:
        _ended(event, message.partition(" by ")[2], "ssh_disconnect")


def _ended(event: Event, who: str, action: str) -> None:
    event["event.category"] = ["network"]
    event["event.type"] = ["connection", "end"]
    event["event.action"] = action
    name, found, port = who.removesuffix(" [preauth]").rpartition(" port ")
    if not found:
        return
    name, _, peer = name.rpartition(" ")
    if name:
        event["user.name"] = name.partition("user ")[2] or name
    _peer(event, f"{peer} port {port}")


def _received(event: Event, message: str) -> None:
    """``Received disconnect from ADDRESS port N:CODE: TEXT``."""
    event["event.category"] = ["network"]
    event["event.type"] = ["connection", "end"]
    event["event.action"] = "ssh_disconnect"
    _peer(event, message.partition(" from ")[2])


def _error(event: Event, message: str) -> None:
    """``error: maximum authentication attempts exceeded for [invalid user ]NAME from ADDRESS port N ssh2 [preauth]``."""
    lead = "error: maximum authentication attempts exceeded for "
    if message.startswith(lead):
        _failed(event, "Failed maximum_attempts for " + message[len(lead) :].removesuffix(" [preauth]"))
        event["event.action"] = "ssh_maximum_attempts"  # sshd has reported each of the attempts already


def _user(event: Event, message: str) -> None:
    """``User NAME from ADDRESS not allowed because ...``."""
    head, found, reason = message.partition(" not allowed because ")
    user, separator, peer = head[len("User ") :].rpartition(" from ")
    if not (found and separator):
        return
    event["event.category"] = ["authentication"]
    event["event.type"] = ["denied"]
    event["event.action"] = "ssh_denied"  # the failed attempt is reported by a line of its own
    event["event.outcome"] = "failure"
    event["event.reason"] = reason[:200]
    event["user.name"] = user
    _peer(event, peer)


def _unwelcome(event: Event, message: str) -> None:
    """``Did not receive identification string from ...``, ``Unable to negotiate with ...``, ``banner exchange: ...``."""
    word = " with " if message[:6] == "Unable" else " from "
    event["event.category"] = ["network"]
    event["event.type"] = ["connection", "denied"]
    event["event.action"] = "ssh_probe"
    _peer(event, message.partition(word)[2])


def _peer(event: Event, text: str) -> None:
    """Note ``ADDRESS[ port N]``; sshd writes UNKNOWN or a name where it has no address."""
    words = text.split(" ", 3)
    found = address(words[0])
    if found is not None:
        event["source.ip"] = found
    elif words[0]:
        event["source.domain"] = words[0]
    if len(words) > 2 and words[1] == "port":  # noqa: PLR2004 - address, "port", number
        port = number(words[2].partition(":")[0])
        if port is not None:
            event["source.port"] = port


_READERS: Final[dict[str, Callable[[Event, str], None]]] = {
    "Failed": _failed,
    "Accepted": _accepted,
    "Invalid": _invalid,
    "Disconnected": _disconnected,
    "Connection": _connection,
    "Received": _received,
    "error:": _error,
    "User": _user,
    "Did": _unwelcome,
    "Unable": _unwelcome,
    "banner": _unwelcome,
}
PARSERS = (ProgramParser(("sshd", "sshd-session", "sshd-auth", "dropbear"), parse),)
