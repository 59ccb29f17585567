from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.normalise.schema import address, number, text

if TYPE_CHECKING:
    from collections.abc import Callable


_Fields = tuple[tuple[str, str, "Callable[[Any], Any]"], ...]


class Meaning(NamedTuple):
    """What an event id means in ECS; ``fields`` are (Windows name, ECS name, how the value is read)."""

    action: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    outcome: str
    fields: _Fields


def base(value: object) -> str | None:
    """Give the last part of a path, or the name without its domain."""
    return value.rpartition("\\")[2] or None if isinstance(value, str) else None


def ip(value: object) -> str | None:
    """Give a canonical address."""
    return address(value) if isinstance(value, str) else None


def integer(value: object) -> int | None:
    """Read decimal or, as Windows writes process ids, hexadecimal."""
    if isinstance(value, str) and value[:2] == "0x" and len(value) <= 18:  # noqa: PLR2004 - 0x and 64 bits
        try:
            return number(int(value, 16))
        except ValueError:
            return None
    return number(value)


COMMON: Final[_Fields] = (("User", "user.name", base), ("SubjectUserName", "user.name", text))
_SUBJECT: Final[_Fields] = (
    ("SubjectUserName", "user.name", text),
    ("SubjectDomainName", "user.domain", text),
    ("SubjectUserSid", "user.id", text),
)
_SUBJECT_TARGET: Final[_Fields] = (
    *_SUBJECT,
    ("TargetUserName", "user.target.name", text),
    ("TargetDomainName", "user.target.domain", text),
)
_MEMBER: Final[_Fields] = (
    *_SUBJECT,
    ("MemberName", "user.target.name", text),
    ("TargetUserName", "group.name", text),
)
_LOGON: Final[_Fields] = (
    ("TargetUserName", "user.name", text),
    ("TargetDomainName", "user.domain", text),
    ("IpAddress", "source.ip", ip),
    ("IpPort", "source.port", integer),
    ("WorkstationName", "source.domain", text),
    ("ProcessName", "process.executable", text),
)
_SYSMON: Final[_Fields] = (
    ("User", "user.name", base),
    ("Image", "process.executable", text),
    ("Image", "process.name", base),
    ("ProcessId", "process.pid", integer),
)
_SYSMON_START: Final[_Fields] = (
    *_SYSMON,
    ("CommandLine", "process.command_line", text),
    ("CurrentDirectory", "process.working_directory", text),
    ("ParentImage", "process.parent.executable", text),
    ("ParentImage", "process.parent.name", base),
    ("ParentCommandLine", "process.parent.command_line", text),
    ("ParentProcessId", "process.parent.pid", integer),
)
_SYSMON_FILE: Final[_Fields] = (
    *_SYSMON,
    ("TargetFilename", "file.path", text),
    ("TargetFilename", "file.name", base),
)
_SYSMON_KEY: Final[_Fields] = (*_SYSMON, ("TargetObject", "registry.path", text))
_CONNECTION: Final[_Fields] = (
    ("SourceIp", "source.ip", ip),
    ("SourceAddress", "source.ip", ip),
    ("SourcePort", "source.port", integer),
    ("DestinationIp", "destination.ip", ip),
    ("DestAddress", "destination.ip", ip),
    ("DestinationPort", "destination.port", integer),
    ("DestPort", "destination.port", integer),
    ("DestinationHostname", "destination.domain", text),
)
_ACCESS: Final[_Fields] = (
    ("SourceImage", "process.executable", text),
    ("SourceImage", "process.name", base),
    ("SourceProcessId", "process.pid", integer),
    ("SourceUser", "user.name", base),
)
_4688: Final[_Fields] = (
    *_SUBJECT,
    ("NewProcessName", "process.executable", text),
    ("NewProcessName", "process.name", base),
    ("NewProcessId", "process.pid", integer),
    ("CommandLine", "process.command_line", text),
    ("ParentProcessName", "process.parent.executable", text),
    ("ParentProcessName", "process.parent.name", base),
    ("ProcessId", "process.parent.pid", integer),
)
_SERVICE: Final[_Fields] = (
    ("ServiceName", "service.name", text),
    ("ImagePath", "process.command_line", text),
    ("ServiceFileName", "process.command_line", text),
    *_SUBJECT,
)


def _account(action: str, kind: str) -> Meaning:
    return Meaning(action, ("iam",), ("user", kind), "success", _SUBJECT_TARGET)


def _group(action: str, kind: str) -> Meaning:
    return Meaning(action, ("iam",), ("group", kind), "success", _MEMBER)


def _registry(action: str, kind: str) -> Meaning:
    return Meaning(action, ("registry",), (kind,), "", _SYSMON_KEY)


_SECURITY: Final = {
    "1102": Meaning("audit_log_cleared", ("configuration",), ("deletion",), "success", _SUBJECT),
    "4616": Meaning("system_time_changed", ("configuration",), ("change",), "success", _SUBJECT),
    "4624": Meaning("logon", ("authentication",), ("start",), "success", _LOGON),
    "4625": Meaning("logon", ("authentication",), ("start",), "failure", _LOGON),
    "4634": Meaning("logoff", ("authentication",), ("end",), "success", _LOGON),
    "4648": Meaning("explicit_credentials", ("authentication",), ("start",), "", (*_SUBJECT_TARGET, *_LOGON[2:])),
    "4656": Meaning(
        "handle_requested", ("file",), ("access",), "", (*_SUBJECT, ("ProcessName", "process.executable", text))
    ),
    "4663": Meaning("object_accessed", ("file",), ("access",), "", (*_SUBJECT, ("ObjectName", "file.path", text))),
    "4672": Meaning("special_privileges", ("iam",), ("admin",), "success", _SUBJECT),
    "4688": Meaning("process_created", ("process",), ("start",), "success", _4688),
    "4689": Meaning(
        "process_ended", ("process",), ("end",), "", (*_SUBJECT, ("ProcessName", "process.executable", text))
    ),
    "4697": Meaning("service_installed", ("configuration",), ("creation",), "success", _SERVICE),
    "4698": Meaning("scheduled_task_created", ("configuration",), ("creation",), "success", _SUBJECT),
    "4719": Meaning("audit_policy_changed", ("configuration",), ("change",), "success", _SUBJECT),
    "4720": _account("account_created", "creation"),
    "4722": _account("account_enabled", "change"),
    "4723": _account("password_changed", "change"),
    "4724": _account("password_reset", "change"),
    "4725": _account("account_disabled", "change"),
    "4726": _account("account_deleted", "deletion"),
    "4738": _account("account_changed", "change"),
    "4740": _account("account_locked_out", "change"),
    "4728": _group("member_added", "change"),
    "4729": _group("member_removed", "change"),
    "4732": _group("member_added", "change"),
    "4733": _group("member_removed", "change"),
    "4756": _group("member_added", "change"),
    "4768": Meaning("kerberos_ticket_requested", ("authentication",), ("start",), "", _LOGON),
    "4769": Meaning("kerberos_service_ticket_requested", ("authentication",), ("start",), "", _LOGON),
    "4771": Meaning("kerberos_preauthentication", ("authentication",), ("start",), "failure", _LOGON),
    "4776": Meaning(
        "ntlm_validation",
        ("authentication",),
        ("start",),
        "",
        (("TargetUserName", "user.name", text), ("Workstation", "source.domain", text)),
    ),
    "5156": Meaning(
        "connection_permitted",
        ("network",),
        ("connection", "allowed"),
        "success",
        (*_CONNECTION, ("Application", "process.executable", text)),
    ),
    "5157": Meaning(
        "connection_blocked",
        ("network",),
        ("connection", "denied"),
        "failure",
        (*_CONNECTION, ("Application", "process.executable", text)),
    ),
}  # fmt: skip - one line a meaning
_SYSMON_MEANINGS: Final = {
    "1": Meaning("process_created", ("process",), ("start",), "success", _SYSMON_START),
    "2": Meaning("file_time_changed", ("file",), ("change",), "", _SYSMON_FILE),
    "3": Meaning("network_connection", ("network",), ("connection",), "", (*_SYSMON, *_CONNECTION)),
    "5": Meaning("process_ended", ("process",), ("end",), "", _SYSMON),
    "6": Meaning("driver_loaded", ("driver",), ("start",), "", (("ImageLoaded", "file.path", text),)),
    "7": Meaning("image_loaded", ("library",), ("start",), "", (*_SYSMON, ("ImageLoaded", "file.path", text))),
    "8": Meaning("remote_thread_created", ("process",), ("change",), "", _ACCESS),
    "10": Meaning("process_accessed", ("process",), ("access",), "", _ACCESS),
    "11": Meaning("file_created", ("file",), ("creation",), "", _SYSMON_FILE),
    "12": _registry("registry_key_changed", "change"),
    "13": _registry("registry_value_set", "change"),
    "14": _registry("registry_renamed", "change"),
    "15": Meaning("file_stream_created", ("file",), ("creation",), "", _SYSMON_FILE),
    "17": Meaning("pipe_created", ("file",), ("creation",), "", (*_SYSMON, ("PipeName", "file.name", text))),
    "18": Meaning("pipe_connected", ("file",), ("access",), "", (*_SYSMON, ("PipeName", "file.name", text))),
    "22": Meaning("dns_query", ("network",), ("protocol",), "", (*_SYSMON, ("QueryName", "dns.question.name", text))),
    "23": Meaning("file_deleted", ("file",), ("deletion",), "", _SYSMON_FILE),
    "26": Meaning("file_deleted", ("file",), ("deletion",), "", _SYSMON_FILE),
}
_POWERSHELL: Final = {
    "4103": Meaning("module_logged", ("process",), ("info",), "", COMMON),
    "4104": Meaning("script_block_logged", ("process",), ("info",), "", (*COMMON, ("Path", "file.path", text))),
}
_SYSTEM: Final = {
    "104": Meaning("log_cleared", ("configuration",), ("deletion",), "success", _SUBJECT),
    "7045": Meaning("service_installed", ("configuration",), ("creation",), "success", _SERVICE),
    "7040": Meaning("service_changed", ("configuration",), ("change",), "success", _SERVICE),
}

MEANINGS: Final[dict[tuple[str, str], Meaning]] = {
    **{("windows.security", code): meaning for code, meaning in _SECURITY.items()},
    **{("windows.sysmon", code): meaning for code, meaning in _SYSMON_MEANINGS.items()},
    **{("windows.powershell", code): meaning for code, meaning in _POWERSHELL.items()},
    **{("windows.system", code): meaning for code, meaning in _SYSTEM.items()},
}
"""(dataset, event id) -> what it means."""
