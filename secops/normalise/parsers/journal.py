from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.decode import decode
from secops.normalise.documents import load
from secops.normalise.parser import FormatParser, UnreadableError
from secops.normalise.parsers.syslog import FACILITIES, SEVERITIES, refine
from secops.normalise.schema import MAX_KEYS, number, text
from secops.normalise.times import epoch

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

# systemd.journal-fields(7) -> ECS
_KEYWORDS: Final = {
    "_CMDLINE": "process.command_line",
    "_EXE": "process.executable",
    "_SYSTEMD_UNIT": "service.name",
    "_UID": "user.id",
}
_MICROSECONDS = 1_000_000


def parse(record: Record, line: str, desk: Desk) -> list[Event]:
    """Read an entry of ``journalctl -o json`` and let the program's parser add to it."""
    entry = load(line)
    if not isinstance(entry, dict) or len(entry) > MAX_KEYS:
        raise UnreadableError("malformed", "no journal entry")
    message = _message(entry.get("MESSAGE"))
    event = desk.event(record, line)
    event["message"] = message
    for theirs, ours in _KEYWORDS.items():
        if isinstance(value := entry.get(theirs), str) and value:
            event[ours] = text(value)
    host = entry.get("_HOSTNAME")
    if isinstance(host, str) and host:
        event["host.name"] = host
    program = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM")
    program = program if isinstance(program, str) else ""
    if program:
        event["process.name"] = program
    if (pid := number(entry.get("_PID"))) is not None:
        event["process.pid"] = pid
    if (serial := number(entry.get("_AUDIT_ID"))) is not None:
        event["event.sequence"] = serial
    _priority(event, entry)
    _when(event, entry, desk)
    return refine(event, program, message, desk)


def _message(value: object) -> str:
    """Give the text: journalctl writes bytes that are not UTF-8 as a list of numbers, and null for what is too long."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(type(item) is int and 0 <= item <= 255 for item in value):  # noqa: PLR2004 - a byte
        return decode(bytes(value))[0]
    raise UnreadableError("malformed", "MESSAGE is neither text nor bytes")


def _priority(event: Event, entry: dict[str, Any]) -> None:
    severity, facility = number(entry.get("PRIORITY")), number(entry.get("SYSLOG_FACILITY"))
    if severity is not None and 0 <= severity < len(SEVERITIES):
        event["event.severity"] = severity
        event["log.syslog.severity.name"] = SEVERITIES[severity]
    if facility is not None and 0 <= facility < len(FACILITIES):
        event["log.syslog.facility.name"] = FACILITIES[facility]


def _when(event: Event, entry: dict[str, Any], desk: Desk) -> None:
    micros = number(entry.get("_SOURCE_REALTIME_TIMESTAMP")) or number(entry.get("__REALTIME_TIMESTAMP"))
    if micros:
        desk.stamp(event, epoch(micros))


PARSERS = (FormatParser("journal", parse),)
