"""Watches in the detect role: silence with and without matcher processes, over restarts; lists that change."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from waiting import wait_until

from secops.wiring import Service
from secops.worker.detect import DetectRole
from tests.detecting.world import NOW, alerts, detecting, finish, service, store

SILENT = """
title: Silent
id: silent-rule
level: high
logsource: {product: linux}
watch: {type: absence, group-by: [host.name], for: 5m}
"""
LISTED = """
title: Listed
id: listed-rule
level: high
logsource: {product: linux, service: sshd}
watch: {type: ioc, indicator: ip, fields: [source.ip], lists: [bad.txt]}
"""
pytestmark = pytest.mark.timeout(120)


def write(found: Service, name: str, text: str) -> None:
    (found.settings.state / "rules" / name).write_text(text)


def login(host: str, address: str = "192.0.2.9") -> str:
    return f"<38>Nov 24 08:00:00 {host} sshd[7]: Accepted password for liwei from {address} port 4022 ssh2"


def ticked(role: DetectRole) -> None:
    """Run rounds until the clock was looked at."""
    before = role._ticked
    wait_until(lambda: (role.round(), role._ticked)[1] > before, timeout=30, what="a tick")


def silent(found: Service) -> list[str]:
    return [group["host.name"] for rule, _, group, _ in alerts(found) if rule == "silent-rule"]


def set_clock(found: Service, moment: datetime) -> None:
    found.clock = lambda: moment


@pytest.mark.parametrize("processes", [1, 2])
def test_a_silent_host_raises_one_alert_and_a_stop_of_the_service_none(tmp_path: Path, processes: int) -> None:
    with service(tmp_path / "var", processes=processes) as found:
        write(found, "silent.yml", SILENT)
        set_clock(found, NOW + timedelta(minutes=10))
        store(found, [login("h1")])
        store(found, [login("h2")], first=590)
        with detecting(found) as role:
            finish(role)
            ticked(role)
            assert silent(found) == ["h1"]
        set_clock(found, NOW + timedelta(hours=2))
        with detecting(found) as role:
            ticked(role)
            ticked(role)
            assert silent(found) == ["h1"]
            set_clock(found, NOW + timedelta(hours=2, minutes=6))
            ticked(role)
            assert silent(found) == ["h1", "h2"]


def test_a_changed_list_is_in_force_without_a_restart(tmp_path: Path) -> None:
    with service(tmp_path / "var") as found:
        write(found, "bad.txt", "198.51.100.1\n")
        write(found, "listed.yml", LISTED)
        with detecting(found) as role:
            store(found, [login("h1", "203.0.113.66")])
            finish(role)
            assert [rule for rule, *_ in alerts(found) if rule == "listed-rule"] == []
            before = role.detector
            write(found, "bad.txt", "198.51.100.1\n203.0.113.0/24, told by the neighbours\n")
            wait_until(lambda: role.look() or role.detector is not before, timeout=60, what="the list to be read again")
            store(found, [login("h1", "203.0.113.66")], first=10)
            finish(role)
            assert [count for rule, _, _, count in alerts(found) if rule == "listed-rule"] == [1]
