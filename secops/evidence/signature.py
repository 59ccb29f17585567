"""Verifying what the authority signed outside a pack: the event store's checkpoints."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336


def doubt(data: bytes, signature: bytes, chain_pem: bytes, at: datetime, *, root: str) -> str:
    """Say why ``signature`` over ``data``, made at ``at``, is not the authority's with the root ``root``; empty when it is.

    ``chain_pem`` is the signer's certificate first and the root last; ``root`` is the SHA-256 fingerprint, hexadecimal.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        return _doubt_chain(chain, at, root) or _doubt_signature(chain[0], signature, data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType) as error:
        return f"the certificates cannot be read: {error}"  # parts of them are only read when they are asked for


def _doubt_chain(chain: Sequence[x509.Certificate], at: datetime, root: str) -> str:
    for certificate, issuer in zip(chain, (*chain[1:], chain[-1]), strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            return f"{certificate.subject.rfc4514_string()} was not issued by the next certificate"
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            return f"{certificate.subject.rfc4514_string()} was not valid at {at.isoformat()}"
    if chain[-1].fingerprint(hashes.SHA256()) != binascii.unhexlify(root):
        return f"the root {chain[-1].fingerprint(hashes.SHA256()).hex()} is not this installation's"
    return "" if _may_sign(chain[0]) else f"{chain[0].subject.rfc4514_string()} is no certificate for signing documents"


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return DOCUMENT_SIGNING in purposes


def _doubt_signature(certificate: x509.Certificate, signature: bytes, data: bytes) -> str:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return "the signer's key is not an elliptic-curve key"
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "the signature is not over this text"
    return ""
