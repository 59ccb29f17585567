"""TCP syslog to durable and indexed: real processes, the sender in this one, two cores for all three."""

from __future__ import annotations

import socket
import time
from typing import Final

from secops.bench.figures import Figure
from secops.bench.processes import Started, processes, wait_for
from secops.store.files import FileLog

MESSAGES: Final = 300_000
CHUNK: Final = 1000
BAR: Final = 20_000


def measure() -> list[Figure]:
    """Send over one TCP connection; wait until everything is in the log, then until it is all indexed."""
    with processes(["ingest", "index"]) as started:
        began = time.monotonic()
        _send(started.ports["syslog"])
        log = FileLog(started.state / "log", partitions=4)
        try:
            wait_for(lambda: _stored(log) >= MESSAGES)
            stored = time.monotonic() - began
            wait_for(lambda: _indexed(started, log), every=0.1)
            indexed = time.monotonic() - began
        finally:
            log.close()
    return [
        Figure(name="TCP syslog to durable", value=MESSAGES / stored, unit="events/s", bar=BAR),
        Figure(
            name="TCP syslog to durable and indexed",
            value=MESSAGES / indexed,
            unit="events/s",
            bar=BAR,
            note=f"{MESSAGES:,} messages, sender on the same cores",
        ),
    ]


def _send(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sender:
        for start in range(0, MESSAGES, CHUNK):
            lines = [
                f"<38>Nov 24 08:{n // 3600 % 60:02d}:{n // 60 % 60:02d} host{n % 50} sshd[{n % 30000}]: "
                f"Accepted password for user{n % 5000} from 203.0.113.{n % 250} port {1024 + n % 60000} ssh2\n"
                for n in range(start, start + CHUNK)
            ]
            sender.sendall("".join(lines).encode())


def _stored(log: FileLog) -> int:
    return sum(log.end(partition) for partition in range(log.partitions))


def _indexed(started: Started, log: FileLog) -> bool:
    """The index reports once a second how far behind it is; the log's own growth by probes does not matter."""
    lag = started.detail("index").get("lag", 1)
    return isinstance(lag, int) and lag < CHUNK // 10 and _stored(log) >= MESSAGES
