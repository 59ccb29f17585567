"""UDP syslog at 100,000 datagrams a second for ten seconds: how many are lost, and whether every lost one is counted."""

from __future__ import annotations

import socket
import time
from multiprocessing import get_context
from typing import Final

from monitors.datagrams import Burst
from secops.bench.figures import Figure
from secops.bench.processes import processes, wait_for
from secops.store.files import FileLog

RATE: Final = 100_000  # datagrams a second
SECONDS: Final = 10
QUIET: Final = 3.0  # seconds without a change: nothing more comes
_SLICE: Final = 0.005  # seconds of sending between two looks at the clock


def measure() -> list[Figure]:
    """Send from a process of its own; compare what was sent with what is stored and what is counted as lost."""
    with processes(["ingest"]) as started:
        log = FileLog(started.state / "log", partitions=4)
        try:
            before = _stored(log)
            with get_context("spawn").Pool(1) as senders:
                wall = senders.apply(send, (started.ports["syslog"], RATE, SECONDS))
            sent = RATE * SECONDS
            _settled(log)
            stored = _stored(log) - before
            detail = started.detail("ingest")
        finally:
            log.close()
    dropped = detail.get("dropped")
    counted = int(dropped.get("syslog", 0)) if isinstance(dropped, dict) else 0
    lost = max(0, sent - stored)
    return [
        Figure(name="UDP datagrams sent", value=sent / wall, unit="datagrams/s", note=f"{sent:,} in {wall:.1f} s"),
        Figure(name="stored", value=stored / sent * 100, unit="%", bar=100, note=f"{stored:,}"),
        Figure(name="lost", value=lost, unit="datagrams", higher_is_better=False),
        Figure(name="lost and not counted", value=max(0, lost - counted), unit="datagrams", higher_is_better=False),
    ]


def send(port: int, rate: int, seconds: int) -> float:
    """Send ``rate`` datagrams a second for ``seconds``, evenly; give how many seconds it took."""
    lines = [
        f"<38>Nov 24 08:00:{n % 60:02d} host{n % 50} sshd[{n}]: Accepted password for user{n % 5000} "
        f"from 203.0.113.{n % 250} port {1024 + n} ssh2".encode()
        for n in range(10_000)
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("127.0.0.1", port))
        burst = Burst(out, lines)
        began, sent, wanted = time.monotonic(), 0, rate * seconds
        while sent < wanted:
            due = min(wanted, int((time.monotonic() - began) * rate))
            while sent < due:
                sent += burst.send(sent, due - sent)
            time.sleep(_SLICE)
        return time.monotonic() - began


def _settled(log: FileLog) -> None:
    last, changed = _stored(log), time.monotonic()

    def quiet() -> bool:
        nonlocal last, changed
        if (now := _stored(log)) != last:
            last, changed = now, time.monotonic()
        return time.monotonic() - changed > QUIET

    wait_for(quiet, every=0.05)


def _stored(log: FileLog) -> int:
    return sum(log.end(partition) for partition in range(log.partitions))
