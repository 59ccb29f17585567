"""Record, lint, sign, publish: the one way in which any certificate of this authority comes to be."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.hazmat.primitives import hashes, serialization

from ca import building, ledger, lint, vetting
from ca.errors import CaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from sqlalchemy.orm import Session

    from ca.profiles import Profiles
    from ca.settings import Settings
    from ca.together import Together


class CertificateSigner(Protocol):
    """What signs certificates; the private key itself stays in ``ca.signer``."""

    def public_key(self) -> EllipticCurvePublicKey:
        """Give the public half of the key."""
        ...

    def certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate."""
        ...


class Issuance:
    """One pass of record, lint, sign, publish, for whichever issuer."""

    def __init__(self, books: Together, settings: Settings, profiles: Profiles, lint_key: CertificateSigner) -> None:
        self._books = books
        self._settings = settings
        self._policy = profiles.policy
        self._lint_key = lint_key

    def certify(
        self,
        plan: building.Plan,
        *,
        issuer: x509.Certificate | None,
        signer: CertificateSigner,
        account_id: str = "",
        requested_by: str,
        approved_by: str,
        now: datetime,
    ) -> x509.Certificate:
        """Record, lint, sign and publish; ``issuer`` is None for the root.

        Raises:
            CaError: ``ca.clock``, ``ca.lint``; nothing was signed.
        """
        builder = building.builder(plan, issuer, self._settings, self._policy)
        draft = self._lint_key.certificate(builder)
        record = _record_of(plan, draft.tbs_certificate_bytes, account_id=account_id, now=now) | {
            "issuer_sha256": building.key_sha256(signer.public_key()),
            "requested_by": requested_by[:200],
            "approved_by": approved_by[:200],
        }
        number = self._record(record, now)
        self._lint(draft, plan, issuer, approved_by, now)
        certificate = signer.certificate(builder)
        if certificate.tbs_certificate_bytes != draft.tbs_certificate_bytes:
            raise CaError(
                "ca.damaged",
                "签发内容与登记不一致，证书已作废",
                "what was signed is not what was recorded; the certificate was not given out",
            )
        self._publish(number, certificate, plan, approved_by, now)
        return certificate

    def _record(self, record: Mapping[str, Any], now: datetime) -> int:
        def write(tx: Session) -> int:
            ledger.lock(tx)
            ledger.check_clock(tx, self._settings, now)
            held_by = ledger.holders(tx, record["key_sha256"])
            vetting.refuse("ca.lint", lint.check_holders(record["subject_sha256"], held_by))
            number = ledger.record(tx, record)
            serial, actor, profile = record["serial"], record["requested_by"], record["profile"]
            ledger.event(tx, "recorded", serial=serial, actor=actor, detail=profile, now=now)
            return number

        return self._books.write(write)

    def _lint(
        self, draft: x509.Certificate, plan: building.Plan, issuer: x509.Certificate | None, actor: str, now: datetime
    ) -> None:
        findings = lint.check_certificate(draft, plan.profile, issuer)
        if findings:
            serial, codes = f"{plan.serial:032x}", ",".join(finding.code for finding in findings)
            self._books.write(lambda tx: ledger.event(tx, "refused", serial=serial, actor=actor, detail=codes, now=now))
        vetting.refuse("ca.lint", findings)

    def _publish(
        self, number: int, certificate: x509.Certificate, plan: building.Plan, actor: str, now: datetime
    ) -> None:
        der = certificate.public_bytes(serialization.Encoding.DER)
        fingerprint, serial = certificate.fingerprint(hashes.SHA256()).hex(), f"{plan.serial:032x}"

        def write(tx: Session) -> None:
            ledger.publish(tx, number, der=der, fingerprint=fingerprint, now=now)
            ledger.event(tx, "issued", serial=serial, actor=actor, detail=plan.profile_name, now=now)

        self._books.write(write)


def new_serial() -> int:
    """Give a random positive serial of at most 128 bits; the books' unique column has the last word."""
    return secrets.randbits(127) | 1 << 127


def _record_of(plan: building.Plan, tbs: bytes, *, account_id: str, now: datetime) -> dict[str, Any]:
    values = {attribute.rfc4514_attribute_name: str(attribute.value) for attribute in plan.subject}
    return {
        "serial": f"{plan.serial:032x}",
        "profile": plan.profile_name,
        "common_name": values["CN"],
        "organization": values["O"],
        "account_id": account_id,
        "key_sha256": plan.key_sha256,
        "subject_sha256": plan.subject_sha256,
        "not_before": plan.not_before,
        "not_after": plan.not_after,
        "recorded_at": now,
        "tbs": tbs,
    }
