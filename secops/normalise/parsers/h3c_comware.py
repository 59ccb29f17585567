"""Messages of H3C's Comware: switches, routers, SecPath firewalls.

``%%10MODULE/SEVERITY/MNEMONIC: -NAME=VALUE-NAME=VALUE; TEXT``, as H3C's system log references give it. Firewalls write
``NAME(1003)=VALUE;NAME(1004)=VALUE;`` instead of a text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise.commands import VRP
from secops.normalise.devices import (
    MOST_PAIRS,
    Head,
    Maker,
    act,
    annotate,
    begin,
    interface,
    neighbor,
    peer,
    typed,
    user,
)
from secops.normalise.devices import head as make_head
from secops.normalise.parser import MessageParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.normalise.parser import Desk
    from secops.records import Event

_LEAD = "%%10"
_ORDER = 10  # devices are asked first: there are many of them, and their beginning is plain
_HEAD = 200
_LONGEST_ATTRIBUTES = 1024
_LINES = frozenset({"VTY", "Console", "AUX", "TTY", "CON", "AUX user", "VTY user"})
_MOST_GROUPS = 4  # of attributes before the text
_VERDICTS = {
    "permit": "traffic_allowed",
    "deny": "traffic_denied",
    "drop": "traffic_denied",
    "reject": "traffic_denied",
}
_DEVICE = Maker("h3c.comware", "H3C", "Comware")
_FIREWALL = _DEVICE._replace(type="firewall")
_FIREWALLS = frozenset({"FILTER", "ASPF", "ATK", "NAT", "IPS", "ANTI-VIR", "OBJP", "SECP", "UFLT", "SESSION", "AUDIT"})


def claims(start: str) -> bool:
    """Whether the message is of this maker."""
    return start.startswith(_LEAD)


def parse(event: Event, message: str, _desk: Desk) -> None:
    """Read a message that begins with ``%%10``."""
    colon = message.find(":", len(_LEAD), _HEAD)
    head = _head(message[len(_LEAD) : colon].partition("(")[0]) if colon > 0 else None  # Comware 5: (l) log, (t) trap
    if head is None:
        return
    begin(event, head)
    text = message[colon + 1 :].strip(" \r\n\0")
    found: dict[str, str] = {}
    if text[:1] == "-":
        found, text = _leading(text)
    if "(10" in text[:80] and "=" in text:
        found |= _numbered(text)
        act(event, _VERDICTS.get(found.get("Event", "").lower(), ""))
    annotate(event, found)
    reader = _READERS.get(head.name.partition("/")[2])
    if reader is not None:
        reader(event, text)


@lru_cache(maxsize=4096)
def _head(text: str) -> Head | None:
    """``MODULE/SEVERITY/MNEMONIC``."""
    parts = text.split("/", 2)
    if len(parts) != 3:  # noqa: PLR2004 - module, severity, mnemonic
        return None
    module, level, mnemonic = parts
    return make_head(_FIREWALL if module in _FIREWALLS else _DEVICE, module, level, mnemonic, _action(module, mnemonic))


def _leading(text: str) -> tuple[dict[str, str], str]:
    """Take ``-DevIP=192.0.2.1; -Line=vty0-User=liwei; `` off the beginning: the attributes, and what follows."""
    found: dict[str, str] = {}
    for _ in range(_MOST_GROUPS):
        head, semicolon, _rest = text[:_LONGEST_ATTRIBUTES].partition(";")
        attributes = _attributes(head) if semicolon and text[:1] == "-" else {}
        if not attributes:
            break
        found |= attributes
        text = text[len(head) + 1 :].lstrip()
    return found, text


def _attributes(head: str) -> dict[str, str]:
    """Read ``-Line=vty0-IPAddr=192.0.2.1-User=net-admin``: a hyphen before no name belongs to the value."""
    found: dict[str, str] = {}
    last = ""
    for part in head[1:].split("-", MOST_PAIRS):
        name, equals, value = part.partition("=")
        if equals and name.isalnum() and name not in found:
            found[name] = value.strip()
            last = name
        elif last:
            found[last] = f"{found[last]}-{part}"
    return found


def _numbered(text: str) -> dict[str, str]:
    """Read ``SrcIPAddr(1003)=192.0.2.1;DstIPAddr(1007)=198.51.100.7;``; the attack module ends with a full stop."""
    found: dict[str, str] = {}
    for part in text.rstrip(".").split(";", MOST_PAIRS)[:MOST_PAIRS]:
        name, equals, value = part.partition("=")
        if equals:
            found[name.partition("(")[0].strip()[:48]] = value[:2048]
    return found


def _command(event: Event, text: str) -> None:
    """``Command is display version``, ``Command display x in view shell failed to be matched.``."""
    command = text.partition("Command is ")[2]
    if not command:
        command = text.partition("Command ")[2].removesuffix(" is permission denied.")
        command = command.rpartition(" in view ")[0] or command
    if command:
        typed(event, command, VRP)


def _logged(event: Event, text: str) -> None:
    """``NAME logged in from 192.0.2.1.``; the name is an account's."""
    name, _, where = text.rpartition(" logged in from " if " logged in from " in text else " logged out from ")
    _somebody(event, name)
    peer(event, where)


def _somebody(event: Event, name: str) -> None:
    """Note who it was; where only a password is asked for, the line stands for the name."""
    if name not in _LINES:
        user(event, name)


def _failed(event: Event, text: str) -> None:
    """``[SSH user ]NAME failed to log in from 192.0.2.1[ on VTY0].``: the name is chosen by whoever tries."""
    name, _, where = text.rpartition(" failed to log in from ")
    _somebody(event, name.removeprefix("SSH user ").removeprefix("Telnet user "))
    peer(event, where)


def _ssh(event: Event, text: str) -> None:
    """``Authentication failed for [user ]NAME from 192.0.2.1 port 22 ...``, ``SSH user NAME from 192.0.2.1 port 22 passed ...``."""
    head, _, where = text.rpartition(" (IP: " if " (IP: " in text else " from ")
    for lead in ("Authentication failed for user ", "Authentication failed for ", "SSH user ", "User "):
        if head.startswith(lead):
            user(event, head[len(lead) :])
            break
    peer(event, where)
    failed = text.startswith(("Authentication failed", "Invalid username")) or " failed" in where
    passed = " passed " in where or " accepted " in where
    if failed or passed:
        act(event, "device_ssh_auth")
        event["event.outcome"] = "failure" if failed else "success"


def _interface_state(event: Event, text: str) -> None:
    """``Physical state on the interface GigabitEthernet1/0/1 changed to down.``, ``GigabitEthernet1/0/1 link status is DOWN.``."""
    if "nterface " in text:
        interface(event, text)
    else:
        event["observer.ingress.interface.name"] = text.partition(" ")[0][:64]
    tail = text[-16:].lower()
    act(event, "interface_down" if "down" in tail else "interface_up" if "up" in tail else "")


def _bgp(event: Event, text: str) -> None:
    """``BGP.vpn1: 192.0.2.1 State has changed from ESTABLISHED to IDLE for ...``."""
    neighbor(event, text, "bgp")


def _ospf(event: Event, text: str) -> None:
    """``OSPF 1 Neighbor 192.0.2.1(Vlan-interface100) changed from FULL to DOWN.``."""
    neighbor(event, text.replace("(", " (", 1), "ospf")


def _snmp(event: Event, text: str) -> None:
    """``Failed to authenticate SNMP message [from 192.0.2.1].``."""
    peer(event, text.partition(" from ")[2])


def _saved(event: Event, _text: str) -> None:
    """``-OperateType=running2startup-...-OperateState=success``: the running configuration became the one for the next start."""
    found = event.get("original", {})
    if found.get("OperateType") == "running2startup":
        act(event, "device_config_saved")
        event["event.outcome"] = "success" if found.get("OperateState") == "success" else "failure"


def _blacklisted(event: Event, text: str) -> None:
    """``NAME was added to the blacklist for failed login attempts.``."""
    user(event, text.partition(" was added")[0])


def _denied(event: Event, text: str) -> None:
    """``The SSH Connection 192.0.2.1 request was denied according to ACL rules.``."""
    peer(event, text.partition("onnection ")[2])


def _ftp(event: Event, text: str) -> None:
    """``User NAME (192.0.2.1) has logged in successfully.``."""
    name, _, where = text.removeprefix("User ").partition(" (")
    user(event, name)
    peer(event, where.partition(")")[0])


def _sftp(event: Event, text: str) -> None:
    """``User NAME at 192.0.2.1 requested operation: put file flash:/a.bin``."""
    name, _, rest = text.removeprefix("User ").partition(" at ")
    user(event, name)
    peer(event, rest)


def _moved(event: Event, text: str) -> None:
    """``MAC address 0000-0012-0034 in VLAN 500 has moved from port GE1/0/1 to port GE1/0/2 for 1 times.``."""
    interface(event, text, "to port ")


def _on_interface(event: Event, text: str) -> None:
    """``... on interface Vlan-interface10 ...``."""
    if "nterface " in text:
        interface(event, text)


def _account(event: Event, text: str) -> None:
    """``... user NAME ...``, ``User NAME was added to the blacklist ...``."""
    words = text[:200].split(" ", 12)
    place = next((at for at, word in enumerate(words) if word in {"user", "User"}), len(words)) + 1
    if place < len(words):
        user(event, words[place].rstrip(".,;"))


_READERS: Final[dict[str, Callable[[Event, str], None]]] = {
    **dict.fromkeys(("SHELL_CMD", "SHELL_CMD_MATCHFAIL", "SHELL_CMD_EXECUTEFAIL", "SHELL_CMDDENY", "SHELL_CMD_LOCKEDBYOTHER"), _command),
    **dict.fromkeys(("SHELL_LOGIN", "SHELL_LOGOUT", "LOGIN", "LOGOUT"), _logged),
    **dict.fromkeys(("LOGIN_FAILED", "SHELL_LOGINFAIL"), _failed),
    **dict.fromkeys(("SSHS_LOG", "SSHLOG", "SSHS_AUTH_PWD_LOG", "SSHS_AUTH_SUCCESS", "SSHS_AUTH_FAIL", "SSHS_AUTH_EXCEED_RETRY_TIMES"), _ssh),
    **dict.fromkeys(("PHY_UPDOWN", "LINK_UPDOWN"), _interface_state),
    **dict.fromkeys(("BGP_STATE_CHANGED", "BGP_LOG"), _bgp),
    **dict.fromkeys(("OSPF_NBR_CHG", "OSPF_LAST_NBR_DOWN"), _ospf),
    "SNMP_AUTHENTICATION_FAILURE": _snmp,
    "PWDCTL_ADD_BLACKLIST": _blacklisted,
    "LOGIN_INVALID_USERNAME_PWD": _ssh,
    "FTPD_LOGIN": _ftp,
    **dict.fromkeys(("SSH_ACL_DENY", "TELNETD_ACL_DENY"), _denied),
    "CFGMAN_OPTCOMPLETION": _saved,
    **dict.fromkeys(("SSHS_SFTP_OPER", "SSHS_SCP_OPER"), _sftp),
    "MAC_NOTIFICATION": _moved,
    **dict.fromkeys(("DUPIFIP", "DUPIP", "ARP_SRC_MAC_FOUND_ATTACK", "ARP_INSPECTION", "DUPVRRPIP", "ARP_ACTIVE_ACK_NO_REPLY"), _on_interface),
    **dict.fromkeys(("LS_PWD_ADDBLACKLIST", "LOCALSVR_PROMPTED_CHANGE_PWD", "LS_ADD_USER_TO_GROUP", "LS_DEL_USER_FROM_GROUP"), _account),
}  # fmt: skip

# Mnemonic -> action (secops.normalise.devices.MEANINGS); Comware's mnemonics begin with their module.
_ACTIONS: Final[dict[str, str]] = {
    **dict.fromkeys(("SHELL_LOGIN", "LOGIN", "FTPD_LOGIN"), "device_login"),
    **dict.fromkeys(("SHELL_LOGOUT", "LOGOUT"), "device_logout"),
    **dict.fromkeys(("LOGIN_FAILED", "SHELL_LOGINFAIL"), "device_login_failed"),
    **dict.fromkeys(("LS_PWD_ADDBLACKLIST", "PWDCTL_ADD_BLACKLIST"), "device_user_locked"),
    **dict.fromkeys(("SSH_ACL_DENY", "TELNETD_ACL_DENY", "SNMP_ACL_RESTRICTION"), "device_access_denied"),
    "SNMP_SET": "snmp_set",
    "DOT1X_LOGIN_FAILURE": "nac_login_failed",
    "OSPF_RTRID_CONFLICT_INTRA": "routing_conflict",
    "LS_PWD_MODIFY_SUCCESS": "device_password_changed",
    "LS_PWD_MODIFY_FAIL": "device_password_change_failed",
    **dict.fromkeys(("LS_ADD_USER_TO_GROUP", "LS_DEL_USER_FROM_GROUP"), "device_user_changed"),
    "LS_USER_ROLE_CHANGE": "device_privilege_changed",
    "SHELL_CMD": "device_command",
    **dict.fromkeys(("SHELL_CMD_MATCHFAIL", "SHELL_CMD_EXECUTEFAIL", "SHELL_CMDDENY"), "device_command_failed"),
    "CFGMAN_CFGCHANGED": "device_config_changed",
    **dict.fromkeys(("SYSTEM_REBOOT", "CHASSIS_REBOOT", "BOARD_REBOOT"), "device_reboot"),
    **dict.fromkeys(("SYSLOG_LOGBUFFER_FAILURE", "SYSLOG_LOGFILE_FULL", "SYSLOG_NO_SPACE"), "device_log_lost"),
    **dict.fromkeys(
        ("RADIUS_AUTH_SERVER_DOWN", "RADIUS_ACCT_SERVER_DOWN", "HWTACACS_AUTH_SERVER_DOWN", "HWTACACS_ACCT_SERVER_DOWN", "HWTACACS_AUTHOR_SERVER_DOWN"),
        "aaa_server_down",
    ),
    **dict.fromkeys(("RADIUS_AUTH_SERVER_UP", "RADIUS_ACCT_SERVER_UP", "HWTACACS_AUTH_SERVER_UP"), "aaa_server_up"),
    "SNMP_AUTHENTICATION_FAILURE": "snmp_auth_failed",
    **dict.fromkeys(("NTP_SOURCE_LOST", "NTP_LEAP_CHANGE"), "ntp_lost"),
    "DEV_CLOCK_CHANGE": "clock_changed",
    **dict.fromkeys(("OSPF_IP_CONFLICT_INTRA", "DUPIFIP", "DUPIP", "DUPVRRPIP"), "arp_conflict"),
    **dict.fromkeys(("STP_NOT_ROOT", "STP_ROOT_PROTECTION"), "stp_root_changed"),
    **dict.fromkeys(("STP_BPDU_PROTECTION", "STP_BPDU_RECEIVE_EXPIRY"), "bpdu_guard"),
    **dict.fromkeys(("LPDETECT_LOOPED", "LPDETECT_EXISTED", "STP_LOOPBACK_PROTECTION"), "loop_detected"),
    "MAC_NOTIFICATION": "mac_flapping",
    **dict.fromkeys(("ARP_SRC_MAC_FOUND_ATTACK", "ARP_INSPECTION", "ARP_RATE_EXCEEDED", "ARP_SENDER_IP_INVALID", "ARP_SENDER_MAC_INVALID"), "arp_attack"),
    "PORTSEC_VIOLATION": "port_security",
    **dict.fromkeys(("STORM_CONSTRAIN_CONTROLLED", "STORM_CONSTRAIN_EXCEED"), "storm_control"),
    **dict.fromkeys(("CPU_MINOR_THRESHOLD", "CPU_SEVERE_THRESHOLD", "CORE_EXCEED_THRESHOLD"), "cpu_high"),
    **dict.fromkeys(("MEM_EXCEED_THRESHOLD", "MEM_ALERT"), "memory_high"),
    **dict.fromkeys(("TEMPERATURE_WARNING", "TEMPERATURE_ALARM", "TEMPERATURE_SHUTDOWN"), "temperature_high"),
    **dict.fromkeys(("FAN_FAILED", "FAN_ABSENT", "FAN_DIRECTION_NOT_PREFERRED"), "fan_failed"),
    **dict.fromkeys(("POWER_FAILED", "POWER_ABSENT", "POWER_MONITOR_FAILED"), "power_failed"),
    **dict.fromkeys(("BOARD_REMOVED", "SUBCARD_REMOVED", "CFCARD_REMOVED", "BOARD_STATE_FAULT", "SUBCARD_FAULT"), "card_removed"),
    **dict.fromkeys(("POWER_RECOVERED", "FAN_RECOVERED", "TEMPERATURE_NORMAL"), "device_recovered"),
    **dict.fromkeys(("LICENSE_EXPIRE_SOON", "LICENSE_EXPIRED"), "license_expiring"),
    **dict.fromkeys(("IPSEC_SA_TERMINATE", "IKE_P1_SA_TERMINATE", "IKE_P2_SA_TERMINATE"), "vpn_tunnel_down"),
    **dict.fromkeys(("SSHS_SFTP_OPER", "SSHS_SCP_OPER"), "file_transferred"),
}  # fmt: skip

_PARTS: Final = (
    ("LOGIN_FAIL", "device_login_failed"), ("AUTH_SERVER_DOWN", "aaa_server_down"),
    ("LICENSE_EXPIR", "license_expiring"), ("_RULE_CREATE_SUCCESS", "policy_changed"), ("_RULE_DELETE_SUCCESS", "policy_changed"), ("_RULE_UPDATE_SUCCESS", "policy_changed"),
    ("IPS_IPV4", "intrusion_detected"), ("IPS_IPV6", "intrusion_detected"), ("ANTI-VIRUS_IPV4", "intrusion_detected"), ("DHCPSP_", "dhcp_snooping"), ("DHCP_SNOOPING", "dhcp_snooping"),
)  # fmt: skip


def _action(module: str, mnemonic: str) -> str:
    if module in {"FILTER", "ASPF", "NAT", "SESSION"}:  # one mnemonic for permit and deny: the pairs say which
        return "traffic_denied" if mnemonic.startswith("DENY") else ""
    if module == "ATK":
        return (
            "flood_detected"
            if "FLOOD" in mnemonic
            else "scan_detected"
            if "SCAN" in mnemonic or "SWEEP" in mnemonic
            else "device_attack"
        )
    action = _ACTIONS.get(mnemonic)
    if action is not None:
        return action
    return next((action for part, action in _PARTS if part in mnemonic), "")


PARSERS = (MessageParser(_ORDER, claims, parse, "%"),)
