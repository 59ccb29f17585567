"""DM8 (达梦): the instance log ``dm_<instance>_<yyyymm>.log``, the SQL log ``dmsql_….log``, rows of ``V$AUDITRECORDS``.

From the public manuals (DM8 系统管理员手册, DM8 安全管理): DM keeps its audit trail in binary files, which are read through
that view or with ``dmaudtool``; a collector sends the rows as JSON.
"""

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

_LEVELS: Final = {"INFO": "info", "WARNING": "warning", "WARN": "warning", "ERROR": "error", "FATAL": "critical"}
_LOOKED_AT: Final = 1000
# What stands in the instance log -> event.action.
_MEANINGS: Final = (
    ("SYSTEM IS READY", "db_started"), ("dmserver startup", "db_starting"), ("version info:", "db_starting"),
    ("SYSTEM SHUTDOWN SUCCESS", "db_stopped"), ("shutdown", "db_stopping"), ("dm_sys_halt", "db_crashed"),
    ("No space left on device", "db_disk_full"), ("disk full", "db_disk_full"), ("磁盘空间不足", "db_disk_full"),
    ("deadlock", "db_deadlock"), ("max session", "db_connections_exhausted"), ("会话数超过", "db_connections_exhausted"),
    ("checksum", "db_corrupted"), ("corrupt", "db_corrupted"), ("page check", "db_corrupted"),
    ("archive send failed", "db_replication_broken"), ("arch status to INVALID", "db_replication_broken"),
    ("MAL link", "db_replication_broken"), ("login failed", "db_login_failed"), ("audit", "db_audit_changed"),
)  # fmt: skip
_KINDS: Final = frozenset({"[SEL]", "[INS]", "[UPD]", "[DEL]", "[DDL]", "[ORA]", "[CALL]", "[GRANT]", "[LOGIN]", "[LOGOUT]", "[ERROR]"})  # fmt: skip
_SESSION: Final = {"user": "db.user", "appname": "db.application", "trxid": "trxid", "sess": "sess", "ip": "ip"}
_LOGINS: Final = frozenset({"LOGIN", "USER LOGIN"})


def parse(event: Event, message: str) -> None:
    """Read a line of the instance log that came by syslog, with or without its own time."""
    _dataset(event, "log")
    start = message.find("[", 0, 40)
    if start >= 0:
        _instance(event, message[start:])


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read ``TIME [LEVEL] database P… T…  MESSAGE`` or ``TIME (EP[0] sess:… user:… …) [KIND] SQL``."""
    if line[:2] != "20" or line[10:11] != " " or line[13:14] != ":":
        return False
    stamp = line[:19] + (line[19:23] if line[19:20] == "." else "")
    rest = line[len(stamp) :].lstrip(" ")
    if rest[:4] == "(EP[":
        _dataset(event, "sql")
        _sql(event, rest)
    elif rest[:1] == "[" and rest[1:10].partition("]")[0] in _LEVELS and " P00" in rest[:64]:
        _dataset(event, "log")
        _instance(event, rest)
    else:
        return False
    desk.stamp(event, iso(stamp, desk.zone))
    return True


def _dataset(event: Event, name: str) -> None:
    event["event.module"] = "dm"
    event["event.dataset"] = f"dm.{name}"


def _instance(event: Event, rest: str) -> None:
    """``[LEVEL] database P0000012060 T0000000000000012060  MESSAGE``."""
    level, _, rest = rest[1:].partition("] ")
    event["log.level"] = _LEVELS.get(level, level.lower()[:16])
    words = rest.split(" ", 3)
    if len(words) == 4 and words[1][:1] == "P" and words[2][:1] == "T":  # noqa: PLR2004 - program, process, thread, text
        event["process.pid"] = number(words[1][1:]) or 0
        rest = words[3].strip()
    event["message"] = rest
    head = rest[:_LOOKED_AT]
    action = next((action for found, action in _MEANINGS if found in head), "")
    if action:
        note_action(event, action)
    elif level in {"ERROR", "FATAL"}:
        note_action(event, "db_error")
    if code := head.partition("code = ")[2].partition(",")[0].strip()[:12]:
        event["error.code"] = code


def _sql(event: Event, rest: str) -> None:
    """``(EP[0] sess:… thrd:… user:… trxid:… stmt:… appname:… ip:…) [SEL] SQL EXECTIME: 1(ms) …``."""
    end = rest.find(") ", 0, 600)
    if end < 0:
        return
    fields: dict[str, str] = {}
    for word in rest[1:end].split(" "):
        name, colon, value = word.partition(":")
        if colon and name in _SESSION and value not in {"", "NULL"}:
            fields[_SESSION[name]] = value
    event["original"] = fields
    if user := fields.get("db.user"):
        event["user.name"] = user
    note_peer(event, fields.get("ip", ""))
    message = rest[end + 2 :]
    kind, _, statement = message.partition(" ")
    event["message"] = message
    if kind in {"LOGIN", "[LOGIN]"}:
        note_action(event, "db_login")
    elif kind in {"LOGOUT", "[LOGOUT]"}:
        note_action(event, "db_logout")
    elif kind in _KINDS and statement:
        note_statement(event, fields, statement)
        event["event.outcome"] = "failure" if kind == "[ERROR]" else "unknown"


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a row of ``V$AUDITRECORDS``."""
    return "SUCC_FLAG" in document and "OPTIME" in document


def parse_document(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read a row of ``V$AUDITRECORDS``: ``USERNAME IP SCHNAME OBJNAME OPERATION SUCC_FLAG SQL_TEXT DESCRIPTION OPTIME``."""
    flat = flatten(document)
    _dataset(event, "audit")
    event["original"] = flat
    desk.stamp(event, date(flat.get("OPTIME"), desk.zone))
    operation = (text(flat.get("OPERATION")) or "").upper()
    failed = (text(flat.get("SUCC_FLAG")) or "Y").upper() not in {"Y", "1", "TRUE"}
    statement = text(flat.get("SQL_TEXT")) or ""
    if operation in _LOGINS:
        note_action(event, "db_login_failed" if failed else "db_login")
    elif operation in {"LOGOUT", "USER LOGOUT"}:
        note_action(event, "db_logout")
    else:
        note_statement(event, flat, statement or operation)
        event["event.outcome"] = "failure" if failed else "success"
    if user := text(flat.get("USERNAME")):
        event["user.name"] = user
    note_peer(event, text(flat.get("IP")) or "")
    if name := text(flat.get("SCHNAME")):
        flat["db.name"] = name
    event["message"] = " ".join(filter(None, (operation, text(flat.get("OBJNAME")), statement)))[:8192]


PARSERS = (
    ProgramParser(("dmserver", "dmap", "dmwatcher"), parse),
    LineParser(2, parse_line),
    DocumentParser(20, claims, parse_document),
)
