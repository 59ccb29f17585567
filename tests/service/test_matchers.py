"""The whole service with two matcher processes: killed one by one and with their role, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from waiting import wait_until

from tests.service.running import Running, service

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

SOURCES = 12


def failures(running: Running, ip: str) -> None:
    """Five failed logins on a host of the source's own: sources lie in different partitions."""
    stamp = time.strftime("%b %d %H:%M:%S")
    with socket.create_connection(("127.0.0.1", running.ports["syslog"])) as sender:
        for number in range(5):
            line = f"<38>{stamp} host-{ip} sshd[{number}]: Failed password for root from {ip} port 4022 ssh2\n"
            sender.sendall(line.encode())


def matchers(parent: int) -> list[int]:
    """Processes that match, of one role or (0) left behind by any of this test's."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            status = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"secops.worker.matcher" in command and int(status[1]) == parent and status[0] != "Z":
            found.append(int(folder.name))
    return found


def alone(pids: set[int]) -> bool:
    """Whether none of these processes runs any more."""
    return not any(Path(f"/proc/{pid}/cmdline").exists() and _is_matcher(pid) for pid in pids)


def _is_matcher(pid: int) -> bool:
    try:
        return b"secops.worker.matcher" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_matchers_and_their_role_may_die_at_any_moment(tmp_path: Path) -> None:
    met: set[int] = set()
    with service(tmp_path / "var", SECOPS_DETECT__PROCESSES="2") as running:
        for number in range(SOURCES):
            failures(running, f"203.0.113.{number}")
            role = int(running.role("detect")["pid"])
            now = matchers(role)
            met.update(now)
            if number % 3 == 1 and now:
                os.kill(now[number % len(now)], signal.SIGKILL)
            if number % 5 == 4:
                running.kill("detect")
            wait_until(
                lambda wanted=number + 1: len(_sources(running)) >= wanted, timeout=60, what="an alert for each source"
            )
        assert met
        assert _sources(running) == sorted(f"203.0.113.{number}" for number in range(SOURCES)), "none twice"
        assert running.role("detect")["detail"]["processes"] == 2
        met.update(matchers(int(running.role("detect")["pid"])))
    wait_until(lambda: alone(met), what="every matcher to end with its role")


def _sources(running: Running) -> list[str]:
    groups = [json.loads(group) for (group,) in running.rows("SELECT group_values FROM alerts")]
    return sorted(group["source.ip"] for group in groups if "source.ip" in group)
