from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from secops.normalise.parser import DocumentParser, LineParser, ProgramParser
from secops.normalise.postgres_log import SEVERITIES, read_columns, read_line, read_message, read_prefix, split_severity
from secops.normalise.schema import MAX_KEYS, text

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

# Columns of csvlog that we keep, by position: PostgreSQL's manual, table of csvlog's columns.
_COLUMNS: Final = {
    1: "db.user", 2: "db.name", 3: "pid", 4: "client", 5: "db.session", 7: "db.command_tag", 11: "db.severity",
    12: "db.sqlstate", 13: "message", 14: "db.detail", 15: "db.hint", 19: "query", 22: "db.application",
}  # fmt: skip
_FEWEST: Final = 23
_KEYS: Final = {
    "user": "db.user", "dbname": "db.name", "pid": "pid", "remote_host": "client", "remote_port": "client_port",
    "session_id": "db.session", "ps": "db.command_tag", "error_severity": "db.severity", "state_code": "db.sqlstate",
    "message": "message", "detail": "db.detail", "hint": "db.hint", "statement": "query",
    "application_name": "db.application",
}  # fmt: skip


def dataset(event: Event, product: str = "postgresql") -> None:
    """Say whose log it is."""
    event["event.module"] = product
    event["event.dataset"] = f"{product}.log"


def parse(event: Event, message: str) -> None:
    """Read what came by syslog: ``[5-1] PREFIX SEVERITY:  MESSAGE``."""
    dataset(event)
    read_syslog(event, message)


def read_syslog(event: Event, message: str) -> None:
    """Read ``[LINE-PART] PREFIX SEVERITY:  MESSAGE``, the prefix with or without a time."""
    severity, prefix, rest = split_severity(message)
    if severity:
        head, _, after = prefix.partition(" ")
        fields = read_prefix(event, after if head[:1] == "[" and "-" in head else prefix)
        event["original"] = fields
        read_message(event, fields, severity, rest)


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of the log file, plain or comma-separated."""
    if line[:2] != "20" or line[10:11] != " ":
        return False
    comma = line.find(",", 19, 40)
    if comma > 0 and "," in line[comma + 1 :]:
        return _csv(event, line, desk)
    if not read_line(event, line, desk):
        return False
    dataset(event, product_of(event))
    return True


def product_of(event: Event) -> str:
    """Tell KingbaseES, whose lines look the same, by the path of its log: ``…/kingbase/…/sys_log/…``."""
    path = event["log.source.address"].lower()
    return "kingbase" if "kingbase" in path or "/sys_log/" in path else "postgresql"


def _csv(event: Event, line: str, desk: Desk) -> bool:
    try:
        columns = next(csv.reader((line,), strict=True))
    except csv.Error:
        return False
    if not _FEWEST <= len(columns) <= MAX_KEYS or columns[11] not in SEVERITIES:
        return False
    dataset(event, product_of(event))
    fields = {name: value for position, name in _COLUMNS.items() if (value := columns[position])}
    read_columns(event, fields, desk, columns[0])
    return True


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a line of ``jsonlog``."""
    return "error_severity" in document and "backend_type" in document


def parse_document(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read a line of ``jsonlog``."""
    dataset(event, product_of(event))
    fields = {ours: word for theirs, ours in _KEYS.items() if (word := text(document.get(theirs)))}
    read_columns(event, fields, desk, text(document.get("timestamp")) or "")


PARSERS = (
    ProgramParser(("postgres", "postgresql"), parse),
    LineParser(3, parse_line),
    DocumentParser(40, claims, parse_document),
)
