"""Time-stamps: that some bytes existed at a time, said by the authority (RFC 3161, with the ESSCertIDv2 of RFC 5816).

Pure: a request in DER comes in, and a response in DER goes out; whoever calls brings the time, the key and its
certificate. What is stamped is a digest, so nothing of the document is seen here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography import x509

    from ca.signer import Signer

LONGEST: Final = 4096  # bytes of a request
LARGEST_NONCE: Final = 1 << 512
DIGESTS: Final = {"sha256": 32, "sha384": 48, "sha512": 64}  # what is accepted, with the length in bytes
ACCURACY_SECONDS: Final = 1
_DER: Final = serialization.Encoding.DER


class RefusedRequestError(Exception):
    """A request that gets no time-stamp; ``failure`` is a PKIFailureInfo of RFC 3161, section 2.4.2."""

    def __init__(self, failure: str, zh: str, en: str) -> None:
        super().__init__(f"{failure}: {zh} / {en}")
        self.failure, self.zh, self.en = failure, zh, en


class _Status(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    """A response that carries no token."""

    _fields = [("status", tsp.PKIStatusInfo)]  # noqa: RUF012 - asn1crypto's own protocol


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    imprint: bytes  # DER MessageImprint: algorithm and digest, given back as they came
    nonce: int | None
    certificates: bool  # whether the token is to hold them


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a time-stamp says besides what was asked."""

    policy: str  # dotted
    serial: int
    at: datetime
    chain: tuple[x509.Certificate, x509.Certificate]  # the time-stamping certificate and its issuer's


def read(request: bytes, policy: str) -> Query:
    """Read a TimeStampReq (DER).

    Raises:
        RefusedRequestError: it is none, or asks for what is not done here.
    """
    if len(request) > LONGEST:
        raise RefusedRequestError(
            "bad_data_format", f"请求超过 {LONGEST} 字节", f"the request is longer than {LONGEST} bytes"
        )
    try:
        asked = tsp.TimeStampReq.load(request, strict=True)
        values = asked.native
        imprint = asked["message_imprint"].dump()
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise RefusedRequestError("bad_data_format", "不是 TimeStampReq", "this is no TimeStampReq") from error
    _check(values, policy)
    return Query(imprint, values["nonce"], bool(values["cert_req"]))


def _check(asked: Mapping[str, Any], policy: str) -> None:
    imprint, nonce = asked["message_imprint"], asked["nonce"]
    algorithm = imprint["hash_algorithm"]
    if asked["version"] != "v1":
        raise RefusedRequestError("bad_request", "版本应为 1", "the version must be 1")
    if DIGESTS.get(algorithm["algorithm"]) != len(imprint["hashed_message"]) or algorithm["parameters"] is not None:
        named = ", ".join(DIGESTS)
        raise RefusedRequestError(
            "bad_alg", f"摘要算法应为 {named}", f"the digest must be one of {named}, of its length"
        )
    if asked["req_policy"] not in {None, policy}:
        raise RefusedRequestError("unaccepted_policy", f"策略应为 {policy}", f"the policy must be {policy}")
    if asked["extensions"]:
        raise RefusedRequestError("unaccepted_extensions", "不接受扩展", "extensions are not accepted")
    if nonce is not None and not -LARGEST_NONCE < nonce < LARGEST_NONCE:
        raise RefusedRequestError("bad_request", "nonce 过大", "the nonce is too large")


def respond(query: Query, stamp: Stamp, signer: Signer) -> bytes:
    """A granted TimeStampResp (DER).

    Everything but numbers, digest, time and signature is the same in every token, and is made once a certificate.
    """
    own, issuing = (certificate.public_bytes(_DER) for certificate in stamp.chain)
    fixed = _fixed(own, issuing)
    info = _info(query, stamp)
    attributes = b"".join(sorted([*fixed.attributes, _attribute("message_digest", hashlib.sha256(info).digest())]))
    signature = signer.data(_tlv(_SET, attributes))
    signed_by = _tlv(_SEQUENCE, _ONE, fixed.signer, _SHA256, _tlv(_FIRST, attributes), _ECDSA, _tlv(_OCTETS, signature))
    content = _tlv(_SEQUENCE, _TST_INFO, _tlv(_FIRST, _tlv(_OCTETS, info)))
    certificates = fixed.certificates if query.certificates else b""
    signed = _tlv(_SEQUENCE, _THREE, _tlv(_SET, _SHA256), content, certificates, _tlv(_SET, signed_by))
    return _tlv(_SEQUENCE, _GRANTED, _tlv(_SEQUENCE, _SIGNED_DATA, _tlv(_FIRST, signed)))


def reject(refusal: RefusedRequestError) -> bytes:
    """A TimeStampResp (DER) that says why there is no token."""
    text = f"{refusal.zh} / {refusal.en}"
    status = {"status": "rejection", "status_string": [text], "fail_info": {refusal.failure}}
    return bytes(_Status({"status": status}).dump())


def _info(query: Query, stamp: Stamp) -> bytes:
    """The TSTInfo (section 2.4.2)."""
    nonce = b"" if query.nonce is None else core.Integer(query.nonce).dump()
    return _tlv(
        _SEQUENCE,
        _ONE,
        core.ObjectIdentifier(stamp.policy).dump(),
        query.imprint,
        core.Integer(stamp.serial).dump(),
        _tlv(_TIME, f"{stamp.at.astimezone(UTC):%Y%m%d%H%M%SZ}".encode()),
        _ACCURACY,
        nonce,
    )


class _Fixed(NamedTuple):
    """What is the same in all tokens of one certificate."""

    signer: bytes  # IssuerAndSerialNumber
    attributes: tuple[
        bytes, ...
    ]  # signed ones: the content's type, and whose certificate it is (RFC 5816, section 2.2)
    certificates: bytes


@lru_cache(maxsize=4)
def _fixed(own: bytes, issuing: bytes) -> _Fixed:
    certificate = asn1_x509.Certificate.load(own)
    named = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
    whose = {"certs": [{"cert_hash": hashlib.sha256(own).digest()}]}
    return _Fixed(
        cms.IssuerAndSerialNumber(named).dump(),
        (_attribute("content_type", "tst_info"), _attribute("signing_certificate_v2", whose)),
        _tlv(_FIRST, *sorted([own, issuing])),
    )


def _attribute(name: str, value: object) -> bytes:
    return bytes(cms.CMSAttribute({"type": name, "values": [value]}).dump())


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Tag, length and value (X.690, section 8.1)."""
    value = b"".join(parts)
    length = len(value)
    if length < 128:  # noqa: PLR2004 - the short form
        return bytes((tag, length)) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + value


_SEQUENCE, _SET, _OCTETS, _TIME, _FIRST = 0x30, 0x31, 0x04, 0x18, 0xA0  # tags; the last is [0], constructed
_ONE, _THREE = core.Integer(1).dump(), core.Integer(3).dump()
_ACCURACY: Final = tsp.Accuracy({"seconds": ACCURACY_SECONDS}).dump()
_SHA256: Final = cms.DigestAlgorithm({"algorithm": "sha256"}).dump()
_ECDSA: Final = cms.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}).dump()
_TST_INFO: Final = cms.ContentType("tst_info").dump()
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_GRANTED: Final = tsp.PKIStatusInfo({"status": "granted"}).dump()
