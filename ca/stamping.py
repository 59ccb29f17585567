"""Gives time-stamps out: the clock is looked at before every one, so that none says a time that has not come or is past."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ca import ledger, timestamp
from ca.errors import CaError
from ca.issuance import new_serial

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from ca.requests import Transactions
    from ca.settings import Settings
    from ca.signer import Signer

    Credentials = Callable[[datetime], tuple[Signer, x509.Certificate]]

BOOKS_EVERY: Final = timedelta(seconds=10)  # how long what the books say of the time is believed
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Stamper:
    """The time-stamping service of an authority. Safe to use from many threads."""

    def __init__(
        self, database: Transactions, settings: Settings, issuing: x509.Certificate, credentials: Credentials
    ) -> None:
        """``credentials`` gives the key and certificate for a time, renewed where due."""
        self._database, self._settings = database, settings
        self._issuing, self._credentials = issuing, credentials
        self._lock = threading.Lock()
        self._latest = self._looked = _EVER

    def answer(self, request: bytes, now: datetime) -> bytes:
        """See ``Authority.timestamp``."""
        try:
            query = timestamp.read(request, self._settings.timestamp_policy)
            self._check_clock(now)
            signer, certificate = self._own(now)
        except timestamp.RefusedRequestError as refusal:
            return timestamp.reject(refusal)
        stamp = timestamp.Stamp(self._settings.timestamp_policy, new_serial(), now, (certificate, self._issuing))
        return timestamp.respond(query, stamp, signer)

    def _check_clock(self, now: datetime) -> None:
        """Refuse when the clock stands behind what was stamped, or what the books know.

        Raises:
            RefusedRequestError: ``time_not_available``.
        """
        with self._lock:
            behind = now < self._latest - timedelta(seconds=self._settings.clock_tolerance_seconds)
            look = not timedelta(0) <= now - self._looked < BOOKS_EVERY
            self._latest = max(self._latest, now)
            if look:
                self._looked = now
        if behind:
            raise _no_time("the clock ran back")
        if look:
            try:
                with self._database.read() as tx:
                    ledger.check_clock(tx, self._settings, now)
            except CaError as error:
                self._looked = _EVER
                raise _no_time(error.en) from error

    def _own(self, now: datetime) -> tuple[Signer, x509.Certificate]:
        try:
            return self._credentials(now)
        except CaError as error:
            raise timestamp.RefusedRequestError("system_failure", error.zh, error.en) from error


def _no_time(why: str) -> timestamp.RefusedRequestError:
    return timestamp.RefusedRequestError(
        "time_not_available", "系统时钟不可信，请稍后再试", f"the clock cannot be trusted: {why}"
    )
