"""The canonical manifest and the seal over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from secops.evidence.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SAFE_INTEGER = 2**53 - 1


class Signed(Protocol):
    """What a signer gives back; ``ca.authority.ManifestSignature`` is one."""

    @property
    def signature(self) -> bytes:
        """DER ECDSA P-256 with SHA-256 over the exact bytes that were handed in."""
        ...

    @property
    def chain_pem(self) -> bytes:
        """Evidence certificate first, root last."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature over the manifest's bytes, and the chain that says whose it is."""

    signature: bytes  # DER ECDSA-Sig-Value, P-256, SHA-256, s in the lower half: one signature has one form
    chain_pem: bytes  # 64 columns, nothing between the certificates


def canonical(manifest: Mapping[str, Any]) -> bytes:
    """Give the RFC 8785 form of a manifest, which holds text, integers, booleans, null, lists and objects only.

    Raises:
        EvidenceError: a float, or an integer beyond 2**53 - 1: other programs would read another number.
    """
    _check(manifest)
    try:
        return rfc8785.dumps(dict(manifest))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise _unfit(str(error)) from error


def _check(value: Any) -> None:  # noqa: ANN401 - JSON data
    if isinstance(value, dict):
        for part in value.values():
            _check(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _check(part)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) > _SAFE_INTEGER):
        raise _unfit(f"number {value!r}")


def _unfit(what: str) -> EvidenceError:
    return EvidenceError(
        "evidence.manifest",
        f"清单中不能包含该内容：{what[:200]}；请改为文本",
        f"a manifest cannot hold {what[:200]}; write it as text",
    )


def seal(manifest: bytes, sign: Callable[[bytes], Signed]) -> Seal:
    """Have the manifest's bytes signed and bring signature and chain into their one form."""
    signed = sign(manifest)
    r, s = decode_dss_signature(signed.signature)
    chain = x509.load_pem_x509_certificates(signed.chain_pem)
    return Seal(
        signature=encode_dss_signature(r, min(s, _P256_ORDER - s)),
        chain_pem=b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain),
    )
