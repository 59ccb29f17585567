from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.database import note_action, note_peer
from secops.normalise.documents import flatten
from secops.normalise.parser import DocumentParser, ProgramParser
from secops.normalise.parsers.postgresql import dataset, read_syslog
from secops.normalise.schema import date, text
from secops.normalise.sql import note_statement

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_LOGINS: Final = frozenset({"LOGIN", "LOGON", "CONNECT", "SESSION"})
_LOGOUTS: Final = frozenset({"LOGOUT", "LOGOFF", "DISCONNECT"})
_FALSE: Final = frozenset({"", "0", "f", "false", "00000"})


def parse(event: Event, message: str) -> None:
    """Read the server's log as it comes by syslog; it is PostgreSQL's in form, in Chinese or English."""
    dataset(event, "kingbase")
    read_syslog(event, message)


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is a row of ``sysaudit_records``, the view through which the ``sysaudit`` extension is read."""
    return "opr_type" in document and "sqltext" in document


def parse_document(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read a row of ``sysaudit_records``: ``username, remote_addr, db_name, opr_type, obj_name, sqltext, errcode, audit_ts``."""
    flat = flatten(document)
    event["event.module"] = "kingbase"
    event["event.dataset"] = "kingbase.audit"
    event["original"] = flat
    stamp = text(flat.get("audit_ts")) or ""
    desk.stamp(event, date(f"{stamp}:00" if stamp[-3:-2] in {"+", "-"} else stamp, desk.zone))  # it writes +08
    operation = (text(flat.get("opr_type")) or "").upper()
    failed = any((text(flat.get(name)) or "").lower() not in _FALSE for name in ("failed", "errcode"))
    statement = text(flat.get("sqltext")) or ""
    if operation in _LOGINS:
        note_action(event, "db_login_failed" if failed else "db_login")
    elif operation in _LOGOUTS:
        note_action(event, "db_logout")
    else:
        note_statement(event, flat, statement)
        event["event.outcome"] = "failure" if failed else "success"
    _who(event, flat)
    event["message"] = f"{operation} {text(flat.get('obj_name')) or ''} {statement}".replace("  ", " ").strip()[:8192]


def _who(event: Event, flat: dict[str, Any]) -> None:
    if user := text(flat.get("username")):
        event["user.name"] = user
    if peer := text(flat.get("remote_addr")):
        note_peer(event, peer)
    if name := text(flat.get("db_name")):
        flat["db.name"] = name
    code = text(flat.get("errcode")) or ""
    if code not in _FALSE:
        event["error.code"] = code
    if reason := text(flat.get("errmsg")):
        event["event.reason"] = reason[:200]


PARSERS = (ProgramParser(("kingbase", "kingbasees"), parse), DocumentParser(41, claims, parse_document))
