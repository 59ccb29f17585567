"""The OCSP responder (RFC 6960, RFC 5019): answers signed on demand, and kept where nobody can tell the difference.

An answer without a nonce is the same for everybody who asks in the same words. It is kept until it is half as old as it
may become, and all are thrown away as soon as anything was revoked: by this process at once, by another as soon as the
books were looked at, twice a second. Of certificates that nobody knows (yet) nothing is kept.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from ca import ledger, revocation
from ca.errors import CaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from ca.requests import Transactions
    from ca.settings import Settings
    from ca.signer import Signer

    Credentials = Callable[[datetime], tuple[Signer, x509.Certificate]]

LOOK_EVERY: Final = timedelta(milliseconds=500)  # a revocation shows everywhere within a second
MOST_KEPT: Final = 20_000
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Responder:
    """Answers for one issuer. Safe to use from many threads."""

    def __init__(
        self, database: Transactions, settings: Settings, issuing: x509.Certificate, credentials: Credentials
    ) -> None:
        """``credentials`` gives the responder's key and certificate for a time, renewed where due."""
        self._database, self._settings, self._issuing = database, settings, issuing
        self._credentials = credentials
        self._half_life = timedelta(minutes=settings.ocsp_minutes) / 2
        self._lock = threading.Lock()
        self._kept: dict[bytes, tuple[datetime, bytes]] = {}  # request -> when it was answered, and how
        self._hashes: dict[str, tuple[bytes, bytes]] = {}  # algorithm -> of our issuer's name and key
        self._looked, self._revoked = _NEVER, -1  # when the books were looked at, and their newest revocation then
        self.from_kept = 0  # answers that were not signed anew

    def answer(self, request_der: bytes, now: datetime) -> bytes:
        """Answer an OCSP request (DER) with an OCSP response (DER); never raises for what the request holds."""
        self._look(now)
        kept = self._kept.get(request_der)
        if kept is not None and timedelta(0) <= now - kept[0] < self._half_life:
            self.from_kept += 1
            return kept[1]
        request = revocation.read_ocsp_request(request_der, self._settings)
        if request is None:
            return revocation.unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if not self._concerns(request):
            return revocation.unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        return self._signed(request, request_der, now)

    def _concerns(self, request: ocsp.OCSPRequest) -> bool:
        """Say whether a request asks about certificates of our issuer."""
        name = request.hash_algorithm.name
        ours = self._hashes.get(name)
        if ours is None:
            ours = self._hashes[name] = revocation.hashes_of(self._issuing, request.hash_algorithm)
        return ours == (request.issuer_name_hash, request.issuer_key_hash)

    def forget(self) -> None:
        """Something was revoked in this process."""
        self._looked = _NEVER

    def _look(self, now: datetime) -> None:
        """Throw away what is kept when the books hold a revocation that they did not hold before."""
        if timedelta(0) <= now - self._looked < LOOK_EVERY:
            return
        with self._lock:
            with self._database.read() as tx:
                newest = revocation.last_revocation(tx)
            if newest != self._revoked:
                self._kept = {}
                self._revoked = newest
            self._looked = now

    def _signed(self, request: ocsp.OCSPRequest, request_der: bytes, now: datetime) -> bytes:
        kept = self._kept  # taken before the books are read: what is thrown away meanwhile stays so
        with self._database.read() as tx:
            state = ledger.state(tx, ledger.normal_serial(f"{request.serial_number:x}"), now)
        try:
            signer, responder = self._credentials(now)
        except CaError:  # our own certificate ran out and cannot be renewed; the diary of the caller has the reason
            return revocation.unsuccessful(ocsp.OCSPResponseStatus.INTERNAL_ERROR)
        builder = revocation.ocsp_builder(request, state, responder, self._settings, now)
        body = signer.ocsp(builder).public_bytes(serialization.Encoding.DER)
        if state.state in {"good", "revoked"} and not revocation.has_nonce(request):
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[request_der] = now, body
        return body
