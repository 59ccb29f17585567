from __future__ import annotations

from functools import lru_cache
from posixpath import normpath
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Final

from secops.normalise.audit_fields import arguments, split_fields
from secops.normalise.parser import Joiner, LineParser, ProgramParser
from secops.normalise.schema import address, number
from secops.normalise.syscalls import syscall_name
from secops.normalise.times import epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secops.normalise.parser import Desk
    from secops.records import Event

_DATASET: Final = "linux.auditd"
_PROGRAM_START: Final = "linux.process"  # an EXECVE record: what Sigma calls process creation
_UNSET: Final = frozenset({"", "?", "(null)", "4294967295", "unset", "(none)", "-1"})
_UPTIME: Final = 32  # characters of the time since the start that the kernel writes first
# What the kernel calls its records when nobody translates: include/uapi/linux/audit.h.
_NUMBERS: Final = {
    "1100": "USER_AUTH", "1101": "USER_ACCT", "1105": "USER_START", "1106": "USER_END", "1112": "USER_LOGIN",
    "1123": "USER_CMD", "1130": "SERVICE_START", "1131": "SERVICE_STOP", "1300": "SYSCALL", "1302": "PATH",
    "1305": "CONFIG_CHANGE", "1306": "SOCKADDR", "1307": "CWD", "1309": "EXECVE", "1325": "NETFILTER_CFG",
    "1326": "SECCOMP", "1327": "PROCTITLE", "1330": "KERN_MODULE", "1400": "AVC", "1403": "MAC_POLICY_LOAD",
    "1404": "MAC_STATUS", "1700": "ANOM_PROMISCUOUS", "1701": "ANOM_ABEND",
}  # fmt: skip
_MOST_JOINED: Final = 64  # records of one event that complete one another; a rename touches five files

# Type of a record -> (event.category, event.type); from audit-userspace, lib/msg_typetab.h.
_MEANING: Final = {
    name: (category, kind)
    for category, kind, names in (
        ("process", "start", "EXECVE USER_CMD"),
        ("process", "info", "SYSCALL PROCTITLE ANOM_ABEND SECCOMP BPRM_FCAPS OBJ_PID"),
        ("file", "access", "PATH CWD"),
        ("network", "connection", "SOCKADDR"),
        ("network", "info", "ANOM_PROMISCUOUS NETFILTER_CFG NETFILTER_PKT"),
        ("authentication", "start", "USER_AUTH USER_LOGIN USER_ERR USER_ACCT ANOM_LOGIN_FAILURES CRED_ACQ"),
        ("session", "start", "USER_START LOGIN"),
        ("session", "end", "USER_END USER_LOGOUT CRED_DISP"),
        ("iam", "change", "USER_CHAUTHTOK USER_MGMT GRP_MGMT ADD_USER DEL_USER ADD_GROUP DEL_GROUP ACCT_LOCK ROLE_ASSIGN"),
        ("configuration", "change", "CONFIG_CHANGE DAEMON_CONFIG DAEMON_ROTATE MAC_STATUS MAC_POLICY_LOAD MAC_CONFIG_CHANGE"),
        ("process", "start", "SERVICE_START DAEMON_START"),
        ("process", "end", "SERVICE_STOP DAEMON_END DAEMON_ABORT SYSTEM_SHUTDOWN"),
        ("driver", "start", "KERN_MODULE"),
        ("process", "denied", "AVC USER_AVC SELINUX_ERR"),
    )
    for name in names.split()
}  # fmt: skip
_KEYWORDS: Final = (
    ("comm", "process.name"), ("exe", "process.executable"), ("ses", "session.id"), ("uid", "user.id"),
    ("key", "rule.name"), ("unit", "service.name"), ("cwd", "process.working_directory"),
)  # fmt: skip
# What the SYSCALL record knows and the other records of the event lack.
_SHARED: Final = ("SYSCALL", "syscall", "success", "comm", "exe", "auid", "AUID", "uid", "UID", "euid", "EUID", "tty", "pid", "ppid", "ses")  # fmt: skip
_SHARED_ECS: Final = ("process.executable", "process.pid", "process.parent.pid", "user.name", "user.id", "session.id", "rule.name", "event.outcome")  # fmt: skip


def parse(event: Event, message: str) -> None:
    """Read a record that came by syslog or from the journal: ``[node=N ]type=T msg=audit(TIME:SERIAL): …`` or ``T name=value …``."""
    event["event.module"] = "linux"
    event["event.dataset"] = _DATASET
    if _record(event, message):
        return
    kind, _, rest = message.partition(" ")
    if kind in _MEANING and "=" in rest:
        _fill(event, kind, rest)
        if "event.sequence" in event:  # the journal keeps the serial number beside the message
            event["original"]["audit_id"] = f"{event['@timestamp']}:{event['event.sequence']}"


def parse_kernel(event: Event, message: str) -> None:
    """Read ``[12.345] audit: type=1300 audit(TIME:SERIAL): …``: without auditd the kernel writes its records to syslog.

    Other messages of the kernel stay what they are.
    """
    head, found, rest = message.partition("audit: type=")
    if not found or len(head) > _UPTIME:
        return
    code, found, rest = rest.partition(" audit(")
    if found and len(code) <= 5 and code.isdigit():  # noqa: PLR2004 - the greatest is 2999
        parse(event, f"type={_NUMBERS.get(code, code)} msg=audit({rest}")


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of ``audit.log``."""
    if line[:5] not in {"type=", "node="} or " msg=audit(" not in line[:400] or not _record(event, line):
        return False
    event["event.module"] = "linux"
    desk.stamp(event, _moment(event["original"]["audit_id"].partition(":")[0]))
    return True


@lru_cache(maxsize=4096)
def _moment(seconds: str) -> str | None:
    """Read ``1795507200.123``; the records of an event, and many events, share one."""
    milliseconds = number(seconds.replace(".", "", 1))
    return epoch(milliseconds) if milliseconds else None


def _record(event: Event, text: str) -> bool:
    head, found, rest = text.partition(" msg=audit(")
    if not found:
        return False
    node, _, kind = head.rpartition("type=")
    identity, closed, body = rest.partition("):")
    if not closed or not kind or len(identity) > 64 or " " in kind:  # noqa: PLR2004 - seconds, milliseconds, serial
        return False
    if node[:5] == "node=":
        event["host.name"] = node[5:].strip()[:255]
    _fill(event, kind, body.strip(" "))
    event["original"]["audit_id"] = identity
    if (serial := number(identity.rpartition(":")[2])) is not None:
        event["event.sequence"] = serial
    return True


def _fill(event: Event, kind: str, body: str) -> None:
    fields = split_fields(body, execve=kind == "EXECVE")
    fields["type"] = kind
    if kind == "SYSCALL" and "SYSCALL" not in fields:
        name = syscall_name(fields.get("arch", ""), fields.get("syscall", ""))
        if name:
            fields["SYSCALL"] = name
    event["original"] = fields
    event["event.dataset"] = _PROGRAM_START if kind == "EXECVE" else _DATASET
    event["event.action"] = fields.get("SYSCALL") or kind.lower()
    category, meaning = _MEANING.get(kind, ("", ""))
    if category:
        event["event.category"], event["event.type"] = [category], [meaning]
    event["event.outcome"] = _outcome(fields)
    for theirs, ours in _KEYWORDS:
        value = fields.get(theirs)
        if value is not None and value not in _UNSET:
            event[ours] = value
    for theirs, ours in (("pid", "process.pid"), ("ppid", "process.parent.pid")):
        if theirs in fields and (found := number(fields[theirs])) is not None:
            event[ours] = found
    _who(event, fields)
    if kind in _DETAILS:
        _DETAILS[kind](event, fields)


def _outcome(fields: dict[str, str]) -> str:
    result = fields.get("success") or fields.get("res") or fields.get("result") or ""
    if result in {"yes", "success", "1", "Success"}:
        return "success"
    return "failure" if result in {"no", "failed", "0", "Failed"} else "unknown"


def _who(event: Event, fields: dict[str, str]) -> None:
    """Note who acted: the account that logged in rather than what it became, where auditd gives names; and from where."""
    actor = fields.get("AUID", "")
    if actor in _UNSET:
        actor = fields.get("UID", "")
    if actor in _UNSET and fields.get("auid", fields.get("uid")) == "0":
        actor = "root"
    account = fields.get("acct", "")
    if account not in _UNSET:
        event["user.name"] = account
        if actor not in _UNSET and actor != account:
            event["user.name"], event["user.target.name"] = actor, account
    elif actor not in _UNSET:
        event["user.name"] = actor
    if "addr" in fields and (peer := address(fields["addr"])) is not None:
        event["source.ip"] = peer


def _execve(event: Event, fields: dict[str, str]) -> None:
    words = arguments(fields, number(fields.get("argc", "")) or 0)
    event["process.args"] = words
    event["process.command_line"] = " ".join(words)
    if words and words[0][:1] == "/":
        event["process.executable"] = words[0]


def _command(event: Event, fields: dict[str, str]) -> None:
    """PROCTITLE and USER_CMD carry the command line in one piece."""
    line = fields.get("proctitle") or fields.get("cmd")
    if line:
        event["process.command_line"] = line


def _denied(event: Event, fields: dict[str, str]) -> None:
    """AVC: ``avc:  denied  { read } for  pid=… scontext=… tcontext=… tclass=…``."""
    words = event["message"].partition("avc: ")[2][:200].split()
    if words[:1] in (["denied"], ["granted"]):
        fields["seresult"] = words[0]
        fields["seperms"] = " ".join(words[2 : words.index("}")]) if "}" in words else ""
        event["event.outcome"] = "failure" if words[0] == "denied" else "success"


def _path(event: Event, fields: dict[str, str]) -> None:
    name = fields.get("name", "")
    if name not in _UNSET:
        event["file.path"] = name


def _socket(event: Event, fields: dict[str, str]) -> None:
    """``saddr`` is a struct sockaddr in hexadecimal: family in the host's order, port and address in the network's."""
    try:
        raw = bytes.fromhex(fields.get("saddr", "")[:256])
    except ValueError:
        return
    family = int.from_bytes(raw[:2], "little")
    if family == AF_INET and len(raw) >= 8:  # noqa: PLR2004 - family, port, address
        event["destination.ip"] = inet_ntop(AF_INET, raw[4:8])
    elif family == AF_INET6 and len(raw) >= 24:  # noqa: PLR2004 - family, port, flow, address
        event["destination.ip"] = inet_ntop(AF_INET6, raw[8:24])
    else:
        return
    event["destination.port"] = int.from_bytes(raw[2:4], "big")
    fields["destination.ip"] = event["destination.ip"]


def join(events: Sequence[Event]) -> None:
    """Let the records of one audit event, which arrived together, complete one another.

    EXECVE and PATH do not say who ran what: that stands in the SYSCALL record with the same time and serial number. What
    a record says itself stays. Each record stays an event of its own, so that nothing is lost when they do not arrive together.
    """
    groups: dict[tuple[str, str, str, str], list[Event]] = {}
    for event in events:
        fields = event.get("original", {})
        identity = fields.get("audit_id")
        if isinstance(identity, str) and isinstance(fields.get("type"), str):  # JSON may claim to be one of ours
            key = (event["organization.id"], event["log.source.address"], str(event["host.name"]), identity)
            groups.setdefault(key, []).append(event)
    for group in groups.values():
        if 1 < len(group) <= _MOST_JOINED:
            _complete(group)


def _complete(group: list[Event]) -> None:
    call = next((event for event in group if event["original"]["type"] == "SYSCALL"), None)
    if call is None:
        return
    directory = _first(group, "process.working_directory")
    line = _first(group, "process.command_line", "EXECVE") or _first(group, "process.command_line")
    known = call["original"]
    shared = {name: known[name] for name in _SHARED if name in known}
    acted: Event = {name: call[name] for name in _SHARED_ECS if name in call}
    for event in group:
        if event is not call:
            event["original"] = {**shared, **event["original"]}  # what a record says itself stays
            event.update(acted)
        elif line:
            event["process.command_line"] = line
        if directory:
            event["process.working_directory"] = directory
            if event.get("file.path", "/")[:1] != "/":
                event["file.path"] = normpath(f"{directory}/{event['file.path']}")


def _first(group: list[Event], field: str, kind: str = "") -> str:
    return next((e[field] for e in group if field in e and kind in {"", e["original"]["type"]}), "")


_DETAILS: Final[dict[str, Callable[[Event, dict[str, str]], None]]] = {
    "EXECVE": _execve,
    "PROCTITLE": _command,
    "USER_CMD": _command,
    "AVC": _denied,
    "USER_AVC": _denied,
    "PATH": _path,
    "SOCKADDR": _socket,
}
PARSERS = (
    ProgramParser(("auditd", "audit", "audispd", "audisp-syslog", "audit_log", "tag_audit_log"), parse),
    ProgramParser(("kernel",), parse_kernel),
    LineParser(1, parse_line),
    Joiner(frozenset({_DATASET, _PROGRAM_START}), join),
)
