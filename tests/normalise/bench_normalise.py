"""How fast normalising is, per format, on one core: ``python tests/normalise/bench_normalise.py [FORMAT ...]``.

Windows events come from the corpus (``$SECOPS_CORPUS`` or ``../shared/corpus``) and are left out where it is absent.
CPU time is counted, not wall time, so that a busy machine shows less. The garbage collector is set as in the ingest role.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from monitors.record import Record
from secops.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 40_000
BATCH = 500
ROUNDS = 5


def rfc5424() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<165>1 2026-11-24T08:{number // 1000 % 60:02d}:{number // 20 % 60:02d}.{number:06d}Z web{number % 50:02d}.example.gov.cn gateway {number % 30000} ID{number % 40} "
            f'[req@32473 id="{number:08x}" route="/services/permits" status="200"][node@32473 zone="a"] request {number} served in {number % 90} ms'
        ).encode()


def sshd() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<38>Nov 24 08:{number // 1000 % 60:02d}:{number // 20 % 60:02d} bastion{number % 20:02d} sshd[{number % 30000}]: "
            f"Failed password for {'invalid user ' if number % 3 else ''}user{number % 500} from 203.0.{number // 250 % 250}.{number % 250} port {1024 + number % 60000} ssh2"
        ).encode()


def windows() -> Iterator[bytes]:
    folder = Path(os.environ.get("SECOPS_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
    packed = folder / "otrf-windows-40k.jsonl.zst"
    if not packed.exists():
        return
    with packed.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        for line in io.BufferedReader(reader):
            yield line.rstrip(b"\n")


def nginx() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"203.0.113.{number % 250} - - [24/Nov/2026:16:{number // 1000 % 60:02d}:{number // 20 % 60:02d} +0800] "
            f'"GET /portal/item/{number}?lang=zh HTTP/1.1" 200 {number} "https://portal.example.gov.cn/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"'
        ).encode()


def huawei() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<188>Nov 24 2026 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d}+08:00 core{number % 20:02d} %%01IFNET/4/IF_STATE(l)[{number}]:"
            f"Interface GigabitEthernet0/0/{number % 48} has turned into {'UP' if number % 2 else 'DOWN'} state."
        ).encode()


def huawei_command() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<189>Nov 24 2026 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d}+08:00 core{number % 20:02d} %%01SHELL/5/CMDRECORD(s)[{number}]:"
            f"Recorded command information. (Task=VT0, Ip=10.8.0.{number % 250}, VpnName=, User=u{number % 40}, "
            f'AuthenticationMethod="Local-user", Command="display interface GigabitEthernet0/0/{number % 48}")'
        ).encode()


def h3c() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<187>Nov 24 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d} 2026 access{number % 20:02d} %%10IFNET/3/PHY_UPDOWN: "
            f"Physical state on the interface GigabitEthernet1/0/{number % 48} changed to {'up' if number % 2 else 'down'}."
        ).encode()


def ruijie() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"<187>{number:06d}: *Nov 24 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d}: Ruijie{number % 20:02d} %LINK-3-UPDOWN: "
            f"Interface GigabitEthernet 0/{number % 48}, changed state to {'up' if number % 2 else 'down'}."
        ).encode()


def generic() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f'{{"time":"2026-11-24T08:00:00.{number:06d}Z","host":"app{number % 20}","message":"order {number} accepted","level":"info",'
            f'"user":{{"name":"u{number % 900}"}},"source":{{"ip":"198.51.100.{number % 250}"}},"order":{{"id":{number},"lines":3}}}}'
        ).encode()


def auditd() -> Iterator[bytes]:
    """A started program is four records, which are joined."""
    for number in range(COUNT // 4):
        stamp = f"msg=audit({1795507200 + number // 900}.{number % 1000:03d}:{number})"
        yield (
            f"type=SYSCALL {stamp}: arch=c000003e syscall=59 success=yes exit=0 a0=55d4 a1=55e0 a2=55f0 a3=8 items=2 ppid={number % 900} "
            f'pid={number % 30000} auid=1001 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=7 comm="ls" exe="/usr/bin/ls" key="exec"'
        ).encode()
        yield f'type=EXECVE {stamp}: argc=2 a0="ls" a1="/srv/{number}"'.encode()
        yield f'type=CWD {stamp}: cwd="/root"'.encode()
        yield f'type=PATH {stamp}: item=0 name="/usr/bin/ls" inode=131 dev=fd:00 mode=0100755 ouid=0 ogid=0 nametype=NORMAL'.encode()


def postgresql() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"2026-11-24 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d}.{number % 1000:03d} CST [{number % 90}] user=app,db=permits,app=java,client=10.20.3.{number % 90} "
            f'FATAL:  password authentication failed for user "app{number % 40}"'
        ).encode()


def dm() -> Iterator[bytes]:
    for number in range(COUNT):
        yield (
            f"2026-11-24 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d}.{number % 1000:03d} (EP[0] sess:0x7f23a823c1e8 thrd:31811 user:PERMITS trxid:{number} stmt:0x7f appname:java "
            f"ip:::ffff:10.20.3.{number % 90}) [SEL] select * from PERMITS.APPLICANT where ID={number};"
        ).encode()


def mysql() -> Iterator[bytes]:
    for number in range(COUNT):
        yield f"20261124 16:{number // 1000 % 60:02d}:{number // 20 % 60:02d},my-01,permits,10.20.3.{number % 90},{number},55,QUERY,permits,'SELECT * FROM t WHERE id={number}',0".encode()


SOURCES = {
    "auditd": (auditd, "line"),
    "postgresql": (postgresql, "line"),
    "dm": (dm, "line"),
    "mysql": (mysql, "line"),
    "rfc5424": (rfc5424, "syslog"),
    "sshd": (sshd, "syslog"),
    "windows": (windows, "json"),
    "nginx": (nginx, "line"),
    "json": (generic, "json"),
    "huawei": (huawei, "syslog"),
    "huawei_command": (huawei_command, "syslog"),
    "h3c": (h3c, "syslog"),
    "ruijie": (ruijie, "syslog"),
}


def measure(name: str) -> dict[str, float]:
    """Give events per second of CPU time (best round) and bytes per event; empty when the input is absent."""
    source, kind = SOURCES[name]
    received = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
    records = [Record(raw, received, "syslog", "198.51.100.9:5140", "city", kind) for raw in source()]
    if not records:
        return {}
    best = min(_round(records) for _ in range(ROUNDS))
    return {
        "events_per_second": len(records) / best,
        "microseconds": best / len(records) * 1e6,
        "bytes": sum(len(record.raw) for record in records) / len(records),
    }


def _round(records: list[Record]) -> float:
    started = time.process_time()
    for start in range(0, len(records), BATCH):
        normalise(records[start : start + BATCH])
    return time.process_time() - started


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    for chosen in sys.argv[1:] or SOURCES:
        figures = measure(chosen)
        print(f"{chosen:10}", " ".join(f"{key}={value:,.1f}" for key, value in figures.items()) or "no corpus here")
