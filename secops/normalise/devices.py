"""What the messages of network devices have in common, whoever made the device.

A device names each message by a module and a mnemonic. A parser's table says what a message *is* in words that hold for
every maker (``MEANINGS``), so that one rule covers all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.normalise.commands import written_out
from secops.normalise.schema import address, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.normalise.commands import Vocabulary
    from secops.records import Event

MOST_PAIRS: Final = 64  # name=value pairs read of one message
_LONGEST_NAME: Final = 48
_LONGEST_VALUE: Final = 2048
_LONGEST_CODE: Final = 120


class Maker(NamedTuple):
    """Whose message it is."""

    dataset: str  # <module>.<name>
    vendor: str  # "" if the message cannot say
    product: str
    type: str = "network"  # ECS observer.type


class Meaning(NamedTuple):
    """How ECS categorises an action; ``outcome`` is "" where the message itself must say."""

    category: str
    type: str
    outcome: str = ""


MEANINGS: Final[Mapping[str, Meaning]] = {
    "device_login": Meaning("authentication", "start", "success"),
    "device_login_failed": Meaning("authentication", "start", "failure"),
    "device_logout": Meaning("authentication", "end", "success"),
    "device_ssh_auth": Meaning("authentication", "info"),  # a login reports itself once more by device_login
    "device_source_locked": Meaning("authentication", "denied", "failure"),
    "device_privilege_changed": Meaning("iam", "change"),
    "device_user_added": Meaning("iam", "creation", "success"),
    "device_user_removed": Meaning("iam", "deletion", "success"),
    "device_user_changed": Meaning("iam", "change", "success"),
    "device_user_locked": Meaning("iam", "change", "failure"),
    "device_password_changed": Meaning("iam", "change", "success"),
    "device_password_change_failed": Meaning("iam", "change", "failure"),
    "device_command": Meaning("configuration", "info", "success"),
    "device_command_failed": Meaning("configuration", "error", "failure"),
    "device_config_changed": Meaning("configuration", "change", "success"),
    "device_config_saved": Meaning("configuration", "change", "success"),
    "device_config_erased": Meaning("configuration", "deletion"),
    "device_access_denied": Meaning("network", "denied", "failure"),
    "snmp_set": Meaning("configuration", "change", "success"),
    "policy_changed": Meaning("configuration", "change", "success"),
    "device_reboot": Meaning("host", "change"),
    "device_log_lost": Meaning("host", "error", "failure"),
    "aaa_server_down": Meaning("authentication", "error", "failure"),
    "aaa_server_up": Meaning("authentication", "info", "success"),
    "snmp_auth_failed": Meaning("authentication", "denied", "failure"),
    "clock_changed": Meaning("host", "change", "success"),
    "ntp_lost": Meaning("host", "error", "failure"),
    "file_transferred": Meaning("file", "access", "success"),
    "interface_down": Meaning("network", "end"),
    "interface_up": Meaning("network", "start"),
    "interface_flapping": Meaning("network", "error"),
    "bgp_neighbor_down": Meaning("network", "end", "failure"),
    "bgp_neighbor_up": Meaning("network", "start", "success"),
    "bgp_auth_failed": Meaning("network", "denied", "failure"),
    "ospf_neighbor_down": Meaning("network", "end", "failure"),
    "ospf_neighbor_up": Meaning("network", "start", "success"),
    "ospf_auth_failed": Meaning("network", "denied", "failure"),
    "stp_root_changed": Meaning("network", "change"),
    "bpdu_guard": Meaning("network", "denied"),
    "loop_detected": Meaning("network", "error", "failure"),
    "mac_flapping": Meaning("network", "error"),
    "arp_conflict": Meaning("network", "error"),
    "arp_attack": Meaning("intrusion_detection", "info"),
    "dhcp_snooping": Meaning("intrusion_detection", "denied"),
    "port_security": Meaning("intrusion_detection", "denied"),
    "device_attack": Meaning("intrusion_detection", "info"),
    "storm_control": Meaning("network", "denied"),
    "cpu_high": Meaning("host", "error"),
    "memory_high": Meaning("host", "error"),
    "temperature_high": Meaning("host", "error"),
    "fan_failed": Meaning("host", "error", "failure"),
    "power_failed": Meaning("host", "error", "failure"),
    "card_removed": Meaning("host", "change"),
    "device_recovered": Meaning("host", "info", "success"),
    "license_expiring": Meaning("host", "info"),
    "vpn_tunnel_down": Meaning("network", "end", "failure"),
    "intrusion_detected": Meaning("intrusion_detection", "info"),
    "scan_detected": Meaning("intrusion_detection", "info"),
    "flood_detected": Meaning("intrusion_detection", "info"),
    "nac_login_failed": Meaning("authentication", "denied", "failure"),
    "routing_conflict": Meaning("network", "error"),
    "session_ended": Meaning("network", "end"),
    "traffic_denied": Meaning("network", "denied"),
    "traffic_allowed": Meaning("network", "allowed"),
}
"""``event.action`` -> its category. The actions are the vocabulary that rules of the family ``network-device`` use."""

_SAME_ACTION: Final = {
    "device_login_failed": "device_login",
    "device_command_failed": "device_command",
    "device_password_change_failed": "device_password_changed",
}  # told apart by event.outcome, as ECS has it

_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("user", "username", "user name", "user-name", "用户名", "用户"), "user.name"),
    **dict.fromkeys(
        (
            *("ip", "ipaddress", "ipaddr", "useraddress", "userip", "remoteip", "sourceip", "srcip", "source-ip", "sourceaddress"),
            *("srcipaddr", "ip地址", "地址", "sourceattackip", "client ip", "clientip", "ip address"),
        ),
        "source.ip",
    ),
    **dict.fromkeys(("destination-ip", "dstipaddr", "dstip", "destinationip", "dsthost"), "destination.ip"),
    **dict.fromkeys(("source-port", "srcport", "sourceport"), "source.port"),
    **dict.fromkeys(("destination-port", "dstport", "destinationport"), "destination.port"),
    **dict.fromkeys(
        ("interfacename", "ifname", "interface", "sourceinterface", "sourceattackinterface", "physicalinterface", "rcvifname", "port"),
        "observer.ingress.interface.name",
    ),
    **dict.fromkeys(("rule-name", "rulename", "attackname"), "rule.name"),
    **dict.fromkeys(("mac", "macaddress", "macaddr", "srcmacaddr", "sourcemac", "usermacaddress"), "source.mac"),
    **dict.fromkeys(("failedreason", "reason", "statechangereason", "failreason"), "event.reason"),
}  # fmt: skip
"""Names of pairs, lower case -> ECS field."""

_NOBODY: Final = frozenset({"", "*", "**", "-", "--", "_system_", "none", "null", "N/A"})
_USER: Final = frozenset({"user", "username", "user name", "user-name", "用户名", "用户"})
_UP: Final = frozenset({"ESTABLISHED", "FULL", "UP"})


class Head(NamedTuple):
    """What all messages of one module, severity and mnemonic have in common; parsers keep the last few thousand."""

    fields: Mapping[str, Any]  # ECS fields that are the same in each
    action: str  # of MEANINGS, or ""
    name: str  # MODULE/MNEMONIC


def head(maker: Maker, module: str, level: str, mnemonic: str, action: str) -> Head | None:
    """Give the head of a message, ``None`` if these do not look like one; ``level`` is 0 (worst) to 7."""
    both = module + mnemonic
    if len(level) != 1 or level not in "01234567" or not (module and mnemonic) or len(both) > _LONGEST_CODE:
        return None
    if not both.isascii() or " " in both:
        return None
    fields: dict[str, Any] = {
        "event.module": maker.dataset.partition(".")[0],
        "event.dataset": maker.dataset,
        "event.code": f"{module}/{mnemonic}",
        "log.syslog.severity.code": int(level),
        "observer.type": maker.type,
    }
    if maker.vendor:
        fields |= {"observer.vendor": maker.vendor, "observer.product": maker.product}
    return Head(fields, action, f"{module}/{mnemonic}")


def begin(event: Event, found: Head) -> None:
    """Note what the head says, the action included."""
    event.update(found.fields)
    if found.action:
        act(event, found.action)


def act(event: Event, action: str) -> None:
    """Set action, category, type and outcome; nothing for ""."""
    if not action:
        return
    category, kind, outcome = MEANINGS[action]
    event["event.action"] = _SAME_ACTION.get(action, action)
    event["event.category"] = [category]
    event["event.type"] = [kind]
    if outcome:
        event["event.outcome"] = outcome


def pairs(text: str, separator: str = ", ") -> dict[str, str]:
    """Read ``NAME=VALUE, NAME=VALUE``; what lies between two separators without "=" belongs to the value before.

    Whoever logs in chooses the user name, commas and all. Of a name that comes twice, the value that cannot be the
    user's counts: the one before the user name, else the last one.
    """
    found: dict[str, str] = {}
    before: frozenset[str] = frozenset()
    last = ""
    for part in text.split(separator, MOST_PAIRS):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name or len(name) > _LONGEST_NAME or name in before:
            if last:
                found[last] = f"{found[last]}{separator}{part}"[:_LONGEST_VALUE]
            continue
        found[name] = value.strip().strip('"')[:_LONGEST_VALUE]
        last = name
        if not before and name.lower() in _USER:
            before = frozenset(found)
    return found


def in_brackets(text: str) -> str:
    """Give the inside of the brackets that hold pairs, "" if there are none."""
    start = text.find("(")
    for _ in range(8):
        if start < 0:
            return ""
        equals = text.find("=", start, start + _LONGEST_NAME)
        if equals > 0 and text.find(")", start, equals) < 0:
            rest = text[start + 1 :].rstrip(" .\r\n\0")
            return rest[:-1] if rest[-1:] == ")" else rest.partition(")")[0]
        start = text.find("(", start + 1)
    return ""


def with_command(text: str, mark: str = 'Command="') -> dict[str, str]:
    """Read pairs of which one is a quoted command: whoever types it may write anything in it."""
    head, _, tail = text.partition(mark)
    command, quote, rest = tail.rpartition('"')
    if not quote:
        command, rest = tail, ""
    found = pairs(head.rstrip(", "))
    for name, value in pairs(rest.lstrip(", ")).items() if rest else ():
        found.setdefault(name, value)
    found["Command"] = command[:_LONGEST_VALUE]
    return found


def annotate(event: Event, found: Mapping[str, str]) -> None:
    """Keep the pairs in ``original`` and note those that ECS has a field for."""
    if not found:
        return
    event["original"] = {**event.get("original", {}), **found}
    for name, value in found.items():
        field = _NAMES.get(name.lower())
        if field is not None and value not in _NOBODY:
            _put(event, field, value)


def _put(event: Event, field: str, value: str) -> None:
    if field.endswith(".ip"):
        if (found := address(value)) is not None:
            event[field] = found
    elif field.endswith(".port"):
        if (port := number(value)) is not None:
            event[field] = port
    else:
        event[field] = value


def typed(event: Event, command: str, vocabulary: Vocabulary) -> None:
    """Note a command with its words in full; if some were abbreviated, ``original`` keeps what was typed."""
    command = command.strip()[:_LONGEST_VALUE]
    full = written_out(command, vocabulary)
    event["process.command_line"] = full
    if full is not command:
        event["original"] = {**event.get("original", {}), "command.typed": command}


def user(event: Event, name: str) -> None:
    """Note who it was, unless the device did not know."""
    name = name.strip()
    if name not in _NOBODY:
        event["user.name"] = name[:256]


def peer(event: Event, text: str) -> None:
    """Note the address with which ``text`` begins, if it does: ``192.0.2.1.``, ``192.0.2.1 port 22``, ``(192.0.2.1)``."""
    found = address(text[:64].lstrip(" (").partition(" ")[0].rstrip(".,;:)("))
    if found is not None:
        event["source.ip"] = found


def interface(event: Event, text: str, word: str = "nterface ") -> None:
    """Note the interface that ``text`` names after ``word``: ``Interface Gi0/1,``, ``interface GigabitEthernet 0/1``."""
    rest = text.partition(word)[2][:96].split(" ", 2)
    name = rest[0].rstrip(".,:;")
    if len(rest) > 1 and name.isalpha() and rest[1][:1].isdigit():  # Ruijie: "GigabitEthernet 0/1"
        name = f"{name} {rest[1].rstrip('.,:;')}"
    if name:
        event["observer.ingress.interface.name"] = name


def neighbor(event: Event, text: str, protocol: str) -> None:
    """Read ``... NEIGHBOUR ... from STATE to STATE ...`` or ``neighbor NEIGHBOUR Down``: only up and down are actions."""
    words = [word.strip(".,;:()") for word in text[:400].split(" ", 32)]
    for word in words:
        if word[:1].isdigit() or ":" in word:
            found = address(word.partition("-")[0])
            if found is not None:
                event["original"] = {**event.get("original", {}), "neighbor": found}
                break
    old, new = _after(words, "from"), _after(words, "to")
    if not new:
        new = "UP" if "Up" in words else "DOWN" if "Down" in words else ""
        old = "UP"
    if new in _UP:
        act(event, f"{protocol}_neighbor_up")
    elif new and old in _UP:
        act(event, f"{protocol}_neighbor_down")


def _after(words: list[str], mark: str) -> str:
    """The word after ``mark``, upper case."""
    place = words.index(mark) + 1 if mark in words else len(words)
    return words[place].upper() if place < len(words) else ""
