"""A private rsyslogd that sends a file over RELP, for benches and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONFIGURATION: Final = """\
global(workDirectory="{folder}" localHostname="web01.example.test")
module(load="imfile")
module(load="omrelp")
main_queue(queue.size="{count}" queue.dequeueBatchSize="4096" queue.workerThreads="1")
input(type="imfile" File="{folder}/app.log" Tag="sshd:" Severity="info" Facility="auth" freshStartTail="off")
action(type="omrelp" target="127.0.0.1" port="{port}" windowSize="{window}" template="RSYSLOG_SyslogProtocol23Format"
  queue.type="LinkedList" queue.size="{count}" queue.dequeueBatchSize="4096" action.resumeRetryCount="-1")
"""
WINDOW: Final = 20_000  # messages on their way that are not answered yet


@contextmanager
def sending(folder: Path, port: int, lines: list[str]) -> Iterator[None]:
    """Let a real rsyslogd send ``lines`` to ``port``; it ends with the block.

    Raises:
        UserError: rsyslog is not installed.
    """
    program = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        raise UserError(
            "bench.rsyslog",
            "没有安装 rsyslog；请安装软件包 rsyslog 与 rsyslog-relp。",
            "rsyslog is not installed; install the packages rsyslog and rsyslog-relp.",
        )
    (folder / "app.log").write_text("\n".join([*lines, ""]))
    written = _CONFIGURATION.format(folder=folder, port=port, count=2 * len(lines), window=WINDOW)
    (folder / "send.conf").write_text(written)
    command = [program, "-n", "-f", str(folder / "send.conf"), "-i", str(folder / "pid")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)  # noqa: S603 - our own command
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)
