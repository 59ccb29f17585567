"""Writes out the words that people abbreviate when they type commands on network devices.

A device takes every beginning of a word that can mean one word only, and records what was typed: ``un info en`` switches
the log off as ``undo info-center enable`` does. Rules should not have to know. Only words that rules look for are
listed; an unknown word ends the writing out, and names and numbers stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_MOST_WORDS: Final = 6
_LONGEST_WORD: Final = 24
_SHORTEST: Final = 2  # characters of an abbreviation


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: hashed by identity, as the cache's key needs
class Vocabulary:
    """The words of one family of command lines: with which a line begins, which follow, which a name follows."""

    verbs: tuple[str, ...]
    words: tuple[str, ...]
    named: frozenset[str]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VRP: Final = Vocabulary(
    _words(
        "undo display reset debugging save quit return reboot schedule startup delete format system-view clock super patch "
        "telnet tftp ftp scp boot-loader backup diagnose"
    ),
    _words(
        "ip interface info-center enable disable loghost logbuffer trapbuffer source channel snmp-agent trap target-host community write read "
        "usm-user ntp-service unicast-server acl inbound outbound traffic-filter traffic-policy packet-filter security-policy "
        "local-user privilege level password cipher irreversible-cipher simple service-type class manage authentication-mode none "
        "radius-server hwtacacs-server telnet http ftp ssh server compatible-ssh1x observe-port port-mirroring mirroring-group "
        "route-static static permit system-software saved-configuration datetime timezone idle-timeout dhcp snooping stp "
        "port-security dot1x firewall defend scheduler recycle-bin user-interface authorization-attribute user-role network-admin "
        "current-configuration protocol default action"
    ),
    frozenset({"local-user", "community", "loghost", "usm-user"}),
)
"""Huawei's VRP and H3C's Comware."""

IOS: Final = Vocabulary(
    _words(
        "no show clear debug write copy reload configure enable disable delete erase format clock monitor default undebug terminal"
    ),
    _words(
        "ip interface logging on buffered host trap userinfo archive snmp-server community traps host ntp server access-list access-class "
        "access-group username privilege secret password login authentication none aaa accounting commands tacacs-server "
        "radius-server transport input telnet ssh session destination source running-config startup-config spanning-tree "
        "switchport port-security dot1x snooping exec-timeout service password-encryption route static inside inspection applet manager"
    ),
    frozenset({"username", "community", "host"}),
)
"""Cisco's IOS and Ruijie's RGOS."""


def written_out(command: str, vocabulary: Vocabulary) -> str:
    """Give the command with the abbreviated words at its beginning in full; the same object where there is none."""
    words = command.split(" ", _MOST_WORDS)
    changed = named = False
    for place, word in enumerate(words[:_MOST_WORDS]):
        if named or word[:1].isdigit():  # a name, a number, an address
            named = False
            continue
        full = _full(word[: _LONGEST_WORD + 1].lower(), vocabulary, first=place == 0)
        if not full:
            break
        named = full in vocabulary.named
        if full != word:
            words[place] = full
            changed = True
    return " ".join(words) if changed else command


@lru_cache(maxsize=8192)
def _full(word: str, vocabulary: Vocabulary, *, first: bool) -> str:
    """The one word that begins so, or is so; "" when there is none or more than one."""
    groups = (vocabulary.verbs, vocabulary.words) if first else (vocabulary.words,)
    for group in groups:
        if word in group:
            return word
    if len(word) < _SHORTEST:
        return ""
    for group in groups:
        found = {each for each in group if each.startswith(word)}
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""
