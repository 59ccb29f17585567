"""The whole service with its log in Kafka: an alert and a ticket, roles killed, and a second machine that takes detection over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import kafka_server
import pytest
from waiting import wait_until

from tests.service.running import Running, service

pytestmark = [pytest.mark.process, pytest.mark.live, pytest.mark.timeout(300)]


def failures(running: Running, ip: str) -> None:
    stamp = time.strftime("%b %d %H:%M:%S")
    with socket.create_connection(("127.0.0.1", running.ports["syslog"])) as sender:
        for number in range(5):
            line = f"<38>{stamp} host-{ip} sshd[{number}]: Failed password for root from {ip} port 4022 ssh2\n"
            sender.sendall(line.encode())


def counts(running: Running) -> Counter[str]:
    found: Counter[str] = Counter()
    for alert in running.command("alert", "list", "--limit", "200"):
        found[alert["group"].get("source.ip", "")] += alert["count"]
    return found


def holder(running: Running) -> str:
    [(name,)] = running.rows("SELECT holder FROM leases WHERE name = 'detect'")
    return str(name)


def test_from_the_wire_to_the_ticket_through_kafka(kafka: kafka_server.Broker, tmp_path: Path) -> None:
    settings = {
        "SECOPS_LOG__ENGINE": "kafka",
        "SECOPS_LOG__KAFKA__BOOTSTRAP": kafka.address,
        "SECOPS_LOG__KAFKA__TOPIC": "whole",
        "SECOPS_LOG__KAFKA__WRITER": "machine-a",
        "SECOPS_LOG__KAFKA__REPLICATION": "1",
        "SECOPS_DETECT__PROCESSES": "2",
    }
    with service(tmp_path / "var", **settings) as running:
        failures(running, "203.0.113.1")
        wait_until(lambda: running.rows("SELECT 1 FROM tickets"), timeout=60, what="a ticket")
        for role in ("ingest", "detect", "index"):
            pid = running.kill(role)
            wait_until(lambda role=role, pid=pid: running.role(role).get("pid") != pid, timeout=60, what=role)
        wait_until(lambda: "rules" in running.role("detect").get("detail", {}), timeout=60, what="detection")
        wait_until(lambda: _pushes(running), timeout=60, what="the ingest role to listen again")
        failures(running, "203.0.113.2")
        wait_until(lambda: counts(running)["203.0.113.2"] == 5, timeout=60, what="the alert after the kills")
        taken_over(running)
        assert {ip: n for ip, n in counts(running).items() if ip.startswith("203.")} == {
            f"203.0.113.{number}": 5 for number in range(1, 5)
        }
        found = wait_until(lambda: (page := running.command("search", "source.ip:203.0.113.*"))["total"] == 20 and page)
        assert len(found["hits"]) == 20, "the events are read from Kafka"
        audited = running.rows("SELECT count(*) FROM audit")[0][0]
        wait_until(
            lambda: running.command("search", "event.dataset:secops.audit")["total"] == audited,
            timeout=60,
            what="every act of the audit trail once in the log",
        )


def taken_over(running: Running) -> None:
    """A second machine stands by, takes over when the first is frozen, and keeps detection when that one wakes."""
    first = int(running.role("detect")["pid"])
    environment = running.environment() | {"SECOPS_LOG__KAFKA__WRITER": "machine-b"}
    command = [sys.executable, "-m", "secops", "serve", "--role", "detect", "--state", str(running.state)]
    second = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert holder(running) == "machine-a"
        os.kill(first, signal.SIGSTOP)
        failures(running, "203.0.113.3")
        wait_until(lambda: holder(running) == "machine-b", timeout=60, what="the second machine to take over")
        wait_until(lambda: counts(running)["203.0.113.3"] == 5, timeout=60, what="its alert")
        os.kill(first, signal.SIGCONT)
        wait_until(lambda: not running._is_role(first, "detect"), timeout=60, what="the first to notice and end")
        failures(running, "203.0.113.4")
        wait_until(lambda: counts(running)["203.0.113.4"] == 5, timeout=60, what="an alert of the second machine")
        assert holder(running) == "machine-b"
    finally:
        second.terminate()
        second.wait(30)


def _pushes(running: Running) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", running.ports["syslog"]), timeout=1):
            return httpx.get(f"http://127.0.0.1:{running.ports['metrics']}/metrics").status_code == 200
    except (OSError, httpx.HTTPError):
        return False
