"""The log of PostgreSQL and of servers that descend from it, KingbaseES among them: its lines and what they mean.

Message texts are those of the server's sources (src/backend), the prefix that of ``log_line_prefix``, the columns those
of ``csvlog`` and the keys those of ``jsonlog`` in PostgreSQL's manual, chapter "Error Reporting and Logging".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise.database import note_action, note_peer, quoted_after
from secops.normalise.schema import number
from secops.normalise.sql import note_statement, one_line
from secops.normalise.times import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.normalise.parser import Desk
    from secops.records import Event

_HEADER: Final = 600  # characters within which the prefix ends
_LOOKED_AT: Final = 1000  # characters of a message in which its kind stands
SEVERITIES: Final[Mapping[str, str]] = {
    **{word: word for word in ["LOG", "FATAL", "ERROR", "WARNING", "PANIC", "NOTICE", "INFO", "STATEMENT", "DETAIL", "HINT", "CONTEXT", "QUERY"]},
    "日志": "LOG", "致命错误": "FATAL", "错误": "ERROR", "警告": "WARNING", "恐慌": "PANIC", "注意": "NOTICE", "信息": "INFO",
    "语句": "STATEMENT", "详细信息": "DETAIL", "提示": "HINT", "上下文": "CONTEXT", "背景": "CONTEXT", "查询": "QUERY",
}  # fmt: skip
_GRAVE: Final = frozenset({"FATAL", "ERROR", "PANIC", "WARNING"})
_LEVELS: Final = {"LOG": "info", "INFO": "info", "NOTICE": "notice", "WARNING": "warning", "ERROR": "error", "FATAL": "critical", "PANIC": "alert"}  # fmt: skip

# What stands in a grave message -> event.action; the first that is found counts.
_FAULTS: Final = (
    ("authentication failed for user", "db_login_failed"), ("no pg_hba.conf entry for", "db_login_failed"),
    ("no sys_hba.conf entry for", "db_login_failed"), ("pg_hba.conf rejects connection", "db_login_failed"),
    ("sys_hba.conf rejects connection", "db_login_failed"), ("认证失败", "db_login_failed"),
    ("is locked", "db_account_locked"), ("permission denied", "db_denied"), ("must be superuser", "db_denied"),
    ("must be owner of", "db_denied"), ("权限不够", "db_denied"), ("deadlock detected", "db_deadlock"),
    ("检测到死锁", "db_deadlock"), ("too many clients already", "db_connections_exhausted"),
    ("remaining connection slots are reserved", "db_connections_exhausted"),
    ("too many connections for", "db_connections_exhausted"), ("No space left on device", "db_disk_full"),
    ("设备上没有空间", "db_disk_full"), ("could not extend file", "db_disk_full"), ("invalid page in block", "db_corrupted"),
    ("page verification failed", "db_corrupted"), ("could not read block", "db_corrupted"),
    ("missing chunk number", "db_corrupted"), ("could not locate a valid checkpoint", "db_corrupted"),
    ("has already been removed", "db_replication_broken"), ("could not receive data from WAL", "db_replication_broken"),
    ("could not connect to the primary", "db_replication_broken"),
    ("terminating walsender", "db_replication_broken"), ("terminating walreceiver", "db_replication_broken"),
)  # fmt: skip
# How an unhurried message begins -> event.action.
_NOTES: Final = (
    ("connection received:", "db_connect"), ("connection authorized:", "db_login"), ("disconnection:", "db_logout"),
    ("database system is ready to accept", "db_started"), ("database system is shut down", "db_stopped"),
    ("starting ", "db_starting"), ("shutting down", "db_stopping"), ("received fast shutdown", "db_stopping"),
    ("received smart shutdown", "db_stopping"), ("received immediate shutdown", "db_stopping"),
    ("server process (PID", "db_crashed"), ("database system was interrupted", "db_crashed"),
    ("received SIGHUP", "db_configuration_changed"), ("parameter ", "db_configuration_changed"),
    ("terminating walsender", "db_replication_broken"),
)  # fmt: skip
_STATEMENTS: Final = ("statement: ", "execute ", "duration: ")


def read_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of the log file; say whether it was one. ``event.dataset`` is the caller's."""
    stamp, rest = line[:23].rstrip(" "), line[19:]
    if line[10:11] != " " or line[4:5] != "-" or line[13:14] != ":":
        return False
    if rest[:1] == ".":
        rest = rest[4:]
    else:
        stamp = line[:19]
    zone, space, rest = rest[1:].partition(" ") if rest[:1] == " " else ("", "", "")
    if not space or len(zone) > 8:  # noqa: PLR2004 - an abbreviation or an offset
        return False
    severity, prefix, message = split_severity(rest)
    if not severity:
        return False
    desk.stamp(event, iso(stamp + ("Z" if zone in {"UTC", "GMT"} else ""), desk.zone))
    fields = read_prefix(event, prefix)
    event["original"] = fields
    read_message(event, fields, severity, message)
    return True


def split_severity(text: str) -> tuple[str, str, str]:
    """Split ``PREFIX SEVERITY:  MESSAGE``; three times "" when there is no severity."""
    end = text.find(":  ", 0, _HEADER)
    if end < 0:
        return "", "", ""
    prefix, _, word = text[:end].rpartition(" ")
    severity = SEVERITIES.get(word)
    return (severity, prefix, text[end + 3 :]) if severity else ("", "", "")


def read_prefix(event: Event, prefix: str) -> dict[str, str]:
    """Take what the prefix tells: ``[pid]``, ``user=… db=… app=… client=…`` in either separator, or ``user@database``."""
    pid, pairs = _prefix(prefix)
    fields = dict(pairs)
    if pid is not None and "process.pid" not in event:
        event["process.pid"] = pid
    _note_session(event, fields)
    return fields


@lru_cache(maxsize=4096)
def _prefix(prefix: str) -> tuple[int | None, tuple[tuple[str, str], ...]]:
    """Give the process and the named parts of a prefix, which a session repeats on every line."""
    fields: dict[str, str] = {}
    pid: int | None = None
    for word in prefix.replace(",", " ").split():
        name, equals, value = word.partition("=")
        if equals:
            fields[_PREFIX_NAMES.get(name, name)] = value
        elif word[:1] == "[" and pid is None:
            pid = number(word.strip("[]:").partition("-")[0])
        elif "@" in word:
            fields["db.user"], _, fields["db.name"] = word.partition("@")
    return pid, tuple(fields.items())


_PREFIX_NAMES: Final = {"user": "db.user", "db": "db.name", "database": "db.name", "app": "db.application", "client": "client", "host": "client"}  # fmt: skip


def _note_session(event: Event, fields: Mapping[str, str]) -> None:
    user = fields.get("db.user", "")
    if user and user != "[unknown]":
        event["user.name"] = user
    if client := fields.get("client", ""):
        note_peer(event, client, fields.get("client_port", ""))


def read_message(event: Event, fields: dict[str, str], severity: str, message: str) -> None:
    """Say what a message means, in ECS and in ``fields`` (``db.severity``, ``db.statement``, ``db.operation``, …)."""
    event["message"] = message
    fields["db.severity"] = severity
    if severity in _LEVELS:
        event["log.level"] = _LEVELS[severity]
    if severity == "STATEMENT":
        note_statement(event, fields, message)
        event["event.outcome"] = "failure"  # the server repeats the statement of an error
        return
    head = message[:_LOOKED_AT]
    if severity in _GRAVE:
        _fault(event, fields, head)
    elif head.startswith("AUDIT: "):
        _pgaudit(event, fields, message)
    elif head.startswith(_STATEMENTS):
        _statement(event, fields, message)
    else:
        for beginning, action in _NOTES:
            if head.startswith(beginning):
                note_action(event, action)
                _details(event, fields, head)
                return


def _fault(event: Event, fields: dict[str, str], head: str) -> None:
    action = next((action for words, action in _FAULTS if words in head), "")
    if not action and fields["db.severity"] == "FATAL" and head.startswith(("role ", "角色", "用户")):
        action = "db_login_failed"  # role "x" does not exist
    note_action(event, action or "db_error")
    if action == "db_login_failed":
        user = quoted_after(head, "user ") or quoted_after(head, "role ") or quoted_after(head, "用户 ")
        if user:
            event["user.name"] = user
        if host := quoted_after(head, "host "):
            note_peer(event, host)
    elif action == "db_denied":
        fields["db.object"] = head.rpartition(" ")[2][:256]


def _details(event: Event, fields: dict[str, str], head: str) -> None:
    """Take ``user=… database=… host=… port=…`` from the lines about connections."""
    if head.startswith("parameter "):
        fields["db.parameter"] = quoted_after(head, "parameter ")
        return
    for word in head.split():
        name, equals, value = word.partition("=")
        if not equals:
            continue
        if name == "user":
            event["user.name"] = fields["db.user"] = value
        elif name == "database":
            fields["db.name"] = value
        elif name == "application_name":
            fields["db.application"] = value
        elif name == "host":
            note_peer(event, value)
        elif name == "port" and (port := number(value)) is not None:
            event["source.port"] = port


def _statement(event: Event, fields: dict[str, str], message: str) -> None:
    """``statement: SQL``, ``execute NAME: SQL``, ``duration: 1.2 ms  statement: SQL``; a duration alone says nothing."""
    if message.startswith("duration: "):
        message = message.partition(" ms  ")[2]
    _, found, statement = message.partition(": ")
    if found:
        note_statement(event, fields, statement)
        event["event.outcome"] = "unknown"  # logged before it runs


def _pgaudit(event: Event, fields: dict[str, str], message: str) -> None:
    """pgaudit: ``AUDIT: SESSION,1,1,ROLE,GRANT ROLE,,,"statement",<not logged>``."""
    parts = message[len("AUDIT: ") :].split(",", 7)
    if len(parts) < 8:  # noqa: PLR2004 - columns before the statement
        return
    fields["db.class"], fields["db.command"], fields["db.object"] = parts[3], parts[4], parts[6]
    statement, _, _ = parts[7].rpartition(",")
    note_statement(event, fields, (statement or parts[7]).strip('"').replace('""', '"'))
    event["event.outcome"] = "success"


def read_columns(event: Event, fields: dict[str, str], desk: Desk, stamp: str) -> None:
    """Read what ``csvlog`` and ``jsonlog`` give in columns: ``fields`` with the names that this module uses."""
    moment, _, zone = stamp.partition(" ")[2].rpartition(" ")
    text = f"{stamp[:10]} {moment or zone}"
    desk.stamp(event, iso(text + ("Z" if zone in {"UTC", "GMT"} else ""), desk.zone))
    if (pid := number(fields.pop("pid", ""))) is not None:
        event["process.pid"] = pid
    code = fields.get("db.sqlstate", "")
    if code and code != "00000":
        event["error.code"] = code
    _note_session(event, fields)
    event["original"] = fields
    severity = SEVERITIES.get(fields.get("db.severity", ""), "LOG")
    read_message(event, fields, severity, fields.pop("message", ""))
    if (query := fields.pop("query", "")) and "db.statement" not in fields:
        fields["db.statement"] = one_line(query)
