"""Messages of Huawei's VRP: routers, S and CloudEngine switches, USG firewalls.

``%%01MODULE/SEVERITY/MNEMONIC(TYPE)[COUNT]:[CID=...;]TEXT (NAME=VALUE, NAME=VALUE)``, as Huawei's log references give
it; the language of text and names follows the device (``language-mode``), so both are read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from secops.normalise.commands import VRP
from secops.normalise.devices import (
    Head,
    Maker,
    act,
    annotate,
    begin,
    in_brackets,
    interface,
    neighbor,
    pairs,
    peer,
    typed,
    user,
    with_command,
)
from secops.normalise.devices import head as make_head
from secops.normalise.parser import MessageParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.normalise.parser import Desk
    from secops.records import Event

_LEAD = "%%01"
_ORDER = 10  # devices are asked first: there are many of them, and their beginning is plain
_TRAP = "OID 1.3.6.1.4.1.2011."  # Huawei's number among the private enterprises
_HEAD = 200  # characters in which module, severity and mnemonic end
_WIDE = str.maketrans({"（": "(", "）": ")", "，": ",", "＝": "=", "：": ":", "；": ";"})
_DEVICE = Maker("huawei.vrp", "Huawei", "VRP")
_FIREWALL = _DEVICE._replace(type="firewall")
_FIREWALLS = frozenset({"SEC", "POLICY", "SECPOLICY", "SECLOG", "ATK", "IPS", "AV", "URL", "SECIF", "NAT"})


def claims(start: str) -> bool:
    """Whether it is this maker's: his mark, or a trap of his written out, whose module stands where a program does."""
    return start.startswith((_LEAD, _TRAP))


def parse(event: Event, message: str, _desk: Desk) -> None:
    """Read ``%%01MODULE/SEVERITY/MNEMONIC:TEXT``, or the text of a trap whose head became the program."""
    if message[: len(_LEAD)] == _LEAD:
        colon = message.find(":", len(_LEAD), _HEAD)
        name = message[len(_LEAD) : colon] if colon > 0 else ""
    else:
        colon, name = -1, str(event.get("process.name", ""))
    head = _head(name.partition("(")[0].partition("[")[0])
    if head is None:
        return
    begin(event, head)
    text = message[colon + 1 :].lstrip()
    if "＝" in text:
        text = text.translate(_WIDE).replace(",", ", ")
    if ";" in text[:96]:
        text = _components(event, text)
    found = _pairs_of(text) if "=" in text else {}
    if found:
        annotate(event, found)
        if "Command" in found:
            typed(event, found["Command"], VRP)
    reader = _READERS.get(head.name)
    if reader is not None:
        reader(event, text, found)


@lru_cache(maxsize=4096)
def _head(text: str) -> Head | None:
    """``MODULE/SEVERITY/MNEMONIC``."""
    parts = text.split("/", 2)
    if len(parts) != 3:  # noqa: PLR2004 - module, severity, mnemonic
        return None
    module, level, mnemonic = parts
    return make_head(_FIREWALL if module in _FIREWALLS else _DEVICE, module, level, mnemonic, _action(module, mnemonic))


def _components(event: Event, text: str) -> str:
    """Take ``CID=0x80ca2713;`` and ``Slot=3,Vcpu=1;`` off the beginning."""
    for _ in range(4):
        piece, semicolon, _ = text[:96].partition(";")
        if not semicolon or "=" not in piece or "(" in piece or " " in piece.strip():
            break
        event["original"] = {**event.get("original", {}), **pairs(piece.replace("-alarmID=", ",alarmID="), ",")}
        text = text[len(piece) + 1 :].lstrip()
    return text


def _pairs_of(text: str) -> dict[str, str]:
    if text[:5] == "vsys=":  # USG: the whole text
        return pairs(text.rstrip("."))
    if text[:6] == "IPVer=":
        return pairs(text.rstrip("."), ",")
    inside = in_brackets(text)
    if not inside:
        return pairs(text) if " = " in text else {}
    for mark in ('Command="', '命令="'):
        if mark in inside:
            return with_command(inside, mark)
    return pairs(inside)


def _interface_state(event: Event, text: str, found: dict[str, str]) -> None:
    """``Interface G0/0/1 has turned into DOWN state.``, ``The line protocol IP on the interface G0/0/1 has entered the UP state.``."""
    if "observer.ingress.interface.name" not in event:
        interface(event, text)
    state = found.get("OperStatus") or ("DOWN" if " DOWN state" in text else "UP" if " UP state" in text else "")
    if state.upper() in {"UP", "DOWN"}:
        act(event, f"interface_{state.lower()}")


def _bgp(event: Event, text: str, _found: dict[str, str]) -> None:
    """``The status of the peer 192.0.2.1 changed from ESTABLISHED to IDLE. (...)``."""
    neighbor(event, text.partition(" (")[0], "bgp")


def _ospf(event: Event, text: str, found: dict[str, str]) -> None:
    """``Neighbor changes event: ... (NeighborAddress=..., NeighborPreviousState=Full, NeighborCurrentState=Down)``."""
    who = found.get("NeighborAddress") or found.get("NbrIpAddr") or found.get("NeighborRouterId") or ""
    old = (
        found.get("NeighborPreviousState") or found.get("NbrPreviousState") or ("Full" if _CHANGED_DOWN in text else "")
    )
    new = found.get("NeighborCurrentState") or found.get("NbrCurrentState") or ("Down" if _CHANGED_DOWN in text else "")
    neighbor(event, f"{who} from {old} to {new}", "ospf")


def _moved(event: Event, text: str, _found: dict[str, str]) -> None:
    """``MAC move detected, VlanId = 10, ..., Original-Port = GE0/0/1, Flapping port = GE0/0/2. Please check ...``."""
    interface(event, text, "lapping port = " if "lapping port = " in text else "lapping port 1 = ")


def _login(event: Event, text: str, _found: dict[str, str]) -> None:
    """``VTY0 login from 192.0.2.1 succeed.`` where no pairs say it."""
    if "source.ip" not in event:
        peer(event, text.partition(" from ")[2])


def _super(event: Event, _text: str, found: dict[str, str]) -> None:
    """``User changed level. (User=..., Level=15, LoginResult=SUCCESS)``."""
    result = (found.get("LoginResult") or found.get("Result") or "").lower()
    event["event.outcome"] = "success" if result[:7] == "success" else "failure" if result else "unknown"


def _threat(event: Event, _text: str, found: dict[str, str]) -> None:
    """``An intrusion was detected. (..., Event=NAME, ...)``."""
    if found.get("Event"):
        event["rule.name"] = found["Event"]


def _account(event: Event, text: str, _found: dict[str, str]) -> None:
    """``Local account NAME has been locked.``."""
    user(event, text.partition("ccount ")[2].partition(" ")[0])


def _answer(event: Event, text: str, _found: dict[str, str]) -> None:
    """``The user chose Y when deciding whether to ...``: only a yes did it."""
    if "chose N" in text or "选择了N" in text:
        event["event.outcome"] = "failure"
        event["event.reason"] = "cancelled"
    else:
        event["event.outcome"] = "success"


_CHANGED_DOWN: Final = "changed to Down"
_READERS: Final[dict[str, Callable[[Event, str, dict[str, str]], None]]] = {
    **dict.fromkeys(("IFNET/IF_STATE", "IFNET/LINK_STATE", "IFPDT/IF_STATE", "IFNET/linkDown_active", "IFNET/linkDown_clear"), _interface_state),
    **dict.fromkeys(("BGP/STATE_CHG_UPDOWN", "BGP/PEER_STATE_CHG"), _bgp),
    **dict.fromkeys(("OSPF/NBR_CHG_DOWN", "OSPF/NBR_CHANGE_E", "OSPF/NBR_CHANGE", "OSPF/NBR_DOWN_REASON"), _ospf),
    **dict.fromkeys(("SHELL/LOGIN", "CLI/LOGIN", "SHELL/LOGINFAILED", "LINE/LOGIN_FAIL"), _login),
    **dict.fromkeys(("L2IFPPI/MFLPVLANALARM", "FEI/hwMflpVlanLoopAlarm_active"), _moved),
    "CMD/SUPERLOGIN": _super,
    "IPSTRAP/THREATTRAP": _threat,
    **dict.fromkeys(("CFM/SAVE", "CFM/SAVE_FILE", "CMD/REBOOT", "CMD/SYSTEM_REBOOT", "CFM/RST_CFG"), _answer),
    **dict.fromkeys(("AAA/LOCALACCOUNT_LOCK", "AAA/LOCALACCOUNT_UNLOCK", "AAA/LOCALACCOUNT_DELETE", "AAA/LOCALACCOUNT_MODIFY"), _account),
}  # fmt: skip

# MODULE/MNEMONIC -> action (secops.normalise.devices.MEANINGS).
_ACTIONS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("SSH/SSH_USER_LOGIN", "SHELL/LOGIN", "CLI/LOGIN", "LINE/VTYUSERLOGIN", "FTPS/LOGIN_OK"),
        "device_login",
    ),
    **dict.fromkeys(
        (
            *("SSH/SSH_FAIL", "SSH/SSH_USER_LOGIN_FAIL", "SHELL/LOGINFAILED", "CLI/LOGINFAILED", "CLI/LOGIN_FAILED"),
            *("LINE/LOGIN_FAIL", "FTPS/LOGINFAILED", "FTPS/LOGIN_FAIL"),
        ),
        "device_login_failed",
    ),
    **dict.fromkeys(("SHELL/LOGOUT", "CLI/LOGOUT", "SSH/SSH_USER_LOGOUT", "LINE/VTYUSERLOGOUT"), "device_logout"),
    **dict.fromkeys(
        ("SSH/SSHS_IP_BLOCK_CLIENT", "SSH/IP_LOCKED", "TELNETS/TELNETS_IP_BLOCK_CLIENT", "TELNETS/IP_LOCKED"),
        "device_source_locked",
    ),
    **dict.fromkeys(("CMD/SUPERLOGIN", "LINE/AUTHORITY_CHANGE"), "device_privilege_changed"),
    **dict.fromkeys(("AAA/LOCALACCOUNT_LOCK", "AAA/REMOTEACCOUNT_LOCK"), "device_user_locked"),
    "AAA/LOCALACCOUNT_DELETE": "device_user_removed",
    "AAA/LOCALACCOUNT_UNLOCK": "device_user_changed",
    "SHELL/LOGIN_FAIL_FOR_INPUT_TIMEOUT": "",  # nobody answered the prompt: no attempt
    **dict.fromkeys(("AAA/LOCALACCOUNT_PASSWORD_MODIFY", "AAA/LOCALACCOUNT_MODIFY"), "device_password_changed"),
    "CFM/RST_CFG": "device_config_erased",
    "SNMP/SNMP_MIB_SET": "snmp_set",
    "SHELL/CHANGE_PASSWORD_FAIL": "device_password_change_failed",
    **dict.fromkeys(
        ("SHELL/CMDRECORD", "CLI/CMDRECORD", "SHELL/DISPLAY_CMDRECORD", "SHELL/CMDCONFIRM_NOPROMPT"), "device_command"
    ),
    **dict.fromkeys(("SHELL/CMDRECORDFAILED", "CLI/CMDRECORDFAILED"), "device_command_failed"),
    **dict.fromkeys(
        ("DS/DATASYNC_CFGCHANGE", "CONFIGURATION/hwCfgChgNotification", "CONFIGURATION/CFGCHANGE"), "device_config_changed"
    ),
    **dict.fromkeys(("CFM/SAVE", "CFM/SAVE_FILE"), "device_config_saved"),
    **dict.fromkeys(("CMD/REBOOT", "CMD/SYSTEM_REBOOT"), "device_reboot"),
    **dict.fromkeys(("RDS/RDAUTHDOWN", "RDS/RDACCTDOWN", "TAC/TACAUTHDOWN", "TAC/TACACCTDOWN", "TAC/TACAUTHORDOWN"), "aaa_server_down"),
    **dict.fromkeys(("RDS/RDAUTHUP", "RDS/RDACCTUP", "TAC/TACAUTHUP", "TAC/TACACCTUP", "TAC/TACAUTHORUP"), "aaa_server_up"),
    **dict.fromkeys(("SNMP/SNMP_FAIL", "SNMP/SNMP_IPLOCK"), "snmp_auth_failed"),
    **dict.fromkeys(("NTP/SOURCE_LOST", "NTP/REACHABILITY_CHANGE"), "ntp_lost"),
    **dict.fromkeys(("SSH/SCP_FILE_DOWNLOAD", "SSH/SCP_FILE_UPLOAD", "SSH/SFTP_FILE_INFO", "CFM/CFM_TRANS_FILE"), "file_transferred"),
    "BGP/BGP_AUTH_FAILED": "bgp_auth_failed",
    "OSPF/PACKET_AUTH_FAIL": "ospf_auth_failed",
    **dict.fromkeys(("MSTP/ROOT_LOST", "MSTP/ROOT_PROTECTION"), "stp_root_changed"),
    **dict.fromkeys(("MSTP/BPDU_PROTECTION", "MSTP/hwMstpBpduGuarded_active"), "bpdu_guard"),
    **dict.fromkeys(("LDT/Porttrap", "LDT/Vlantrap"), "loop_detected"),
    **dict.fromkeys(
        (
            *("L2IFPPI/MFLPVLANALARM", "L2IFPPI/MFLPBDALARM", "L2IF/MAC_FLAPPING_ALARM", "L2IF/hwMacHopAlarm_active"),
            *("FEI/hwMflpVlanLoopAlarm_active", "L2IFPPI/PORTSECSTATICFLP"),
        ),
        "mac_flapping",
    ),
    **dict.fromkeys(("ARP/ARP_DUPLICATE_IPADDR", "ARP/ARP_IPCONFLICT_TRAP", "ARP/hwEthernetARPIPConflictEvent"), "arp_conflict"),
    **dict.fromkeys(
        ("SECE/GWCONFLICT", "SECE/DAI_DROP_PACKET", "SECE/SPECIFY_SIP_ATTACK", "SECE/ARP_PACKET_CHECK", "SECE/ARP_ENTRY_CHECK"), "arp_attack"
    ),
    **dict.fromkeys(("DHCP/hwDhcpPktRateAlarm", "DHCP/PKT_DISCARD", "DHCP/hwDhcpSnpChaddrAlarm"), "dhcp_snooping"),
    **dict.fromkeys(("L2IFPPI/PORTSECRCVILLEGALMAC", "L2IFPPI/PORTSECRCVINSECUREMAC_ALARM"), "port_security"),
    **dict.fromkeys(("DEFD/CPCAR_DROP_MPU", "DEFD/CPCAR_DROP_LPU", "SECE/USER_ATTACK", "SECE/PORT_ATTACK", "SECE/PORT_ATTACK_OCCUR"), "device_attack"),
    "SECE/STORMCTRL": "storm_control",
    **dict.fromkeys(("VOSCPU/CPU_USAGE_HIGH", "ENTITYTRAP/ENTITYCPUALARM"), "cpu_high"),
    **dict.fromkeys(("VOSMEM/MEM_USAGE_HIGH", "ENTITYTRAP/ENTITYMEMORYALARM"), "memory_high"),
    **dict.fromkeys(("ENTITYTRAP/ENTITYBRDTEMPALARM", "ALML/TEMP_UPPER"), "temperature_high"),
    **dict.fromkeys(("ENTITYTRAP/FANINVALID", "ALML/FANINVALID", "ALML/FAN_INVALID", "ENTITYTRAP/FANREMOVE"), "fan_failed"),
    **dict.fromkeys(("ENTITYTRAP/POWERINVALID", "ALML/POWERINVALID", "ALML/POWERABSENT", "ENTITYTRAP/POWERREMOVE"), "power_failed"),
    **dict.fromkeys(("ENTITYTRAP/ENTITYREMOVE", "ALML/ENTPOUT", "ENTITYTRAP/BOARDREMOVE"), "card_removed"),
    **dict.fromkeys(("LCS/LICENSE_EXPIRING", "LCS/LICENSE_EXPIRED", "LCS/hwGtlDefaultValue_active"), "license_expiring"),
    **dict.fromkeys(("IPSEC/IPSECTUNNELSTOP", "IPSEC/TUNNEL_DOWN", "L2TP/TUNNEL_DOWN"), "vpn_tunnel_down"),
    "SECLOG/SESSION_TEARDOWN": "session_ended",
    **dict.fromkeys(("IPSTRAP/THREATTRAP", "IPS/THREAT"), "intrusion_detected"),
    **dict.fromkeys(("SEC/POLICYDENY", "POLICY/POLICYDENY", "SECPOLICY/POLICYDENY"), "traffic_denied"),
    **dict.fromkeys(("SEC/POLICYPERMIT", "POLICY/POLICYPERMIT", "SECPOLICY/POLICYPERMIT"), "traffic_allowed"),
}  # fmt: skip

# Where a product's log reference has a mnemonic of its own for the same thing: part of the mnemonic -> action.
_PARTS: Final = (
    ("LOGINFAIL", "device_login_failed"), ("LOGIN_FAIL", "device_login_failed"), ("LOGIN_SUCC", "device_login"),
    ("CPU_USAGE_HIGH", "cpu_high"), ("MEM_USAGE_HIGH", "memory_high"), ("FANINVALID", "fan_failed"), ("POWERINVALID", "power_failed"),
    ("LICENSE_EXPIR", "license_expiring"), ("DHCPSNP", "dhcp_snooping"), ("STORMCTRL", "storm_control"), ("BPDU_PROTECTION", "bpdu_guard"),
)  # fmt: skip


def _action(module: str, mnemonic: str) -> str:
    action = _ACTIONS.get(f"{module}/{mnemonic}")
    if action is not None:
        return action
    upper = mnemonic.upper()
    return next((action for part, action in _PARTS if part in upper), "")


PARSERS = (MessageParser(_ORDER, claims, parse, "%O"),)
