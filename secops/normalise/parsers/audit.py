from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.documents import flatten, load
from secops.normalise.parser import FormatParser, UnreadableError
from secops.normalise.schema import address, text
from secops.normalise.times import iso

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

# Nouns of an action (noun.verb) -> event.category; ECS knows "iam" for people and rights.
_CATEGORIES: Final = {
    "login": "authentication",
    "session": "session",
    "account": "iam",
    "person": "iam",
    "people": "iam",
    "role": "iam",
    "organization": "iam",
}


def parse(record: Record, line: str, desk: Desk) -> list[Event]:
    """Read a row of the service's own audit trail (``secops.audit.AuditRow``)."""
    row = load(line)
    if not isinstance(row, dict) or not isinstance(action := row.get("action"), str):
        raise UnreadableError("malformed", "no audit row")
    event = desk.event(record, line)
    event["event.module"] = "secops"
    event["event.dataset"] = "secops.audit"
    event["event.action"] = action
    event["event.category"] = [_CATEGORIES.get(action.partition(".")[0], "configuration")]
    event["event.type"] = ["start"] if event["event.category"] == ["authentication"] else ["change"]
    event["event.outcome"] = outcome if (outcome := row.get("outcome")) in ("success", "failure") else "unknown"
    event["host.name"] = event["host.name"] or "secops"
    event["original"] = flatten(row)
    for theirs, ours in (("actor", "user.name"), ("target", "user.target.name"), ("reason", "event.reason")):
        if isinstance(value := row.get(theirs), str) and value:
            event[ours] = text(value)
    if isinstance(source := row.get("source_ip"), str) and (ip := address(source)):
        event["source.ip"] = ip
    if isinstance(tenant := row.get("tenant"), str) and tenant:
        event["organization.id"] = tenant  # the row is our own: it names the tenant it is about
    event["message"] = " ".join(
        str(row[key]) for key in ("actor", "action", "target", "outcome", "reason") if row.get(key)
    )
    if isinstance(at := row.get("at"), str):
        desk.stamp(event, iso(at, desk.zone))
    return [event]


PARSERS = (FormatParser("audit", parse),)
