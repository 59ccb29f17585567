"""A line that an agent has put into a document of its own: read as the line itself would have been."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitors.record import Record
from secops.normalise.parser import peer_host
from secops.normalise.parsers import line as lines
from secops.normalise.parsers import syslog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.normalise.parser import Desk
    from secops.records import Event

_DOCUMENTS: Final = frozenset(
    {
        "agent.type",
        "event.ingested",
        "event.kind",
        "event.original",
        "log.source.address",
        "organization.id",
    }
)
"""What the document says for both."""
_UNKNOWN: Final = "syslog.generic"
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)  # the desk knows when the document came


def line(event: Event, text: str, program: str, desk: Desk) -> Event:
    """Read ``text``, which ``program`` ("" when unknown) wrote, as its own parser does; gives an event of its own.

    ``event`` says whose it is and who sent it, and is not changed.
    """
    record = Record(b"", _NO_TIME, event["agent.type"], event["log.source.address"], event["organization.id"], "line")
    if not program:
        return lines.parse(record, text, desk)[0]
    text = text.removeprefix(" ")  # what followed the colon of a tag
    found = desk.event(record, text)
    found["process.name"] = program
    return syslog.refine(found, program, text, desk)[0]


def join(event: Event, inner: Event, desk: Desk) -> None:
    """Let what the line says stand over what the document says of it, if anybody could read the line.

    The document's host stays unless the line names one; its time stays unless the line has one.
    """
    dataset = inner["event.dataset"]
    if dataset == _UNKNOWN and "process.name" not in inner and "log.syslog.priority" not in inner:
        return
    passed_over = set(_DOCUMENTS)
    if inner["host.name"] == peer_host(event["log.source.address"]):
        passed_over.add("host.name")
    if inner["@timestamp"] == desk.ingested:
        passed_over.add("@timestamp")
    if dataset == _UNKNOWN:
        passed_over |= {"event.dataset", "event.module"}
    for field, value in inner.items():
        if field not in passed_over:
            event[field] = _both(event.get(field), value)


def _both(old: object, new: object) -> Any:  # noqa: ANN401 - an event's value can be anything
    """Of labels and originals those of both; else what the line says."""
    return {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new


def first_text(flat: Mapping[str, Any], *names: str) -> str:
    """The first of the fields ``names`` that holds a text."""
    return next((value for name in names if isinstance(value := flat.get(name), str) and value), "")


def host_of(event: Event, flat: Mapping[str, Any]) -> None:
    """Set the host of an event that has only its sender's address, where an agent names one."""
    named = first_text(flat, "kubernetes.host", "kubernetes.node.name", "k8s.node.name", "_HOSTNAME", "fromhost")
    if named and event["host.name"] == peer_host(event["log.source.address"]):
        event["host.name"] = named[:256]


def program_of(flat: Mapping[str, Any]) -> str:
    """The program that wrote the line, as agents name it: ``sshd``, or a tag ``sshd[7]:``; "" when none does."""
    name = first_text(
        flat,
        "process.name",
        "log.syslog.appname",
        "syslog.identifier",
        "SYSLOG_IDENTIFIER",
        "appname",
        "ident",
        "program",
        "programname",
        "syslogtag",
    )
    return name.partition("[")[0].rstrip(":")[:128]
