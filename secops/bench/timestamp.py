"""Time-stamps a second: signed by the web process, asked for over plain HTTP by several clients at once."""

from __future__ import annotations

import hashlib
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import httpx
from asn1crypto import tsp

from secops.api.pki import TIMESTAMP_QUERY
from secops.bench.figures import Figure, stopwatch
from secops.bench.processes import processes, wait_for

if TYPE_CHECKING:
    from secops.bench.processes import Started

WARM: Final = 20  # the first makes the certificate
EACH: Final = 1000
CLIENTS: Final = 4
BAR: Final = 500


def measure() -> list[Figure]:
    """Every client has ``EACH`` digests stamped, one after the other on one connection."""
    with processes(["web"]) as started:
        wait_for(lambda: _answers(started.ports["pki"]))
        _ask(started, WARM)
        before = started.cpu("web")
        with stopwatch() as watch:
            clients = [threading.Thread(target=_ask, args=(started, EACH)) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        spent = started.cpu("web") - before
    number = EACH * CLIENTS
    note = f"HTTP included, {CLIENTS} clients on the same machine; wall {number / watch.wall:,.0f}/s"
    return [Figure(name="time-stamps", value=number / spent, unit="stamps/CPU-s", bar=BAR, note=note)]


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _ask(started: Started, number: int) -> None:
    url = f"http://127.0.0.1:{started.ports['pki']}/pki/timestamp"
    headers = {"Content-Type": TIMESTAMP_QUERY}
    with httpx.Client(timeout=60) as client:
        for each in range(number):
            imprint = {
                "hash_algorithm": {"algorithm": "sha256"},
                "hashed_message": hashlib.sha256(b"%d" % each).digest(),
            }
            query = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "nonce": each, "cert_req": True})
            answer = client.post(url, content=query.dump(), headers=headers).raise_for_status()
            if tsp.TimeStampResp.load(answer.content)["status"]["status"].native != "granted":
                raise RuntimeError("a time-stamp was refused")
