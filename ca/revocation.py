"""What is told to those who ask whether a certificate still holds: CRL (RFC 5280) and OCSP (RFC 6960, RFC 9654)."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from sqlalchemy.orm import Session  # noqa: TC002 - tests resolve the annotations

from ca import ledger
from ca.tables import CertificateRecord, CrlRecord, Revocation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ca.requests import CertificateState
    from ca.settings import Settings
    from ca.signer import Signer

_EXPIRED_STAY = timedelta(days=7)  # an entry must be on at least one CRL after the certificate's end (RFC 5280, 3.3)
NONCE_LENGTHS = range(1, 129)  # RFC 9654 section 2.1
_SERIAL_END = 1 << 160  # RFC 5280 section 4.1.2.2: positive, at most 20 octets


def crl_builder(
    issuer: x509.Certificate,
    *,
    number: int,
    url: str | None,
    this_update: datetime,
    next_update: datetime,
    revoked: list[x509.RevokedCertificate],
) -> x509.CertificateRevocationListBuilder:
    """Give the builder of a complete CRL for one issuer, with its number, issuer key and distribution point.

    ``url`` is None for the root: its own certificate names no distribution point, and a CRL for one would not cover it.
    """
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    # The list goes in whole: add_revoked_certificate copies it each time, which is quadratic.
    built = (
        x509.CertificateRevocationListBuilder(revoked_certificates=revoked)
        .issuer_name(issuer.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    return built if url is None else built.add_extension(_distribution_point(url), critical=True)


def _distribution_point(url: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


class CrlIssuer:
    """Signs the issuing authority's CRLs and keeps each of them."""

    def __init__(self, certificate: x509.Certificate, signer: Signer, issuer_sha256: str, settings: Settings) -> None:
        self._certificate = certificate
        self._signer = signer
        self._issuer = issuer_sha256
        self._settings = settings

    def fresh(self, tx: Session, now: datetime) -> bytes | None:
        """Give the newest CRL if nothing was revoked since and it has not lived half of its life; else None."""
        newest = self._newest(tx)
        if newest is None or newest.last_revocation != last_revocation(tx):
            return None
        half_life = newest.this_update + (newest.next_update - newest.this_update) / 2
        return newest.der if now < half_life else None

    def renew(self, tx: Session, now: datetime) -> bytes:
        """Sign the next CRL, or give the one that somebody else signed meanwhile.

        Raises:
            CaError: ``ca.clock``.
        """
        ledger.lock(tx)
        made = self.fresh(tx, now)
        if made is not None:
            return made
        ledger.check_clock(tx, self._settings, now)
        number = (tx.scalar(sa.select(sa.func.max(CrlRecord.number))) or 0) + 1
        this_update = now.replace(microsecond=0)
        next_update = this_update + timedelta(hours=self._settings.crl_hours)
        entries = list(self._entries(tx, now))
        builder = crl_builder(
            self._certificate,
            number=number,
            url=self._settings.url("issuing.crl"),
            this_update=this_update,
            next_update=next_update,
            revoked=entries,
        )
        der = self._signer.crl(builder).public_bytes(serialization.Encoding.DER)
        tx.add(
            CrlRecord(
                number=number,
                issuer_sha256=self._issuer,
                this_update=this_update,
                next_update=next_update,
                last_revocation=last_revocation(tx),
                entries=len(entries),
                der=der,
            )
        )
        ledger.event(tx, "crl", serial="", actor="ca", detail=f"number={number} entries={len(entries)}", now=now)
        return der

    def _newest(self, tx: Session) -> CrlRecord | None:
        return tx.scalar(
            sa.select(CrlRecord)
            .where(CrlRecord.issuer_sha256 == self._issuer)
            .order_by(CrlRecord.number.desc())
            .limit(1)
        )

    def _entries(self, tx: Session, now: datetime) -> Iterator[x509.RevokedCertificate]:
        rows = tx.execute(
            sa.select(CertificateRecord.serial, Revocation.revoked_at, Revocation.reason)
            .join(Revocation, Revocation.certificate_id == CertificateRecord.id)
            .where(CertificateRecord.issuer_sha256 == self._issuer, CertificateRecord.not_after > now - _EXPIRED_STAY)
            .order_by(Revocation.id)
        )
        for serial, revoked_at, reason in rows:
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(revoked_at)
            if reason != "unspecified":  # RFC 5280 section 5.3.1: absent rather than unspecified
                entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(reason)), critical=False)
            yield entry.build()


def newest_crl(tx: Session) -> bytes:
    """Give the newest CRL (DER) that was signed; empty when none was. Needs no key."""
    return tx.scalar(sa.select(CrlRecord.der).order_by(CrlRecord.number.desc()).limit(1)) or b""


def last_revocation(tx: Session) -> int:
    """Give the number of the newest revocation, 0 when there is none."""
    return tx.scalar(sa.select(sa.func.max(Revocation.id))) or 0


def unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    """Give an OCSP response that carries an error only (RFC 6960 section 2.3)."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)


def read_ocsp_request(der: bytes, settings: Settings) -> ocsp.OCSPRequest | None:
    """Read a request for one certificate; None for what is too large, malformed, or has a nonce outside RFC 9654."""
    if len(der) > settings.ocsp_request_bytes:
        return None
    try:
        request = ocsp.load_der_ocsp_request(der)
        nonce = _nonce(request)
        request.hash_algorithm  # noqa: B018 - raises for a hash that nobody knows
        odd_nonce = nonce is not None and len(nonce.nonce) not in NONCE_LENGTHS
        odd_serial = not 0 <= request.serial_number < _SERIAL_END
    except (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return None  # NotImplementedError: more than one certificate asked for, which RFC 5019 clients never do
    return None if odd_nonce or odd_serial else request


def _nonce(request: ocsp.OCSPRequest) -> x509.OCSPNonce | None:
    try:
        return request.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return None


def has_nonce(request: ocsp.OCSPRequest) -> bool:
    """Say whether the answer is for who asks alone (RFC 9654)."""
    return _nonce(request) is not None


def hashes_of(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Give the hashes of an issuer's name and key, by which a request names it (RFC 6960 section 4.1.1)."""
    key_bits = issuer.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return _digest(issuer.subject.public_bytes(), algorithm), _digest(key_bits, algorithm)


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def ocsp_builder(
    request: ocsp.OCSPRequest,
    state: CertificateState,
    responder: x509.Certificate,
    settings: Settings,
    now: datetime,
) -> ocsp.OCSPResponseBuilder:
    """Give the builder of the answer: good, revoked with time and reason, or unknown; the nonce comes back as it was."""
    status = {"good": ocsp.OCSPCertStatus.GOOD, "expired": ocsp.OCSPCertStatus.GOOD}.get(
        state.state, ocsp.OCSPCertStatus.UNKNOWN
    )
    if state.state == "revoked":
        status = ocsp.OCSPCertStatus.REVOKED
    known_reason = state.state == "revoked" and state.reason != "unspecified"
    now = now.replace(microsecond=0)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=status,
            this_update=now,
            next_update=now + timedelta(minutes=settings.ocsp_minutes),
            revocation_time=state.revoked_at,
            revocation_reason=x509.ReasonFlags(state.reason) if known_reason else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
    )
    nonce = _nonce(request)
    return builder if nonce is None else builder.add_extension(nonce, critical=False)


def decode_get(path: str) -> bytes:
    """Give the request of an HTTP GET (RFC 6960 appendix A.1): the URL path after the responder's, base64, quoted.

    Returns b"" for what is no base64; ``Authority.ocsp`` answers that with malformedRequest.
    """
    try:
        return base64.b64decode(unquote_to_bytes(path), validate=True)
    except (binascii.Error, ValueError):
        return b""
