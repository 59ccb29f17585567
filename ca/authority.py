"""The certificate authority: vet, record, lint, sign, publish, in that order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from ca.settings import Settings

State = Literal["good", "revoked", "unknown", "expired"]


class Transactions(Protocol):
    """The state database as the authority sees it."""

    def begin(self) -> AbstractContextManager[Session]:
        """Give a session in a write transaction that commits at the end."""
        ...

    def read(self) -> AbstractContextManager[Session]:
        """Give a session for reading only."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names: vetted by the caller, never taken from a CSR."""

    common_name: str
    organization: str = ""
    account_id: str = ""  # becomes the subject's serialNumber, so that two people of one name stay two subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants certified."""

    profile: str  # person, server (see profiles.yaml)
    subject: Subject
    csr_pem: bytes | None = None  # PKCS #10; gives the key only, after its proof of possession was checked
    dns_names: Sequence[str] = ()
    ip_addresses: Sequence[str] = ()
    days: int | None = None  # shorter than the profile's lifetime, or None for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was signed and published."""

    serial: str  # 32 lower-case hexadecimal digits
    certificate_pem: bytes
    chain_pem: bytes  # the certificate and the issuing authority's: what a TLS server sends
    not_after: datetime
    fingerprint_sha256: str  # of the DER form, lower-case hexadecimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateState:
    """What the authority says about a serial at a moment."""

    state: State
    serial: str
    reason: str = ""  # CRLReason name of RFC 5280, e.g. keyCompromise
    revoked_at: datetime | None = None
    account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """One line of the list of certificates."""

    serial: str
    profile: str
    common_name: str
    organization: str
    account_id: str
    not_before: datetime
    not_after: datetime
    recorded_at: datetime
    requested_by: str
    approved_by: str
    state: str  # good, revoked, expired, unsigned (recorded, but the signature was never published)
    reason: str = ""
    revoked_at: datetime | None = None
    fingerprint_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSignature:
    """A signature by the evidence certificate over a manifest's exact bytes."""

    signature: bytes  # DER ECDSA P-256 with SHA-256
    chain_pem: bytes  # evidence certificate, issuing authority, root, in this order


class Authority:
    """An open authority; make one with ``Authority.open`` or ``Authority.initialise``. Safe to use from many threads."""

    @classmethod
    def initialise(cls, directory: Path, database: Transactions, settings: Settings, *, now: datetime) -> Authority:
        """Make the root (key in ``directory/offline``), the issuing authority and its OCSP and evidence certificates.

        Raises:
            CaError: ``ca.exists``, there is an authority in the directory already.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, directory: Path, database: Transactions, settings: Settings, *, now: datetime) -> Authority:
        """Open an authority that was initialised; the offline folder is not needed.

        Raises:
            CaError: ``ca.missing`` or ``ca.damaged``, with what to do.
        """
        raise NotImplementedError

    @staticmethod
    def exists(directory: Path) -> bool:
        """Say whether ``directory`` holds an initialised authority."""
        raise NotImplementedError

    def issue(self, request: Request, *, requested_by: str, approved_by: str, now: datetime) -> Issued:
        """Certify the key of ``request.csr_pem`` for the vetted subject.

        Raises:
            CaError: ``ca.request``, ``ca.csr``, ``ca.lint``, ``ca.clock``; nothing was signed.
        """
        raise NotImplementedError

    def issue_pkcs12(
        self, request: Request, *, requested_by: str, approved_by: str, now: datetime
    ) -> tuple[Issued, bytes, str]:
        """Make a key, certify it, and give (issued, PKCS #12 file, its password); the key is not kept anywhere."""
        raise NotImplementedError

    def revoke(self, serial: str, *, reason: str, actor: str, now: datetime) -> CertificateState:
        """Revoke for a CRLReason of RFC 5280 by name (keyCompromise, cessationOfOperation, ...); final.

        Raises:
            CaError: ``ca.serial`` for a serial that was never recorded, ``ca.reason`` for an unknown reason.
        """
        raise NotImplementedError

    def status(self, serial: str, now: datetime) -> CertificateState:
        """Say what holds for a serial (hexadecimal); one indexed look-up, fit for every request of a session."""
        raise NotImplementedError

    def find(
        self, *, account_id: str | None = None, search: str = "", limit: int = 50, after: str = "", now: datetime
    ) -> list[CertificateRow]:
        """List newest first; ``after`` is the serial that ended the page before; ``search`` looks in names and serials."""
        raise NotImplementedError

    def crl(self, now: datetime) -> bytes:
        """Give the current CRL (DER), signing a new one when something was revoked or the last one has aged."""
        raise NotImplementedError

    def ocsp(self, request_der: bytes, now: datetime) -> bytes:
        """Answer an OCSP request (DER) with an OCSP response (DER); never raises for what the request holds."""
        raise NotImplementedError

    def root_pem(self) -> bytes:
        """Give the root certificate."""
        raise NotImplementedError

    def root_fingerprint(self) -> str:
        """Give the SHA-256 of the root certificate's DER form: the trust anchor of evidence packs."""
        raise NotImplementedError

    def issuing_pem(self) -> bytes:
        """Give the issuing authority's certificate."""
        raise NotImplementedError

    def chain_pem(self) -> bytes:
        """Give the issuing authority's certificate and the root's."""
        raise NotImplementedError

    def root_crl(self) -> bytes:
        """Give the root's CRL (DER), which covers the issuing authority; signed while the root was at hand."""
        raise NotImplementedError

    def sign_manifest(self, data: bytes, now: datetime) -> ManifestSignature:
        """Sign an evidence pack's manifest with the evidence certificate."""
        raise NotImplementedError

    def server_credentials(
        self, dns_names: Sequence[str], ip_addresses: Sequence[str], directory: Path, now: datetime
    ) -> tuple[Path, Path]:
        """Give (certificate chain, key) files for a TLS server, made or renewed where due; the key file is 0600."""
        raise NotImplementedError

