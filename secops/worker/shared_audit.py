"""The audit trail where several machines write the log: one of them feeds it, exactly once.

A lease decides who tries; what makes it exactly once is that the feeder writes under one name, whichever machine it is on: taking
that name over ends whatever the one before had under way, and the position is read after that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from secops import lease
from secops.lease import LeaseLost
from secops.store.log import LogBusy, LogFull
from secops.worker.audit_feed import AUDIT, audit_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from monitors.record import Record
    from secops.db import Database
    from secops.lease import Lease
    from secops.store.log import Log

NAME: Final = "audit"  # of the lease, and of the writer in the log
REST_SECONDS: Final = 0.2
WAIT_SECONDS: Final = 1.0


class SharedAudit:
    """Feeds while it holds the lease; waits while another does."""

    def __init__(
        self,
        database: Database,
        holder: str,
        open_log: Callable[[], Log],
        write: Callable[[Sequence[Record], Log], None],
        now: Callable[[], datetime],
    ) -> None:
        self._database, self._holder, self._open_log, self._write, self._now = database, holder, open_log, write, now

    def run(self, stopped: Callable[[], bool]) -> None:
        """Wait for the lease, feed, and wait again when it is lost."""
        while not stopped():
            with self._database.begin() as tx:
                held = lease.take(tx, NAME, self._holder, self._now())
            if held is None:
                time.sleep(WAIT_SECONDS)
                continue
            log = self._open_log()
            try:
                self._feed(log, held, stopped)
            except (LeaseLost, LogBusy):
                continue  # another machine has taken over
            finally:
                log.close()
            with self._database.begin() as tx:
                lease.give_back(tx, held, self._now())

    def _feed(self, log: Log, held: Lease, stopped: Callable[[], bool]) -> None:
        last_id, kept = int(log.positions().get(AUDIT, 0)), self._now()
        while not stopped():
            if self._now() - kept >= lease.RENEW:
                with self._database.begin() as tx:
                    lease.keep(tx, held, self._now())
                kept = self._now()
            records = audit_records(self._database, last_id, self._now())
            if not records:
                time.sleep(REST_SECONDS)
                continue
            try:
                self._write(records, log)
            except LogBusy:
                raise
            except LogFull:
                time.sleep(WAIT_SECONDS)  # the rows stay in the database
                continue
            position = records[-1].position
            last_id = int(position[1]) if position else last_id
