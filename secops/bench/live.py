"""Live detection under load: real senders over TCP, ``ingest`` and ``detect`` as processes, alerts timed on the way.

``SECOPS_BENCH_RULES`` names a folder of rules to import first, ``SECOPS_BENCH_EVENTS`` a file of JSON events (one a line)
that are pushed over HTTP; without them the product's own rules and generated events are used. Half of the load is sshd
lines over TCP syslog. Processors are counted in CPU seconds of the two roles, which stays true on a machine that does other
things as well; the rate on the clock does not.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import orjson
import sqlalchemy as sa

from secops import rule_desk, sources
from secops.alert.tables import AlertRow
from secops.bench.figures import Figure
from secops.bench.processes import Started, processes, wait_for
from secops.db import Database
from secops.store.files import FileLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secops.wiring import Service

RATE: Final = 30_000  # events a second that are sent, half over each way
SECONDS: Final = 20
STEADY_SECONDS: Final = 5.0
WARM: Final = 40_000  # events sent before anything is measured: caches and scanners are made
CHUNK: Final = 500
ALERT_BAR: Final = 2.0
PROBE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05  # looking takes from the two cores what is to be measured
PARTITIONS: Final = 4
PUSHERS: Final = 4  # connections that push


@dataclass(slots=True)
class Load:
    """What is sent, made beforehand, so that sending costs little."""

    token: str
    pushes: list[bytes] = field(default_factory=list)  # bodies of CHUNK events
    lines: list[bytes] = field(default_factory=list)  # CHUNK lines each


def measure() -> list[Figure]:
    """Send at the rate of the bar; see how far behind detection is, how late alerts are, and what a core would do."""
    load = Load("")
    rules: list[int] = []

    def prepare(service: Service) -> None:
        load.token = _token(service)
        if folder := os.environ.get("SECOPS_BENCH_RULES"):
            rule_desk.take_in(service, Path(folder), name="bench", tenant="", actor="bench")
        rules.append(len(service.rules.rules))

    with processes(["ingest", "detect"], prepare) as started:
        load.pushes, load.lines = _bodies(), _sshd()
        log = FileLog(started.state / "log", partitions=PARTITIONS)
        try:
            _send_both(started, load, WARM, rate=RATE)
            wait_for(lambda: _matched(started, log))
            return _under_load(started, load, log, rules[0])
        finally:
            log.close()


def _under_load(started: Started, load: Load, log: FileLog, rules: int) -> list[Figure]:
    before = {role: started.cpu(role) for role in ("ingest", "detect")}
    stored, began = _stored(log), time.monotonic()
    probes, middle = Probes(started), Middle(started)
    probes.start()
    middle.start()
    _send_both(started, load, RATE * SECONDS, rate=RATE)
    sent = time.monotonic() - began
    steady = middle.stop()
    behind = _stored(log) - sum(_reached(started).values())
    wait_for(lambda: _stored(log) - stored >= RATE * SECONDS, LOOK_SECONDS)
    wait_for(lambda: _matched(started, log), LOOK_SECONDS)
    took = time.monotonic() - began
    probes.stop()
    count = _stored(log) - stored
    spent = {role: max(started.cpu(role) - before[role], 0.01) for role in before}
    note = f"{rules} rules, {count:,} events, {sent:.1f} s to send, half JSON over HTTP, half sshd lines over TCP"
    return [
        Figure(name="matched while they are sent, sustained", value=steady, unit="events/s", bar=RATE, note=note),
        Figure(
            name="first sent to last matched",
            value=count / took,
            unit="events/s",
            note=f"{behind:,} events behind when the last was sent",
        ),
        Figure(name="ingest, one core", value=count / spent["ingest"], unit="events/CPU-s", bar=RATE),
        Figure(name="detect, one core", value=count / spent["detect"], unit="events/CPU-s", bar=RATE),
        Figure(
            name="fifth failed login to alert under that load, slowest",
            value=max(probes.took, default=float("inf")),
            unit="s",
            bar=ALERT_BAR,
            higher_is_better=False,
            note=f"of {len(probes.took)}",
        ),
    ]


class Middle(threading.Thread):
    """How many events are matched from a while after the first was sent until the last is."""

    def __init__(self, started: Started) -> None:
        super().__init__(name="middle")
        self._running = started
        self._began: tuple[float, int] | None = None
        self._ending = threading.Event()

    def run(self) -> None:
        """Look once the load is under way."""
        if not self._ending.wait(STEADY_SECONDS):
            self._began = time.monotonic(), sum(_reached(self._running).values())

    def stop(self) -> float:
        """Events a second until now."""
        self._ending.set()
        self.join()
        if self._began is None:
            return 0.0
        moment, reached = self._began
        return (sum(_reached(self._running).values()) - reached) / (time.monotonic() - moment)


class Probes(threading.Thread):
    """Every two seconds five failed logins from a new address; how long until their alert is stored."""

    def __init__(self, started: Started) -> None:
        super().__init__(name="probes")
        self.took: list[float] = []
        self._running = started
        self._ending = threading.Event()

    def run(self) -> None:
        """Send and wait until told to stop."""
        database = Database(f"sqlite:///{self._running.state / 'state.db'}")
        try:
            for number in range(1, 250):
                if self._ending.wait(PROBE_SECONDS):
                    return
                sent = time.monotonic()
                ip = f"198.51.100.{number}"
                _five_failures(self._running.ports["syslog"], ip)
                with suppress(TimeoutError):  # then the deadline is what it took, at least
                    wait_for(partial(_alerted, database, ip), LOOK_SECONDS)
                self.took.append(time.monotonic() - sent)
        finally:
            database.close()

    def stop(self) -> None:
        """End after the probe that is under way."""
        self._ending.set()
        self.join()


def _five_failures(port: int, ip: str) -> None:
    stamp = time.strftime("%b %d %H:%M:%S")
    with socket.create_connection(("127.0.0.1", port)) as sender:
        for attempt in range(5):
            line = f"<38>{stamp} probe sshd[{attempt}]: Failed password for root from {ip} port 4022 ssh2\n"
            sender.sendall(line.encode())


def _alerted(database: Database, ip: str) -> bool:
    with database.read() as tx:  # one row at most, so that looking costs the machine next to nothing
        found = sa.select(AlertRow.id).where(sa.cast(AlertRow.group, sa.String).contains(f'"{ip}"')).limit(1)
        return tx.scalar(found) is not None


def _send_both(started: Started, load: Load, count: int, *, rate: float) -> None:
    """Half over each way; the pushes over several connections, as several senders would: each waits for its answer."""
    shares = [partial(_push, started, load)] * PUSHERS
    ways = [(way, count // 2 // PUSHERS, rate / 2 / PUSHERS) for way in shares]
    ways.append((partial(_syslog, started, load), count // 2, rate / 2))
    threads = [threading.Thread(target=_paced, args=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _paced(way: partial[Iterator[None]], count: int, rate: float) -> None:
    """Let a way send chunk after chunk, never ahead of ``rate`` events a second."""
    began = time.monotonic()
    for number, _ in enumerate(islice(way(), count // CHUNK), 1):
        ahead = number * CHUNK / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)


def _push(started: Started, load: Load) -> Iterator[None]:
    url = f"http://127.0.0.1:{started.ports['push']}/v1/events"
    headers = {"Authorization": f"Bearer {load.token}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(timeout=60) as client:
        for body in cycle(load.pushes):
            client.post(url, content=body, headers=headers).raise_for_status()
            yield


def _syslog(started: Started, load: Load) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", started.ports["syslog"])) as sender:
        for lines in cycle(load.lines):
            sender.sendall(lines)
            yield


def _token(service: Service) -> str:
    with service.database.begin() as tx:
        return sources.create_token(tx, tenant="city", name="bench", actor="bench", now=service.clock())


def _bodies() -> list[bytes]:
    """Bodies of the file's events, or of made-up logons."""
    if file := os.environ.get("SECOPS_BENCH_EVENTS"):
        with Path(file).open("rb") as lines:
            events = list(islice(lines, WARM))
    else:
        events = [orjson.dumps(_logon(number)) + b"\n" for number in range(WARM // 4)]
    return [b"".join(events[at : at + CHUNK]) for at in range(0, len(events) // CHUNK * CHUNK, CHUNK)]


def _logon(number: int) -> dict[str, object]:
    return {
        "Channel": "Security",
        "EventID": 4624,
        "Hostname": f"pc{number % 300}.example.gov.cn",
        "TargetUserName": f"user{number % 900}",
        "IpAddress": f"10.0.{number % 40}.{number % 250}",
        "LogonType": 3,
        "Message": "An account was successfully logged on.",
    }


def _sshd() -> list[bytes]:
    stamp = time.strftime("%b %d %H:%M:%S")
    lines = [
        f"<38>{stamp} host{n % 50} sshd[{n % 30000}]: Accepted password for user{n % 5000}"
        f" from 203.0.113.{n % 250} port {1024 + n % 60000} ssh2\n".encode()
        for n in range(WARM // 2)
    ]
    return [b"".join(lines[at : at + CHUNK]) for at in range(0, len(lines), CHUNK)]


def _stored(log: FileLog) -> int:
    return sum(log.end(partition) for partition in range(log.partitions))


def _matched(started: Started, log: FileLog) -> bool:
    """Whether the cursors have reached what is stored now."""
    end = {partition: log.end(partition) for partition in range(log.partitions)}
    at = _reached(started)
    return all(at.get(partition, 0) >= offset for partition, offset in end.items())


def _reached(started: Started) -> dict[int, int]:
    """How far detection has come, as stored: the next offset of each partition."""
    database = Database(f"sqlite:///{started.state / 'state.db'}")
    try:
        with database.read() as tx:
            rows = tx.execute(sa.text("SELECT partition, next_offset FROM log_cursors WHERE consumer = 'detect'")).all()
    finally:
        database.close()
    return {int(partition): int(offset) for partition, offset in rows}
