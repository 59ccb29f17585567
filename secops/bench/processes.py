"""Real service processes on free ports for benches: roles by hand, or all of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from secops import settings, wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secops.wiring import Service

SETTINGS: Final = {
    "SECOPS_WEB__PORT": "web",
    "SECOPS_WEB__CERTIFICATE_PORT": "certificate",
    "SECOPS_WEB__PKI_PORT": "pki",
    "SECOPS_INGEST__SYSLOG_PORT": "syslog",
    "SECOPS_INGEST__PUSH_PORT": "push",
    "SECOPS_METRICS__PORT": "metrics",
}
DEADLINE: Final = 180.0
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Started:
    """Running processes: their state folder and ports by name."""

    state: Path
    ports: dict[str, int]

    def detail(self, role: str) -> dict[str, object]:
        """What a role last said of itself; empty before it said anything."""
        try:
            return dict(orjson.loads((self.state / "run" / f"{role}.json").read_bytes())["detail"])
        except (OSError, orjson.JSONDecodeError):
            return {}

    def cpu(self, role: str) -> float:
        """CPU seconds of a role's process and of those that it started."""
        pid = int(orjson.loads((self.state / "run" / f"{role}.json").read_bytes())["pid"])
        total = 0.0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (said := _stat(folder)) is not None and pid in {int(folder.name), said[0]}:
                total += said[1]
        return total


def _stat(folder: Path) -> tuple[int, float] | None:
    """Parent and CPU seconds of a process; None when it is gone."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def processes(roles: Sequence[str], prepare: Callable[[Service], None] | None = None) -> Iterator[Started]:
    """Start ``roles``, each by itself, over a fresh state folder that ``prepare`` may fill; end them and delete it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        started = Started(Path(folder) / "var", _free_ports())
        wiring.prepare(settings.load(started.state))
        if prepare is not None:
            with wiring.opened(settings.load(started.state)) as service:
                prepare(service)
        environment = {**os.environ, "SECOPS_DEMO__ENABLED": "false"}
        environment |= {variable: str(started.ports[name]) for variable, name in SETTINGS.items()}
        for role in roles:
            command = [sys.executable, "-m", "secops", "serve", "--role", role, "--state", str(started.state)]
            process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command
            ending.callback(process.wait, 30)
            ending.callback(process.terminate)
        wait_for(lambda: all(started.detail(role) or role == "web" for role in roles))
        yield started


def wait_for(condition: Callable[[], bool], every: float = 0.01) -> None:
    """Poll until ``condition`` holds.

    Raises:
        TimeoutError: it did not within three minutes.
    """
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the service did not get there")
        time.sleep(every)


def _free_ports() -> dict[str, int]:
    held = []
    try:
        for _ in SETTINGS:
            held.append(socket.socket())
            held[-1].bind(("127.0.0.1", 0))
        return dict(zip(SETTINGS.values(), (one.getsockname()[1] for one in held), strict=True))
    finally:
        for one in held:
            one.close()
