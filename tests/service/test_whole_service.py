"""The sentence from the wire to the evidence pack, in real processes; and what survives kill -9."""

from __future__ import annotations

import os
import random
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from waiting import wait_until

from secops.store.files import FileLog
from tests.service.running import Running, service

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
KILLS = int(os.environ.get("SECOPS_TEST_KILLS", "10"))  # 50 for the figure in docs/bench.md
ROLES = ("ingest", "detect", "index", "jobs", "web")
RESTORED = "Backup of this platform restored"  # the title of the rule that watches for it
AT_NIGHT = "Administration of this platform at night"  # so a restore is one too, between ten and six in Beijing
FAILED = "<38>{month} {host} sshd[{pid}]: Failed password for root from {ip} port 4022 ssh2"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("whole") / "var") as found:
        yield found


def failed(number: int, ip: str, host: str = "h1") -> str:
    return FAILED.format(month=time.strftime("%b %d %H:%M:%S"), host=host, pid=number, ip=ip)


def test_five_failed_logins_become_one_alert_and_one_ticket_within_two_seconds(running: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5):
            sender.sendto(failed(number, "203.0.113.9").encode(), ("127.0.0.1", running.ports["syslog"]))
        sent = time.monotonic()
        wait_until(lambda: running.rows("SELECT 1 FROM alerts"), what="an alert")
        took = time.monotonic() - sent
    assert took < 2, f"the alert took {took:.2f} s"
    wait_until(lambda: running.rows("SELECT 1 FROM tickets"), what="a ticket")
    alerts = running.command("alert", "list")
    assert [(a["count"], a["group"]["source.ip"], a["status"]) for a in alerts] == [(5, "203.0.113.9", "open")]
    [ticket] = running.command("ticket", "list")
    assert ticket["service"] == "security-operations"
    assert {target["name"] for target in ticket["clock"]["targets"]} >= {"answer", "restore"}
    hits = wait_until(lambda: (found := running.command("search", "source.ip:203.0.113.9"))["total"] == 5 and found)
    assert {hit["event.dataset"] for hit in hits["hits"]} == {"linux.sshd"}


def test_the_evidence_of_the_case_verifies_with_plain_python_and_a_flipped_byte_shows(
    running: Running, tmp_path: Path
) -> None:
    wait_until(lambda: running.rows("SELECT 1 FROM tickets"), what="a ticket")
    pack, verifier = tmp_path / "case.zip", tmp_path / "verify.py"
    running.command("evidence", "build", "--alert", "1", "--out", str(pack))
    running.command("evidence", "verifier", "--out", str(verifier))

    def verify() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-I", verifier, pack], capture_output=True, check=False, cwd=tmp_path)

    good = verify()
    assert good.returncode == 0, good.stdout + good.stderr
    body = bytearray(pack.read_bytes())
    body[len(body) // 2] ^= 1
    pack.write_bytes(body)
    bad = verify()
    assert bad.returncode == 1
    assert bad.stdout + bad.stderr


def test_hostile_messages_are_quarantined_and_the_connection_lives_on(running: Running) -> None:
    good = failed(1, "198.51.100.77", host="after-hostile").encode()
    with socket.create_connection(("127.0.0.1", running.ports["syslog"])) as sender:
        for message in (
            b"<38>" + b"x" * 200_000,
            b"\x00\xff\xfe\x01" * 50,
            "<38>Nov 24 08:00:00 gb sshd[1]: 登录失败".encode("gb18030"),
        ):
            sender.sendall(message + b"\n")
        sender.sendall(good + b"\n")
        wait_until(
            lambda: running.command("search", "host.name:after-hostile")["total"] == 1,
            what="the good message after the bad ones",
        )
    assert running.command("search", "event.kind:pipeline_error")["total"] >= 1
    [hit] = running.command("search", "host.name:gb")["hits"]
    assert "登录失败" in hit["message"]
    assert hit["labels"]["charset"] == "gb18030"


def test_the_banner_says_in_which_zone_devices_are_read(running: Running) -> None:
    assert re.search(r"^时区 Time zone +UTC.*ingest\.timezone", running.banner(), re.MULTILINE)


def test_metrics_are_served_for_all_roles(running: Running) -> None:
    text = httpx.get(f"http://127.0.0.1:{running.ports['metrics']}/metrics").text
    for name in (
        "secops_events_stored_total",
        "secops_detect_events_total",
        "secops_index_lag_events",
        "secops_disk_free_bytes",
    ):
        assert name in text
    drawn = [(DASHBOARDS / name).read_text() for name in ("detection.json", "detection-alerts.yml")]
    exposed = set(re.findall(r"^(secops_[a-z_]+)", text, re.MULTILINE))
    assert {name for one in drawn for name in re.findall(r"secops_[a-z_]+", one)} <= exposed


def test_pages_are_refused_without_login_and_health_is_public(running: Running) -> None:
    trust = ssl.create_default_context(cafile=running.state / "tls" / "root.crt")
    with httpx.Client(verify=trust, base_url=f"https://localhost:{running.ports['web']}") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/people", headers={"Accept": "text/html"}).headers["location"].startswith("/login")
        assert client.get("/api/v1/events").status_code == 401


def test_an_online_backup_restores_to_the_same_events_and_a_whole_audit_chain(running: Running, tmp_path: Path) -> None:
    saved, other = tmp_path / "backup.tar", tmp_path / "restored"
    running.command("backup", str(saved))
    others = f"SELECT count(*) FROM alerts WHERE title NOT IN ('{RESTORED}', '{AT_NIGHT}')"
    before = running.rows(others)
    done = subprocess.run(
        [sys.executable, "-m", "secops", "restore", str(saved), "--state", str(other), "--json"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    with service(other) as restored:
        assert restored.rows(others) == before
        wait_until(lambda: restored.command("search", "source.ip:203.0.113.9")["total"] == 5, what="the rebuilt index")
        assert restored.command("audit", "verify")["whole"] is True
        wait_until(lambda: restored.rows(f"SELECT 1 FROM alerts WHERE title = '{RESTORED}'"), what="the alert about it")
        assert restored.rows(others) == before


def test_a_log_that_cannot_be_written_ends_the_role_and_the_next_one_takes_the_events(running: Running) -> None:
    token = running.command("source", "add", "limited")["token"]
    pid = int(running.role("ingest")["pid"])
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))  # every write fails with EFBIG, which is not a full disk
    with httpx.Client(timeout=20) as client:
        assert not running.push(client, token, ["refused"]), "what cannot be stored is not acknowledged"
        wait_until(
            lambda: running.push(client, token, ["taken host.name"]), timeout=60, interval=0.2, what="a new ingest role"
        )
    assert int(wait_until(lambda: running.role("ingest").get("pid") != pid and running.role("ingest")["pid"])) != pid
    wait_until(lambda: running.command("search", "message:taken")["total"] == 1, what="the event")


def test_kill_9_of_every_role_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261124)
    with service(tmp_path / "var") as running:
        token = running.command("source", "add", "load")["token"]
        with Noise(running, token) as noise:
            acknowledged = _load_while_killing(running, token, chance)
        wait_until(lambda: _lag(running) == 0, timeout=120, what="consumers that have caught up")
        wait_until(
            lambda: len(running.rows("SELECT 1 FROM tickets")) >= len(acknowledged),
            timeout=60,
            what="a ticket for every alert",
        )
        alerts = running.command("alert", "list", "--limit", "500")
        seen = sorted(a["group"]["source.ip"] for a in alerts if "source.ip" in a["group"])
        assert seen == sorted(acknowledged), "an alert for every source, none twice"
        tickets = running.rows("SELECT alert_id FROM tickets")
        assert len(tickets) == len(set(tickets)) == len(alerts)
        for ip in acknowledged:
            wait_until(
                lambda ip=ip: running.command("search", f"source.ip:{ip}")["total"] >= 5, what=f"the events of {ip}"
            )
        assert running.command("audit", "verify")["whole"] is True
        assert noise.acknowledged
        assert noise.acknowledged <= _stored_noise(running), "acknowledged events are in the log"


class Noise:
    """A sender that never rests: numbered events, a hundred to a request, each remembered once it was acknowledged."""

    def __init__(self, running: Running, token: str) -> None:
        self.running, self.token = running, token
        self.acknowledged: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        number = 0
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                numbers = range(number, number + 100)
                lines = [f"<38>Nov 24 08:00:00 noise{n % 13} app[{n}]: noise number {n}" for n in numbers]
                if self.running.push(client, self.token, lines):
                    self.acknowledged.update(numbers)
                number += 100
                self._stop.wait(0.02)


def _stored_noise(running: Running) -> set[int]:
    log = FileLog(running.state / "log", partitions=4)
    try:
        found: set[int] = set()
        for partition in range(log.partitions):
            offset = 0
            while events := log.read(partition, offset, 5000):
                found.update(
                    int(e["message"].rsplit(" ", 1)[1]) for e in events if e["message"].startswith("noise number ")
                )
                offset = int(events[-1]["event.id"].partition("-")[2]) + 1
        return found
    finally:
        log.close()


def _load_while_killing(running: Running, token: str, chance: random.Random) -> list[str]:
    """Push five failures of ever new sources, each until acknowledged, killing a role in the middle of each round."""
    acknowledged = []
    with httpx.Client(timeout=20) as client:
        for number in range(KILLS):
            ip = f"203.0.{113 + number // 200}.{number % 200 + 1}"
            lines = [failed(attempt, ip, host=f"host{number % 7}") for attempt in range(5)]
            role = ROLES[number % len(ROLES)]
            if chance.random() < 0.5:
                running.kill(role)
                wait_until(lambda lines=lines: running.push(client, token, lines), timeout=60, interval=0.1)
            else:
                wait_until(lambda lines=lines: running.push(client, token, lines), timeout=60, interval=0.1)
                running.kill(role)
            acknowledged.append(ip)
    return acknowledged


def _lag(running: Running) -> int:
    details = [running.role(name).get("detail", {}) for name in ("index", "detect")]
    return sum(int(detail.get("lag", 1)) for detail in details)
