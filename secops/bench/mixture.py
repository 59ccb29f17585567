"""A city's log, made up: logins over SSH, a firewall's sessions, and Windows events where a file of them is given.

Five days, three departments, every hundredth event up to two hours late. The same number gives the same events.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitors.record import Record
from secops.normalise import normalise
from secops.records import HOST, INGESTED, RAW, TENANT, TIMESTAMP, Event
from secops.store.log import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from secops.store.log import Log

DAYS: Final = 5
START: Final = datetime(2026, 11, 24, tzinfo=UTC)
TENANTS: Final = ("city", "city", "health", "transport")
WINDOWS_IN: Final = 10  # every so many-th event
BATCH: Final = 4000
SAMPLE: Final = 50_000  # events kept of a file


class Made(NamedTuple):
    """An event, and the bytes it was received as."""

    event: Event
    raw: int


def read_windows(path: Path) -> list[Made]:
    """Events of a file of JSON lines, as normalising gives them."""
    with path.open("rb") as file:
        lines = [line for line in islice(file, SAMPLE) if line.strip()]
    found = []
    for line in lines:
        record = Record(line.rstrip(b"\n"), START, "bench", "192.0.2.1:514", "city", "json")
        found += [Made(event, len(line)) for event in normalise([record])]
    return found


def events(count: int, windows: Sequence[Made]) -> Iterator[Made]:
    """So many events, spread evenly over the days."""
    draw = random.Random(5)  # noqa: S311 - data to measure with
    step = timedelta(days=DAYS) / count
    for number in range(count):
        made = _one(number, draw, windows)
        moment = START + number * step
        if number % 100 == 99:  # noqa: PLR2004 - every hundredth is late
            moment -= timedelta(seconds=draw.randrange(7200))
        made.event[TIMESTAMP] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        made.event[INGESTED] = made.event[TIMESTAMP]
        made.event[TENANT] = _tenant(made.event)
        yield made


def _tenant(event: Event) -> str:
    host = str(event.get(HOST, ""))
    return TENANTS[sum(host.encode()) % len(TENANTS)]


def _one(number: int, draw: random.Random, windows: Sequence[Made]) -> Made:
    if windows and number % WINDOWS_IN == 0:
        given = windows[number // WINDOWS_IN % len(windows)]
        return Made(dict(given.event), given.raw)
    made = _session(number, draw) if number % 3 == 0 else _login(number, draw)
    return Made(made, len(str(made[RAW])) + 1)


def _login(number: int, draw: random.Random) -> Event:
    failed = draw.random() < 0.1  # noqa: PLR2004 - a tenth
    user, port, pid = f"user{int(draw.paretovariate(0.7)) % 5000}", draw.randrange(1024, 65536), draw.randrange(99991)
    ip = f"203.0.{draw.randrange(40)}.{int(draw.paretovariate(0.5)) % 250}"
    message = f"{'Failed' if failed else 'Accepted'} password for {user} from {ip} port {port} ssh2"
    host = f"host{draw.randrange(200)}"
    return _syslog(
        host,
        f"<38>Nov 24 08:00:00 {host} sshd[{pid}]: {message}",
        message,
        {
            "event.module": "linux",
            "event.dataset": "linux.sshd",
            "event.action": "ssh_login",
            "event.outcome": "failure" if failed else "success",
            "event.category": ["authentication"],
            "event.type": ["start"],
            "process.name": "sshd",
            "process.pid": pid,
            "user.name": user,
            "source.ip": ip,
            "source.port": port,
            "event.sequence": number,
        },
    )


def _session(number: int, draw: random.Random) -> Event:
    denied = draw.random() < 0.2  # noqa: PLR2004 - a fifth
    source, target = (
        f"198.51.{draw.randrange(250)}.{draw.randrange(250)}",
        f"10.0.{draw.randrange(8)}.{draw.randrange(250)}",
    )
    ports, rule = (
        (draw.randrange(1024, 65536), draw.choice((22, 80, 443, 443, 445, 3389))),
        f"rule-{draw.randrange(40)}",
    )
    original = {
        "vsys": "public",
        "protocol": "6",
        "source-ip": source,
        "source-port": str(ports[0]),
        "destination-ip": target,
        "destination-port": str(ports[1]),
        "rule-name": rule,
    }
    verb, host = "POLICYDENY" if denied else "POLICYPERMIT", f"fw{draw.randrange(6)}"
    message = f"%%01SECPOLICY/6/{verb}(l):" + ", ".join(f"{name}={value}" for name, value in original.items())
    return _syslog(
        host,
        f"<190>Nov 24 2026 16:00:00 {host} {message}",
        message,
        {
            "event.module": "huawei",
            "event.dataset": "huawei.vrp",
            "event.code": f"SECPOLICY/{verb}",
            "event.action": "traffic_denied" if denied else "traffic_allowed",
            "event.category": ["network"],
            "event.type": ["denied" if denied else "allowed"],
            "observer.vendor": "Huawei",
            "observer.type": "firewall",
            "original": original,
            "source.ip": source,
            "source.port": ports[0],
            "destination.ip": target,
            "destination.port": ports[1],
            "rule.name": rule,
            "event.sequence": number,
        },
    )


def _syslog(host: str, raw: str, message: str, more: dict[str, Any]) -> Event:
    return {"event.kind": "event", RAW: raw, "message": message, HOST: host, "agent.type": "syslog", **more}


def fill(log: Log, count: int, windows: Sequence[Made]) -> int:
    """Append so many events to a log; gives the bytes they were received as."""
    raw = 0
    source = events(count, windows)
    while batch := list(islice(source, BATCH)):
        parts: dict[int, list[Event]] = {}
        for made in batch:
            raw += made.raw
            partition = partition_of(made.event[TENANT], str(made.event.get(HOST, "")), log.partitions)
            parts.setdefault(partition, []).append(made.event)
        log.append(parts)
    return raw
