from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.schema import address, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.records import Event

# event.action -> (event.category, event.type, event.outcome): what database servers report, in one vocabulary.
ACTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "db_login": ("authentication", "start", "success"),
    "db_login_failed": ("authentication", "start", "failure"),
    "db_account_locked": ("authentication", "info", "failure"),
    "db_connect": ("network", "connection", "unknown"),
    "db_logout": ("session", "end", "success"),
    "db_denied": ("database", "denied", "failure"),
    "db_error": ("database", "error", "failure"),
    "db_starting": ("process", "start", "unknown"),
    "db_started": ("process", "start", "success"),
    "db_stopping": ("process", "end", "unknown"),
    "db_stopped": ("process", "end", "success"),
    "db_crashed": ("process", "end", "failure"),
    "db_configuration_changed": ("configuration", "change", "success"),
    "db_audit_changed": ("configuration", "change", "success"),
    "db_replication_broken": ("database", "error", "failure"),
    "db_deadlock": ("database", "error", "failure"),
    "db_connections_exhausted": ("database", "error", "failure"),
    "db_disk_full": ("database", "error", "failure"),
    "db_corrupted": ("database", "error", "failure"),
}


def note_action(event: Event, action: str) -> None:
    """Set ``event.action`` and what follows from it; a login that failed has the action of one that did not."""
    category, kind, outcome = ACTIONS[action]
    event["event.action"] = action.removesuffix("_failed")
    event["event.category"], event["event.type"], event["event.outcome"] = [category], [kind], outcome


def note_peer(event: Event, peer: str, port: str = "") -> None:
    """Note who is at the other end: an address, with ``port`` or ``(port)`` or ``:port`` behind it, else a name."""
    host = peer.strip()
    if host in {"", "-", "[local]", "?"}:
        return
    found = address(host)
    if found is None and host[-1:] == ")":
        host, _, port = host[:-1].rpartition("(")
        found = address(host)
    elif found is None and host.count(":") == 1:
        host, _, port = host.partition(":")
        found = address(host)
    if found is not None:
        event["source.ip"] = found
    else:
        event["source.domain"] = host[:255]
    if port and (known := number(port)) is not None:
        event["source.port"] = known


def quoted_after(text: str, words: str, quote: str = '"') -> str:
    """Give what stands in quotes right after ``words`` in ``text``, at most 256 characters; "" when nothing does."""
    _, found, rest = text.partition(words + quote)
    return rest.partition(quote)[0][:256] if found else ""
