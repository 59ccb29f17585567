"""From the fifth failed login on the wire to the stored alert and the ticket: the whole service, real processes."""

from __future__ import annotations

import socket
import statistics
import time
from functools import partial
from typing import Final

import sqlalchemy as sa

from secops.alert.tables import AlertRow
from secops.bench.figures import Figure
from secops.bench.processes import processes, wait_for
from secops.db import Database
from secops.settings import ROLES
from secops.ticket.tables import TicketRow

ROUNDS: Final = 10
BAR: Final = 2.0


def measure() -> list[Figure]:
    """Send five failures of a new source each round over UDP."""
    alerts, tickets = [], []
    with processes(ROLES) as started:
        database = Database(f"sqlite:///{started.state / 'state.db'}")
        try:
            for number in range(ROUNDS):
                _five_failures(started.ports["syslog"], f"203.0.113.{number + 1}")
                sent = time.monotonic()
                wait_for(partial(_more, database, AlertRow, number))
                alerts.append(time.monotonic() - sent)
                wait_for(partial(_more, database, TicketRow, number))
                tickets.append(time.monotonic() - sent)
        finally:
            database.close()
    note = f"median {statistics.median(alerts):.3f} s of {ROUNDS}"
    return [
        Figure(
            name="fifth failed login to alert, slowest",
            value=max(alerts),
            unit="s",
            bar=BAR,
            higher_is_better=False,
            note=note,
        ),
        Figure(
            name="fifth failed login to ticket, slowest",
            value=max(tickets),
            unit="s",
            higher_is_better=False,
            note=f"median {statistics.median(tickets):.3f} s",
        ),
    ]


def _five_failures(port: int, ip: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for attempt in range(5):
            line = f"<38>Nov 24 08:00:00 bench sshd[{attempt}]: Failed password for root from {ip} port 4022 ssh2"
            sender.sendto(line.encode(), ("127.0.0.1", port))


def _more(database: Database, table: type[AlertRow | TicketRow], number: int) -> bool:
    with database.read() as tx:
        return (tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0) > number
