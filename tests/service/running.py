"""A whole service in processes of its own, on free ports, for tests that look at it from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from waiting import wait_until

SETTINGS = {
    "web": "SECOPS_WEB__PORT",
    "certificate": "SECOPS_WEB__CERTIFICATE_PORT",
    "pki": "SECOPS_WEB__PKI_PORT",
    "demo": "SECOPS_DEMO__PORT",
    "syslog": "SECOPS_INGEST__SYSLOG_PORT",
    "push": "SECOPS_INGEST__PUSH_PORT",
    "metrics": "SECOPS_METRICS__PORT",
}


@dataclass
class Running:
    """A started service: its state folder, ports and supervisor."""

    state: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    output: Path
    settings: dict[str, str] = field(default_factory=dict)

    def banner(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def setup_link(self) -> str:
        """The one-time link of the banner."""
        found = re.search(r"https://\S+/setup\?token=\S+", self.banner())
        assert found, self.banner()[-2000:]
        return found[0]

    def role(self, name: str) -> dict[str, Any]:
        """What a role last said of itself."""
        try:
            return dict(orjson.loads((self.state / "run" / f"{name}.json").read_bytes()))
        except (OSError, orjson.JSONDecodeError):
            return {}

    def kill(self, name: str) -> int:
        """kill -9 a role and give its process id; nothing happens when it is just being started."""
        pid = int(self.role(name).get("pid", 0))
        try:
            if pid and self._is_role(pid, name):
                os.kill(pid, signal.SIGKILL)
                return pid
        except ProcessLookupError:
            pass
        return 0

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the state database from outside."""
        connection = sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def command(self, *arguments: str) -> Any:
        """Run a command with --json and give its data."""
        done = subprocess.run(
            [sys.executable, "-m", "secops", *arguments, "--state", str(self.state), "--json"],
            capture_output=True,
            check=False,
            env=self.environment(),
        )
        assert done.returncode == 0, done.stderr.decode()
        return orjson.loads(done.stdout)

    def environment(self) -> dict[str, str]:
        """The environment in which commands see the same settings."""
        return {**environment(self.ports), **self.settings}

    def push(self, client: httpx.Client, token: str, lines: Sequence[str]) -> bool:
        """Push lines of text; true when they were acknowledged."""
        try:
            answer = client.post(
                f"http://127.0.0.1:{self.ports['push']}/v1/events",
                content="\n".join(lines).encode(),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "text/plain"},
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    @staticmethod
    def _is_role(pid: int, name: str) -> bool:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if Path(f"/proc/{pid}").exists() else []
        return b"--role" in command and name.encode() in command


def environment(ports: dict[str, int]) -> dict[str, str]:
    """Settings for the ports, on top of this process's environment."""
    return {**os.environ, **{SETTINGS[name]: str(port) for name, port in ports.items()}, "PYTHONUNBUFFERED": "1"}


def free_ports() -> dict[str, int]:
    """A free port for every listener; all are held until all are found, so that none comes twice."""
    held: list[socket.socket] = []
    try:
        for _ in SETTINGS:
            held.append(socket.socket())
            held[-1].bind(("127.0.0.1", 0))
        return dict(zip(SETTINGS, (one.getsockname()[1] for one in held), strict=True))
    finally:
        for one in held:
            one.close()


@contextmanager
def service(state: Path, *, demo: bool = False, **settings: str) -> Iterator[Running]:
    """Start ``secops serve`` and wait for its banner; end it at the end."""
    ports = free_ports()
    output = state.with_suffix(".out")
    variables = {**environment(ports), "SECOPS_DEMO__ENABLED": str(demo).lower(), **settings}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "secops", "serve", "--state", str(state)],
            env=variables,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    running = Running(state, ports, process, output, settings)
    try:
        wait_until(
            lambda: "/dev/udp/" in running.banner() or process.poll() is not None,
            timeout=120,
            what="the banner of secops serve",
        )
        assert process.poll() is None, running.banner()[-3000:]
        yield running
    finally:
        process.terminate()
        process.wait(60)
