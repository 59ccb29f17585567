from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.database import note_action, note_peer
from secops.normalise.documents import flatten
from secops.normalise.parser import DocumentParser, LineParser, ProgramParser
from secops.normalise.schema import date, number, text
from secops.normalise.sql import note_statement
from secops.normalise.times import iso

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_LEVELS: Final = {"Note": "info", "System": "notice", "Warning": "warning", "ERROR": "error", "Error": "error"}
_LOOKED_AT: Final = 1000
_WORDS: Final = 4  # in brackets before the text; there are three
# What stands in a message of the error log -> event.action (MySQL's share/messages_to_error_log.txt and older texts).
_MEANINGS: Final = (
    ("Access denied for user", "db_login_failed"), ("is blocked because of many connection errors", "db_account_locked"),
    ("ready for connections", "db_started"), ("Starting MySQL", "db_starting"), ("starting as process", "db_starting"),
    ("Received SHUTDOWN", "db_stopping"), ("Normal shutdown", "db_stopping"), ("Shutdown complete", "db_stopped"),
    ("got signal", "db_crashed"), ("Assertion failure", "db_crashed"), ("Too many connections", "db_connections_exhausted"),
    ("Deadlock found", "db_deadlock"), ("deadlock detected", "db_deadlock"), ("Disk is full", "db_disk_full"),
    ("No space left on device", "db_disk_full"), ("errno: 28", "db_disk_full"), ("is marked as crashed", "db_corrupted"),
    ("page corruption", "db_corrupted"), ("is corrupted", "db_corrupted"), ("Slave I/O", "db_replication_broken"),
    ("Slave SQL", "db_replication_broken"), ("Replica I/O", "db_replication_broken"),
    ("Replica SQL", "db_replication_broken"), ("replication stopped", "db_replication_broken"),
    ("Error reading packet from server", "db_replication_broken"),
)  # fmt: skip
_CLASSES: Final = frozenset({"audit", "connection", "general", "table_access", "query", "command", "authentication"})
# Commands of the general log that carry a statement.
_QUERIES: Final = frozenset({"Query", "Execute", "Prepare", "Init DB"})
_NO_PRIVILEGE: Final = frozenset({"1142", "1143", "1227", "1370", "1290"})


def parse(event: Event, message: str) -> None:
    """Read a line of the error log, or of an audit plugin, that came by syslog."""
    _dataset(event, "error")
    if not _plugin(event, message):
        start = message.find("[", 0, 64) if message[:2] == "20" else 0  # after its own time and thread
        _error(event, {}, message[max(start, 0) :])


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of the error log, of the general log or of the ``server_audit`` plugin."""
    if line[:2] != "20":
        return False
    if line[8:9] == " " and line[:8].isdigit() and _plugin(event, line[18:]):  # 20261124 16:00:00,
        desk.stamp(event, iso(f"{line[:4]}-{line[4:6]}-{line[6:8]} {line[9:17]}", desk.zone))
        return True
    return line[10:11] in {"T", " "} and line[13:14] == ":" and _server(event, line, desk)


def _server(event: Event, line: str, desk: Desk) -> bool:
    """``TIME THREAD [LEVEL] …`` of the error log, ``TIME THREAD COMMAND …``, set off by tabs, of the general log."""
    end = line.find("\t" if "\t" in line[19:34] else " ", 19)
    thread, _, rest = line[end + 1 : 20_000 + end].lstrip().partition(" ")
    if end < 0 or not thread.isdigit():
        return False
    if rest[:1] != "[":
        return _general(event, line, end, desk)
    level, closed, _ = rest[1:].partition("]")
    if not closed or level not in _LEVELS:
        return False
    _dataset(event, "error")
    desk.stamp(event, iso(line[:end], desk.zone))
    _error(event, {"thread": thread}, line[line.find("[", end) :])
    return True


def _dataset(event: Event, name: str) -> None:
    event["event.module"] = "mysql"
    event["event.dataset"] = f"mysql.{name}"


def _error(event: Event, fields: dict[str, str], message: str) -> None:
    """``[LEVEL] [MY-000000] [SUBSYSTEM] TEXT`` of 8.0, ``[LEVEL] TEXT`` before."""
    for _ in range(_WORDS):
        if message[:1] != "[":
            break
        word, closed, rest = message[1:].partition("] ")
        if not closed or len(word) > 32:  # noqa: PLR2004 - the longest subsystem is Repl
            break
        if word in _LEVELS:
            event["log.level"] = _LEVELS[word]
        elif word[:3] == "MY-":
            event["error.code"] = word
        else:
            fields["subsystem"] = word
        message = rest
    event["message"] = message
    event["original"] = fields
    head = message[:_LOOKED_AT]
    action = next((action for words, action in _MEANINGS if words in head), "")
    if action:
        note_action(event, action)
    if action == "db_login_failed":
        _account(event, fields, head)


def _account(event: Event, fields: dict[str, str], head: str) -> None:
    """``… user 'NAME'@'HOST' (using password: YES)``, perhaps ``to database 'D'``."""
    user, _, rest = head.partition(" user '")[2].partition("'@'")
    event["user.name"] = fields["db.user"] = user[:256]
    note_peer(event, rest.partition("'")[0])
    if (name := rest.partition("to database '")[2].partition("'")[0]) != "":
        fields["db.name"] = name[:256]


def _general(event: Event, line: str, end: int, desk: Desk) -> bool:
    """General log: time, thread and command, a tab, the command's argument."""
    thread, _, rest = line[end:].lstrip().partition(" ")
    command, tab, argument = rest.partition("\t")
    if not tab or not thread.isdigit() or len(command) > 24:  # noqa: PLR2004 - the longest is "Register Replica" or so
        return False
    _dataset(event, "general")
    desk.stamp(event, iso(line[:end], desk.zone))
    event["message"] = argument
    fields = {"thread": thread, "command": command}
    event["original"] = fields
    if command == "Connect":
        _connect(event, fields, argument)
    elif command == "Quit":
        note_action(event, "db_logout")
    elif command in _QUERIES:
        note_statement(event, fields, argument)
        event["event.outcome"] = "unknown"
    return True


def _connect(event: Event, fields: dict[str, str], argument: str) -> None:
    """``USER@HOST on DATABASE using SSL/TLS``, or the error."""
    if argument.startswith("Access denied for user"):
        note_action(event, "db_login_failed")
        _account(event, fields, argument[:_LOOKED_AT])
        return
    note_action(event, "db_login")
    account, _, rest = argument.partition(" on ")
    user, _, host = account.rpartition("@")
    event["user.name"] = fields["db.user"] = user
    note_peer(event, host.strip())
    fields["db.name"] = rest.partition(" using ")[0].strip()


def _plugin(event: Event, text_: str) -> bool:
    """server_audit: ``SERVER,USER,HOST,CONNECTION,QUERY,OPERATION,DATABASE,'SQL',STATUS``, after the time in a file."""
    parts = text_.lstrip(",").split(",", 7)
    if len(parts) != 8 or not parts[3].isdigit() or not parts[5].isupper():  # noqa: PLR2004 - columns
        return False
    _dataset(event, "audit")
    statement, _, status = parts[7].rpartition(",")
    fields = {"db.user": parts[1], "connection_id": parts[3], "operation": parts[5], "db.name": parts[6]}
    event["original"] = fields
    statement = statement.removeprefix("'").removesuffix("'").replace("\\'", "'")
    _act(event, fields, parts[5].lower(), statement, status)
    event["user.name"] = parts[1]
    note_peer(event, parts[2])
    return True


def _act(event: Event, fields: dict[str, Any], operation: str, statement: str, status: str) -> None:
    """Say what an audited operation was; ``status`` is MySQL's error number, 0 for none."""
    failed = status not in {"", "0"}
    if failed:
        event["error.code"] = status
    if operation in {"connect", "failed_connect"}:
        note_action(event, "db_login_failed" if failed or operation != "connect" else "db_login")
    elif operation in {"disconnect", "quit"}:
        note_action(event, "db_logout")
    elif statement:
        note_statement(event, fields, statement)
        event["event.outcome"] = "failure" if failed else "success"
        event["message"] = statement[:8192]
        if status in _NO_PRIVILEGE:
            event["event.type"] = ["denied"]


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a record of MySQL Enterprise's or Percona's audit log in JSON."""
    record = document.get("audit_record")
    kind = document.get("class")
    return isinstance(record, dict) or (isinstance(kind, str) and kind in _CLASSES and "timestamp" in document)


def parse_document(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read a record of an audit log in JSON: Percona's flat ``audit_record``, or ``class``, ``event``, ``login``."""
    record = document.get("audit_record")
    flat = flatten(record if isinstance(record, dict) else document)
    _dataset(event, "audit")
    event["original"] = flat
    stamp = (text(flat.get("timestamp")) or "").removesuffix(" UTC").removesuffix("Z")
    desk.stamp(event, date(f"{stamp}Z", desk.zone))  # both write UTC, with and without saying so
    operation = (text(flat.get("event")) or text(flat.get("name")) or "").lower()
    kind = "connection_data" if "connection_data.status" in flat else "general_data"
    status = text(flat.get(f"{kind}.status", flat.get("status"))) or ""
    statement = text(flat.get("general_data.query", flat.get("query_data.query", flat.get("sqltext")))) or ""
    _act(event, flat, operation, statement, status)
    for names, ours in (
        (("login.user", "account.user", "user"), "user.name"),
        (("connection_data.db", "db", "table_access_data.db"), "db.name"),
    ):
        value = next((found for name in names if (found := text(flat.get(name)))), "")
        if value and ours == "user.name":
            event[ours] = value.partition("[")[0]
        elif value:
            flat[ours] = value
    peer = text(flat.get("login.ip")) or text(flat.get("ip")) or text(flat.get("host")) or ""
    note_peer(event, peer)
    if (known := number(flat.get("connection_id"))) is not None:
        flat["connection_id"] = str(known)


PARSERS = (
    ProgramParser(("mysqld", "mariadbd", "mysql-server_auditing", "mysql_audit"), parse),
    LineParser(4, parse_line),
    DocumentParser(30, claims, parse_document),
)
