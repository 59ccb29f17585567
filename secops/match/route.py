"""Which events a rule's log source means.

An event is recognised by its dataset (``event.dataset``, set by normalisation) and, for Windows, by channel and event
id, whether these lie in the event itself (raw JSON) or among its original fields. The channel names are those that
Windows gives its logs; the Sysmon event ids are those of Sysmon's manual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops import verbatim
from secops.match.text import fold, text_of
from secops.records import DATASET, ORIGINAL, RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secops.match.rule import LogSource

_SYSMON: Final = "microsoft-windows-sysmon/operational"
_MS: Final = "microsoft-windows-"

# Sigma category of Windows -> (channel, event ids); Sysmon's unless said otherwise.
_SYSMON_IDS: Final[Mapping[str, str]] = {
    "process_creation": "1", "file_change": "2", "network_connection": "3", "sysmon_status": "4 16",
    "process_termination": "5", "driver_load": "6", "image_load": "7", "create_remote_thread": "8",
    "raw_access_thread": "9", "process_access": "10", "file_event": "11", "registry_add": "12",
    "registry_delete": "12", "registry_set": "13", "registry_rename": "14", "registry_event": "12 13 14",
    "create_stream_hash": "15", "pipe_created": "17 18", "wmi_event": "19 20 21", "dns_query": "22",
    "file_delete": "23 26", "clipboard_capture": "24", "process_tampering": "25", "file_block": "27 28",
    "file_executable_detected": "29", "sysmon_error": "255",
}  # fmt: skip
CATEGORIES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    **{name: (_SYSMON, frozenset(ids.split())) for name, ids in _SYSMON_IDS.items()},
    "ps_module": (f"{_MS}powershell/operational", frozenset({"4103"})),
    "ps_script": (f"{_MS}powershell/operational", frozenset({"4104"})),
    "ps_classic_start": ("windows powershell", frozenset({"400"})),
    "ps_classic_provider_start": ("windows powershell", frozenset({"600"})),
    "file_access": (f"{_MS}kernel-file/analytic", frozenset({"12"})),
    "file_rename": (f"{_MS}kernel-file/analytic", frozenset({"27"})),
}

# Sigma service of Windows -> channels.
SERVICES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(channel.strip() for channel in channels.split("|"))
    for name, channels in {
        "security": "security", "application": "application", "system": "system", "sysmon": _SYSMON,
        "powershell": f"{_MS}powershell/operational|powershellcore/operational",
        "powershell-classic": "windows powershell",
        "taskscheduler": f"{_MS}taskscheduler/operational",
        "wmi": f"{_MS}wmi-activity/operational",
        "dns-server": "dns server", "dns-server-audit": f"{_MS}dns-server/audit",
        "dns-server-analytic": f"{_MS}dns-server/analytical", "dns-client": f"{_MS}dns client events/operational",
        "driver-framework": f"{_MS}driverframeworks-usermode/operational",
        "ntlm": f"{_MS}ntlm/operational", "dhcp": f"{_MS}dhcp-server/operational",
        "msexchange-management": "msexchange management",
        "applocker": f"{_MS}applocker/msi and script|{_MS}applocker/exe and dll"
                     f"|{_MS}applocker/packaged app-deployment|{_MS}applocker/packaged app-execution",
        "printservice-admin": f"{_MS}printservice/admin", "printservice-operational": f"{_MS}printservice/operational",
        "codeintegrity-operational": f"{_MS}codeintegrity/operational",
        "smbclient-security": f"{_MS}smbclient/security", "smbclient-connectivity": f"{_MS}smbclient/connectivity",
        "smbserver-connectivity": f"{_MS}smbserver/connectivity",
        "firewall-as": f"{_MS}windows firewall with advanced security/firewall",
        "bits-client": f"{_MS}bits-client/operational", "windefend": f"{_MS}windows defender/operational",
        "terminalservices-localsessionmanager": f"{_MS}terminalservices-localsessionmanager/operational",
        "microsoft-servicebus-client": "microsoft-servicebus-client",
        "ldap": f"{_MS}ldap-client/debug", "ldap_debug": f"{_MS}ldap-client/debug",
        "security-mitigations": f"{_MS}security-mitigations/kernel mode|{_MS}security-mitigations/user mode",
        "diagnosis-scripted": f"{_MS}diagnosis-scripted/operational", "shell-core": f"{_MS}shell-core/operational",
        "openssh": "openssh/operational", "bitlocker": f"{_MS}bitlocker/bitlocker management",
        "vhdmp": f"{_MS}vhdmp/operational", "appxdeployment-server": f"{_MS}appxdeploymentserver/operational",
        "lsa-server": f"{_MS}lsa/operational", "appxpackaging-om": f"{_MS}appxpackaging/operational",
        "appmodel-runtime": f"{_MS}appmodel-runtime/admin", "capi2": f"{_MS}capi2/operational",
        "certificateservicesclient-lifecycle-system": f"{_MS}certificateservicesclient-lifecycle-system/operational",
        "iis-configuration": f"{_MS}iis-configuration/operational",
    }.items()
}  # fmt: skip

# Security devices; CEF and LEEF are how others of them speak.
_APPLIANCES: Final = frozenset({"sangfor.af", "topsec.firewall", "hillstone.stoneos", "cef.event", "leef.event"})
# Network devices, whoever made them; of "network.ios" nobody can say whether it is Cisco's or Ruijie's.
_DEVICES: Final = frozenset({"huawei.vrp", "h3c.comware", "ruijie.rgos", "cisco.ios", "network.ios"})
_EITHER: Final[Mapping[str, frozenset[str]]] = {"network.ios": frozenset({"cisco", "ruijie"})}

# Sigma categories and services of other systems -> our datasets.
_DATASETS: Final[Mapping[str, frozenset[str]]] = {
    "webserver": frozenset({"nginx.access", "apache.access", "iis.access"}),
    "auth": frozenset({"linux.sshd", "linux.sudo", "linux.su", "linux.auth"}),
    "syslog": frozenset(
        {
            "linux.sshd",
            "linux.sudo",
            "linux.su",
            "linux.systemd",
            "linux.cron",
            "linux.chrony",
            "linux.docker",
            "linux.packages",
        }
    ),
    "nginx": frozenset({"nginx.access", "nginx.error"}),
    **dict.fromkeys(("network_device", "aaa", "bgp", "ospf", "ldp", "stp"), _DEVICES),
    "apache": frozenset({"apache.access", "apache.error"}),
    "auditd": frozenset({"linux.auditd", "linux.process"}),
    "process_creation": frozenset({"linux.process"}),
    "database": frozenset(
        {
            "dm.log",
            "dm.sql",
            "dm.audit",
            "kingbase.log",
            "kingbase.audit",
            "postgresql.log",
            "mysql.error",
            "mysql.general",
            "mysql.audit",
        }
    ),
    "application": frozenset({"kubernetes.audit", "keycloak.event", "keycloak.admin"}),
    "proxy": frozenset({"squid.access"}),
    "firewall": _APPLIANCES,
    "vpn": _APPLIANCES | {"sangfor.vpn", "topsec.vpn"},
    "waf": _APPLIANCES | {"nsfocus.waf", "dbappsecurity.waf", "apache.error", "nginx.error"},
    "cloud_audit": frozenset({"huaweicloud.cts", "aliyun.actiontrail", "tencentcloud.cloudaudit", "openstack.audit"}),
}
# Products whose messages come by syslog and are not parsed further yet: their rules look at what stands in the text.
_BY_SYSLOG: Final = frozenset(
    {"linux", "cisco", "huawei", "juniper", "fortios", "fortigate", "paloalto", "h3c", "ruijie", "sangfor", "hillstone"}
)
_SYSLOG: Final = "syslog.generic"

# What Sigma calls a field -> what our datasets call it.
_WEB: Final = (
    ("cs-method", "http.request.method"), ("cs-uri-query", "url.query"), ("cs-uri-stem", "url.path"),
    ("cs-uri", "url.original"), ("c-uri", "url.original"), ("sc-status", "http.response.status_code"),
    ("c-ip", "source.ip"), ("cs-user-agent", "user_agent.original"), ("cs-referer", "http.request.referrer"),
    ("cs-username", "user.name"), ("cs-host", "url.domain"),
)  # fmt: skip
_PROCESS: Final = (
    ("Image", "process.executable"), ("CommandLine", "process.command_line"), ("User", "user.name"),
    ("CurrentDirectory", "process.working_directory"), ("ProcessId", "process.pid"),
)  # fmt: skip
_FIREWALL: Final = (
    ("src_ip", "source.ip"), ("src_port", "source.port"), ("dst_ip", "destination.ip"), ("dst_port", "destination.port"),
    ("action", "event.action"), ("username", "user.name"), ("protocol", "network.transport"),
)  # fmt: skip
ALIASES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    **dict.fromkeys(sorted(_DATASETS["webserver"]), _WEB),
    **dict.fromkeys(
        sorted(_DATASETS["proxy"]), (*_WEB, ("c-useragent", "user_agent.original"), ("r-dns", "url.domain"))
    ),
    **dict.fromkeys(sorted(_DATASETS["process_creation"]), _PROCESS),
    **dict.fromkeys(sorted(_APPLIANCES), _FIREWALL),
}


class Signature(NamedTuple):
    """What an event is, as far as routing cares."""

    dataset: str  # "" for raw events that were not normalised
    channel: str  # folded; "" when it is not a Windows event
    event_id: str | None  # None: not a scalar


# Process creation as Windows itself audits it, once normalised: rules for process_creation look at it too.
AUDITED: Final = Signature("windows.security", "security", "4688")
_AUDITED_NAMES: Final = (
    ("Image", "NewProcessName"), ("ParentImage", "ParentProcessName"), ("LogonId", "SubjectLogonId"),
)  # fmt: skip
_INTEGRITY: Final = {"S-1-16-4096": "Low", "S-1-16-8192": "Medium", "S-1-16-12288": "High", "S-1-16-16384": "System"}
# Channels whose fields have no spaces in their names, and need not be looked through for any.
_TIGHT: Final = frozenset({"", "security", "system", "application", _SYSMON}) | SERVICES["powershell"]


def signature_of(event: Mapping[str, Any]) -> Signature:
    """The signature of an event as it is in the log, or of raw JSON."""
    dataset = event.get(DATASET)
    fields = event
    if isinstance(dataset, str):
        if not dataset.startswith("windows."):
            return Signature(dataset[:128], "", "")
        original = event.get(ORIGINAL)
        fields = original if isinstance(original, dict) else {}
    channel = fold(text_of(fields.get("Channel")) or "")[:256]
    event_id = text_of(fields.get("EventID", "")) if channel else ""
    return Signature(dataset[:128] if isinstance(dataset, str) else "", channel, event_id)


def covers(source: LogSource, signature: Signature) -> bool:
    """Whether the log source means events of this signature."""
    if signature.channel or signature.dataset.startswith("windows."):
        return source.product in {"", "windows"} and _covers_windows(source, signature)
    if not signature.dataset:
        return True  # nothing is known of a raw event: the rule's fields decide
    return _covers_dataset(source, signature.dataset)


def usual(source: LogSource) -> Iterator[Signature]:
    """Signatures of events that are sure to come where the log source is used; plans for them are made beforehand."""
    if source.product in {"", "windows"}:
        channel, ids = CATEGORIES.get(source.category, ("", frozenset[str]()))
        yield from (Signature("", channel, event_id) for event_id in ids)
        if source.category == "process_creation":
            yield AUDITED
        yield from (Signature("", each, "") for each in SERVICES.get(source.service, ()))
    datasets = {f"{source.product}.{source.service}", _SYSLOG}.union(*_DATASETS.values())
    yield from (Signature(dataset, "", "") for dataset in datasets if _covers_dataset(source, dataset))


def _covers_windows(source: LogSource, signature: Signature) -> bool:
    if signature == AUDITED and source.category == "process_creation":
        return not source.service or source.service == "security"
    if source.category:
        channel, ids = CATEGORIES.get(source.category, ("", frozenset[str]()))
        if signature.channel != channel or not (signature.event_id is None or signature.event_id in ids):
            return False
    if source.service:
        return signature.channel in SERVICES.get(source.service, frozenset[str]())
    return True


def _covers_dataset(source: LogSource, dataset: str) -> bool:
    if dataset == _SYSLOG and source.product in _BY_SYSLOG and not source.category:
        return True
    module, _, name = dataset.partition(".")
    if source.product and source.product != module and source.product not in _EITHER.get(dataset, ()):
        return False
    for part in (source.service, source.category):
        if part and part not in {name, dataset} and dataset not in _DATASETS.get(part, frozenset[str]()):
            return False
    return True


def dress_of(signature: Signature) -> Callable[[Mapping[str, Any]], Mapping[str, Any]] | None:
    """What gives the fields of such events the names that rules use, where these differ."""
    if signature == AUDITED:
        return _as_process
    return _unspaced if signature.channel not in _TIGHT else None


def _as_process(view: Mapping[str, Any]) -> Mapping[str, Any]:
    named = {name: view[field] for name, field in _AUDITED_NAMES if field in view and name not in view}
    label = view.get("MandatoryLabel")
    if isinstance(label, str) and label in _INTEGRITY:
        named["IntegrityLevel"] = _INTEGRITY[label]
    return {**view, **named}


def _unspaced(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """``Threat Name`` is also ``ThreatName`` (specification, *Field usage*)."""
    spaced = [name for name in view if " " in name]
    return {**{name.replace(" ", ""): view[name] for name in spaced}, **view} if spaced else view


def whole(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """The view with the text as it came, where the log left that out."""
    return {**view, RAW: verbatim.text_of(view)} if verbatim.is_short(view) else view


def seen(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event as the rules of its plan see it."""
    dress = dress_of(signature_of(event))
    view = view_of(event)
    return whole(view if dress is None else dress(view))


def view_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event as rules see it: its own fields, then its original ones, then Sigma's names for its own."""
    original = event.get(ORIGINAL)
    view = {**original, **event} if isinstance(original, dict) and original else event
    dataset = event.get(DATASET)
    if isinstance(dataset, str) and (aliases := ALIASES.get(dataset)) is not None:
        view = {**view, **{name: view[field] for name, field in aliases if field in view and name not in view}}
    return view
