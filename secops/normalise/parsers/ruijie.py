"""Messages in the form that IOS gave to the trade: Ruijie's RGOS, Cisco's IOS, NX-OS and ASA.

``%MODULE-SEVERITY-MNEMONIC: TEXT``; Ruijie also sends RFC 5424 with module, severity and mnemonic in the places of
program, process and message id. The same ``%SYS-5-CONFIG_I`` comes from either maker: where the message cannot say whose
it is, the dataset is ``network.ios``, and rules for either maker look at it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise.commands import IOS
from secops.normalise.devices import Head, Maker, act, begin, interface, neighbor, peer, typed, user
from secops.normalise.devices import head as make_head
from secops.normalise.parser import MessageParser, ProgramParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.normalise.parser import Desk
    from secops.records import Event

_ORDER = 10  # devices are asked first: there are many of them, and their beginning is plain
_HEAD = 160

# Modules that only one maker has, by their public log references.
_RUIJIE = frozenset({"CLI", "LOGIN", "RLDP", "VSU", "SYSMON", "PKG_MGMT", "WEB_AUTH", "DEVMGR"})
_CISCO = frozenset(
    {"SEC_LOGIN", "SEC", "PARSER", "VSHD", "DUAL", "CDP", "SW_MATM", "PM", "SW_DAI", "HA_EM", "ETHPORT", "ILPOWER"}
)
_RGOS = Maker("ruijie.rgos", "Ruijie", "RGOS")
_ASA = frozenset({"ASA", "FTD", "PIX"})


def claims(start: str) -> bool:
    """Whether the message begins with ``%MODULE-SEVERITY-MNEMONIC:``."""
    colon = start.find(":", 1, _HEAD) if start[:1] == "%" else -1
    return colon > 0 and _head(start[1:colon]) is not None


def parse(event: Event, message: str, _desk: Desk) -> None:
    """Read a message that begins with ``%MODULE-SEVERITY-MNEMONIC:``."""
    colon = message.find(":", 1, _HEAD)
    head = _head(message[1:colon]) if colon > 0 else None
    if head is None:
        return
    _read(event, head, message[colon + 1 :].strip())


def parse_program(event: Event, message: str) -> None:
    """Read Ruijie's RFC 5424: ``SYS 5 CONFIG_I - TEXT``; a program of that name on a host has no such message id."""
    level, mnemonic = event.get("process.pid"), event.get("log.syslog.msgid")
    module = str(event.get("process.name", ""))
    if mnemonic and isinstance(level, int) and module.isupper():
        head = make_head(_RGOS, module, str(level), mnemonic, _action(module, mnemonic))
        if head is not None:
            _read(event, head, message)


@lru_cache(maxsize=4096)
def _head(text: str) -> Head | None:
    """``MODULE-SEVERITY-MNEMONIC``; a module may have a hyphen of its own, as ``STACKMGR-SW1-4-LINK_CHANGE``."""
    parts = text.split("-")
    place = next((at for at in range(1, len(parts) - 1) if len(parts[at]) == 1 and parts[at].isdigit()), 0)
    if not place:
        return None
    module, mnemonic = "-".join(parts[:place]), "-".join(parts[place + 1 :])
    return make_head(_maker(module), module, parts[place], mnemonic, _action(module, mnemonic))


def _maker(module: str) -> Maker:
    if module in _RUIJIE or module.startswith("NFPP"):
        return _RGOS
    if module in _ASA:
        return Maker("cisco.asa", "Cisco", "ASA", "firewall")
    return Maker("cisco.ios", "Cisco", "IOS") if module in _CISCO else Maker("network.ios", "", "")


def _read(event: Event, head: Head, text: str) -> None:
    begin(event, head)
    reader = _READERS.get(head.action)
    if reader is not None:
        reader(event, text)


def _login(event: Event, text: str) -> None:
    """``Login failed [user: NAME] [Source: 192.0.2.1] ...``, ``User NAME login from vty0(192.0.2.1) OK.``."""
    if "[user: " in text:  # the name is whoever's choice: the address is what stands behind the last mark
        name, _, rest = text.partition("[user: ")[2].rpartition("] [Source: ")
        user(event, name)
        peer(event, rest.partition("]")[0])
        return
    head, _, where = text.rpartition(" from ")
    words = head[:300].split(" ")
    if len(words) > 2 and words[0].lower() == "user" and words[-1].lower() in {"login", "logout"}:  # noqa: PLR2004 - a name between them
        user(event, " ".join(words[1:-1]))
    _place(event, where)


def _place(event: Event, where: str) -> None:
    """``vty0(192.0.2.1) OK.``, ``192.0.2.1 failed.``."""
    inside = where[:96].partition("(")[2]
    peer(event, inside.partition(")")[0] if inside else where)


def _configured(event: Event, text: str) -> None:
    """``Configured from console by NAME on vty0 (192.0.2.1)``."""
    who, _, where = text.partition(" by ")[2].partition(" on ")
    if who != "console":
        user(event, who)
    _place(event, where)


def _command(event: Event, text: str) -> None:
    """``User:NAME  logged command:no logging on``, ``Configured from vty0(192.0.2.1) by NAME command: no logging on``."""
    head, mark, command = text.partition("command:")
    if not mark:
        return
    typed(event, command, IOS)
    if head[:5] == "User:":
        user(event, head[5:].partition("  ")[0].removesuffix(" logged"))
        return
    user(event, head.partition(" by ")[2])
    _place(event, head.partition(" from ")[2])


def _interface_down(event: Event, text: str) -> None:
    """``Interface GigabitEthernet 0/1, changed state to down``, ``Line protocol on Interface Gi0/1, changed state to up``."""
    interface(event, text)
    if text.rstrip(". ").endswith(" up"):
        act(event, "interface_up")


def _bgp(event: Event, text: str) -> None:
    neighbor(event, text, "bgp")


def _ospf(event: Event, text: str) -> None:
    neighbor(event, text, "ospf")


def _snmp(event: Event, text: str) -> None:
    """``Authentication failure for SNMP req from host 192.0.2.1``."""
    peer(event, text.rpartition(" host ")[2])


def _host(event: Event, text: str) -> None:
    """``Host<IP=192.0.2.1,MAC=0000.0000.0004,port=Gi4/1,VLAN=1> was detected.``."""
    inside = text.partition("<")[2].partition(">")[0]
    found = {name.strip(): value for name, _, value in (part.partition("=") for part in inside.split(",", 16)) if value}
    if not found:
        _port(event, text)
        return
    event["original"] = {**event.get("original", {}), **found}
    peer(event, found.get("IP", ""))
    if found.get("MAC"):
        event["source.mac"] = found["MAC"]
    if found.get("port"):
        event["observer.ingress.interface.name"] = found["port"]


def _port(event: Event, text: str) -> None:
    """``... on port Gi0/1 ...``, ``... on interface Gi0/1 ...``."""
    for word in ("nterface ", " port ", " on "):
        if word in text:
            interface(event, text, word)
            return


_READERS: Final[dict[str, Callable[[Event, str], None]]] = {
    **dict.fromkeys(("device_login", "device_login_failed", "device_logout"), _login),
    "device_config_changed": _configured,
    "device_command": _command,
    "interface_down": _interface_down,
    "bgp_neighbor_down": _bgp,
    "ospf_neighbor_down": _ospf,
    "snmp_auth_failed": _snmp,
    **dict.fromkeys(("arp_attack", "device_attack", "arp_conflict", "dhcp_snooping"), _host),
    **dict.fromkeys(("bpdu_guard", "port_security", "storm_control", "mac_flapping", "loop_detected"), _port),
}

# MODULE/MNEMONIC -> action (secops.normalise.devices.MEANINGS).
_ACTIONS: Final[dict[str, str]] = {
    **dict.fromkeys(("LOGIN/LOGIN_SUCCESS", "SEC_LOGIN/LOGIN_SUCCESS"), "device_login"),
    "SEC_LOGIN/LOGIN_FAILED": "device_login_failed",
    **dict.fromkeys(("SYS/LOGOUT", "LOGIN/LOGOUT"), "device_logout"),
    "SEC_LOGIN/QUIET_MODE_ON": "device_source_locked",
    **dict.fromkeys(("SYS/CONFIG_I", "SYS/CONFIG", "VSHD/VSHD_SYSLOG_CONFIG_I"), "device_config_changed"),
    **dict.fromkeys(("CLI/EXEC_CMD", "PARSER/CFGLOG_LOGGEDCMD"), "device_command"),
    **dict.fromkeys(("SYS/RESTART", "SYS/RELOAD", "SYS/COLDSTART", "SYS/WARMSTART"), "device_reboot"),
    "SYS/CLOCKUPDATE": "clock_changed",
    "SYS/CPUHOG": "cpu_high",
    "SYS/CPURISINGTHRESHOLD": "cpu_high",
    "SYS/MALLOCFAIL": "memory_high",
    **dict.fromkeys(("LINK/UPDOWN", "LINEPROTO/UPDOWN", "LINK/CHANGED", "ETHPORT/IF_DOWN_LINK_FAILURE"), "interface_down"),
    "BGP/ADJCHANGE": "bgp_neighbor_down",
    **dict.fromkeys(("OSPF/ADJCHG", "OSPF/NBRCHG"), "ospf_neighbor_down"),
    **dict.fromkeys(("TCP/BADAUTH", "BGP/BADAUTH"), "bgp_auth_failed"),
    **dict.fromkeys(("SNMP/AUTHFAIL", "SNMP/AUTHFAILURE"), "snmp_auth_failed"),
    **dict.fromkeys(("SPANTREE/ROOTCHANGE", "SPANTREE/ROOTGUARD_BLOCK"), "stp_root_changed"),
    **dict.fromkeys(("SPANTREE/BLOCK_BPDUGUARD", "SPANTREE/BPDUGUARD_BLOCK"), "bpdu_guard"),
    **dict.fromkeys(("SW_MATM/MACFLAP_NOTIF", "MAC_MOVE/NOTIF", "L2FM/L2FM_MAC_MOVE"), "mac_flapping"),
    **dict.fromkeys(("IP/DUPADDR", "ARP/DUPADDR", "IP/DUPADDR1"), "arp_conflict"),
    **dict.fromkeys(("SW_DAI/DHCP_SNOOPING_DENY", "SW_DAI/INVALID_ARP"), "arp_attack"),
    **dict.fromkeys(("DHCP_SNOOPING/DHCP_SNOOPING_UNTRUSTED_PORT", "DHCP_SNOOPING/DHCP_SNOOPING_MATCH_MAC_FAIL"), "dhcp_snooping"),
    "PORT_SECURITY/PSECURE_VIOLATION": "port_security",
    **dict.fromkeys(("STORM_CONTROL/FILTERED", "STORM_CONTROL/SHUTDOWN"), "storm_control"),
    **dict.fromkeys(("AAA/SERVER_DEAD", "RADIUS/RADIUS_DEAD", "RADIUS/SERVER_DEAD", "TACACS/SERVER_DEAD"), "aaa_server_down"),
    **dict.fromkeys(("AAA/SERVER_ALIVE", "RADIUS/RADIUS_ALIVE", "RADIUS/SERVER_ALIVE"), "aaa_server_up"),
    **dict.fromkeys(("OIR/REMCARD", "OIR/CARDOUT"), "card_removed"),
    "RLDP/LINK_DETECT_ERROR": "loop_detected",
    "CRYPTO/IKMP_DOWN": "vpn_tunnel_down",
    **dict.fromkeys(("NTP/PEERUNREACH", "NTP/UNSYNC"), "ntp_lost"),
}  # fmt: skip

# Modules and mnemonics that differ from product to product: part of MODULE/MNEMONIC -> action; the first that fits counts.
_PARTS: Final = (
    ("LOGIN_FAIL", "device_login_failed"), ("LOGIN_SUCC", "device_login"),
    ("NFPP_ARP_GUARD/DOS_DETECTED", "arp_attack"), ("NFPP_ARP_GUARD/SCAN", "arp_attack"), ("GUARD/DOS_DETECTED", "device_attack"),
    ("GUARD/SCAN", "device_attack"), ("BPDUGUARD", "bpdu_guard"), ("DHCP_SNOOPING", "dhcp_snooping"), ("PSECURE_VIOLATION", "port_security"),
    ("STORM_CONTROL", "storm_control"), ("MACFLAP", "mac_flapping"), ("MAC_MOVE", "mac_flapping"), ("SERVER_DEAD", "aaa_server_down"),
    ("FAN_FAIL", "fan_failed"), ("FANFAIL", "fan_failed"), ("FAN_ABNORMAL", "fan_failed"), ("PWRFAIL", "power_failed"), ("POWER_FAIL", "power_failed"),
    ("PS_FAIL", "power_failed"), ("OVERTEMP", "temperature_high"), ("TEMP_HIGH", "temperature_high"), ("TEMP_WARN", "temperature_high"),
    ("CPU_HIGH", "cpu_high"), ("CPU_USAGE", "cpu_high"), ("MEM_HIGH", "memory_high"), ("LICENSE_EXPIR", "license_expiring"),
)  # fmt: skip


def _action(module: str, mnemonic: str) -> str:
    name = f"{module}/{mnemonic}"
    action = _ACTIONS.get(name)
    if action is not None:
        return action
    return next((action for part, action in _PARTS if part in name), "")


# Ruijie's modules in RFC 5424's place of the program; those whose messages the rules look for.
_PROGRAMS: Final = (
    "sys", "cli", "login", "link", "lineproto", "ospf", "bgp", "snmp", "spantree", "rldp", "oir", "aaa",
    "dhcp_snooping", "port_security", "storm_control", "nfpp_arp_guard", "nfpp_dhcp_guard", "nfpp_ip_guard", "nfpp_icmp_guard",
)  # fmt: skip
PARSERS = (MessageParser(_ORDER, claims, parse, "%"), ProgramParser(_PROGRAMS, parse_program))
