"""The shapes that go into the authority and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy.orm import Session

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
