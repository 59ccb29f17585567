"""The rules for network devices: they cover more than one maker, and an ordinary day is quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from secops.cli.rule_examples import example_events
from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.match.rule import Rule
from secops.records import DATASET, Level

ROOT = Path(__file__).resolve().parents[2] / "rules"
FOLDERS = sorted((ROOT / "detection").glob("network-*"))
RULES = load_rules([*FOLDERS, *sorted((ROOT / "correlation").glob("network-*.yml"))])
DETECTIONS = [rule for rule in RULES.rules if "/detection/" in rule.info.source]

# What only one maker's devices report, as far as the makers' public references say.
ONE_MAKER = {"log-lost", "password-changed-by-web", "privilege-changed", "refused-by-acl", "source-locked"}
_SHELL = 'Recorded command information. (Task=VT0, Ip=10.8.0.4, VpnName=, User=liwei, AuthenticationMethod="Local-user", Command="{}")'
LOOKS = (
    "display version", "display current-configuration", "display acl all", "display local-user", "display logbuffer", "system-view",
    "interface GigabitEthernet0/0/5", "description to-acc-1", "display security-policy rule all", "quit", "save", "ping 10.8.0.1",
    "display snmp-agent community", "display clock", "display port-mirroring", "undo shutdown", "info-center loghost 10.9.0.5",
)  # fmt: skip
SHOWS = (
    "show version", "show running-config", "show logging", "show access-lists", "configure terminal", "interface gi0/5",
    "no shutdown", "end", "write", "show snmp community", "show monitor", "logging on", "show users", "exit",
)  # fmt: skip
ORDINARY = [
    *(f"<189>Nov 24 2026 15:40:01+08:00 core-sw1 %%01SHELL/5/CMDRECORD(s)[1]:{_SHELL.format(command)}" for command in LOOKS),
    *(f"<190>Nov 24 15:40:01 2026 h3c %%10SHELL/6/SHELL_CMD: -Line=vty0-IPAddr=10.8.0.4-User=liwei; Command is {command}" for command in LOOKS),
    *(f"<189>Nov 24 15:40:01: acc %CLI-5-EXEC_CMD: Configured from vty0(10.8.0.4) by liwei command: {command}" for command in SHOWS),
    "<189>Nov 24 2026 15:40:01+08:00 core-sw1 %%01SSH/5/SSH_USER_LOGIN(s)[4]:The SSH user succeeded in logging in. (ServiceType=stelnet, UserName=liwei, UserAddress=10.8.0.4, LocalAddress=10.1.0.1, VPNInstanceName=_public_)",
    "<188>Nov 24 2026 15:40:01+08:00 core-sw1 %%01CFM/4/SAVE(s)[0]:The user chose Y when deciding whether to save the configuration to the device.",
    "<188>Nov 24 2026 15:40:01+08:00 core-sw1 %%01IFNET/4/IF_STATE(l)[3]:Interface GigabitEthernet0/0/5 has turned into UP state.",
    "<188>Nov 24 2026 15:40:01+08:00 core-sw1 %%01IFNET/4/IF_STATE(l)[3]:Interface GigabitEthernet0/0/5 has turned into DOWN state.",
    "<189>Nov 24 15:40:01 2026 h3c %%10SHELL/5/SHELL_LOGIN: liwei logged in from 10.8.0.4.",
    "<190>Nov 24 15:40:01 2026 h3c %%10STP/6/STP_NOTIFIED_TC: Instance 0's port GigabitEthernet1/0/6 was notified a topology change.",
    "<189>Nov 24 15:40:01: acc %SYS-5-CONFIG_I: Configured from console by liwei on vty0 (10.8.0.4)",
    "<189>Nov 24 15:40:01: acc %BGP-5-ADJCHANGE: neighbor 192.0.2.9 Up",
    "<86>Nov 24 15:40:01 app-03 sudo:   liqiang : TTY=pts/1 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/telnet server enable",
]  # fmt: skip


@pytest.mark.parametrize("rule", DETECTIONS, ids=lambda rule: Path(rule.info.source).stem)
def test_a_rule_for_every_maker_is_tried_on_more_than_one(rule: Rule) -> None:
    seen = {str(event[DATASET]) for example in rule.examples.match for event in example_events(example)}
    text = Path(rule.info.source).read_text()
    if "category: network_device" in text and Path(rule.info.source).stem not in ONE_MAKER:
        assert len(seen) > 1, seen


def test_an_ordinary_day_is_quiet() -> None:
    events = example_events([{"format": "syslog", "raw": line} for line in ORDINARY])
    hits = Detector(RULES).engine.find(events)
    loud = {
        (hit.rule.info.title, ORDINARY[hit.index])
        for hit in hits
        if hit.rule.info.alert and hit.rule.info.level.rank >= Level.MEDIUM.rank
    }
    assert loud == set()
    assert hits  # logins and changes feed correlations
