"""Certificates of senders that were revoked (RFC 5280, section 5): which they are, by the newest list there is.

Rules of the lists:

* a list counts when a certificate of the listener's own authorities has signed it, and for certificates of that issuer;
* lists come from a file, from our own authority, or both; they are looked at every few seconds, and a changed one holds
  for new connections and for those that are open;
* a list that cannot be read any more leaves the one before in force, and so does one whose time is over: a sender is not
  kept out because nobody signed a new list in time. Both are said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

LOOK_SECONDS: Final = 5.0
MAX_LIST: Final = 64 << 20  # bytes
_PEM: Final = b"-----BEGIN"


class _List(NamedTuple):
    number: int
    serials: frozenset[int]
    until: datetime | None


class Revoked:
    """The lists in force; ``look`` may take a while, ``holds`` may not."""

    def __init__(self, authorities: Path, file: Path | None, own: Callable[[], bytes]) -> None:
        self._authorities, self._file, self._own = authorities, file, own
        self._trusted: Sequence[x509.Certificate] = ()
        self._seen: dict[str, bytes] = {}
        self._lists: dict[bytes, _List] = {}  # by the issuer's name
        self.wrong = ""  # what is the matter with a list

    def begin(self) -> None:
        """Read the authorities and the lists.

        Raises:
            OSError: a file cannot be read.
            ValueError: the file holds no list that one of the authorities has signed.
        """
        self._trusted = x509.load_pem_x509_certificates(self._authorities.read_bytes())
        if self._file is not None and not self._take(self._read(self._file)):
            raise ValueError(f"{self._file} holds no certificate revocation list signed by one of {self._authorities}")
        self.look()

    def look(self) -> bool:
        """Read what has changed; whether anything has."""
        changed, wrong = False, ""
        for name, read in (("own", self._own), ("file", self._from_file)):
            try:
                data = read()
                if data and data != self._seen.get(name):
                    changed |= self._take(data)
                    self._seen[name] = data
            except (OSError, ValueError) as error:
                wrong = f"{name}: {error}"[:300]
        self.wrong = wrong
        return changed

    def stale(self, now: datetime) -> str:
        """Say which list's time is over; nothing when none's is."""
        over = [each.until for each in self._lists.values() if each.until is not None and each.until < now]
        return f"the newest list was good until {min(over):%Y-%m-%d %H:%M} UTC; it stays in force" if over else ""

    def holds(self, certificate: bytes) -> bool:
        """Whether a certificate (DER) was revoked."""
        if not self._lists:
            return False
        read = x509.load_der_x509_certificate(certificate)
        found = self._lists.get(read.issuer.public_bytes())
        return found is not None and read.serial_number in found.serials

    def _from_file(self) -> bytes:
        return b"" if self._file is None else self._read(self._file)

    def _read(self, path: Path) -> bytes:
        with path.open("rb") as file:
            data = file.read(MAX_LIST + 1)
        if len(data) > MAX_LIST:
            raise ValueError(f"{path} is larger than {MAX_LIST >> 20} MB")
        return data

    def _take(self, data: bytes) -> bool:
        """Take a list in, unless it is older than the one there is; whether it is in force now."""
        read = x509.load_pem_x509_crl(data) if data.startswith(_PEM) else x509.load_der_x509_crl(data)
        if not any(_signed(read, issuer) for issuer in self._trusted):
            return False
        issuer, number = read.issuer.public_bytes(), _number(read)
        before = self._lists.get(issuer)
        if before is not None and number < before.number:
            return False
        serials = frozenset(each.serial_number for each in read)
        self._lists[issuer] = _List(number, serials, read.next_update_utc)
        return True


def _signed(read: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return issuer.subject == read.issuer and read.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (TypeError, UnsupportedAlgorithm):
        return False


def _number(read: x509.CertificateRevocationList) -> int:
    try:
        return read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0
