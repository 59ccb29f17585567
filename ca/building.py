"""Turn a vetted plan into a certificate builder: names, validity and extensions of a profile; nothing is signed here."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from ca.profiles import Policy, Profile
    from ca.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a certificate will say."""

    profile_name: str
    profile: Profile
    subject: x509.Name
    key: CertificatePublicKeyTypes
    serial: int
    not_before: datetime
    not_after: datetime
    dns_names: Sequence[str] = ()
    ip_addresses: Sequence[str] = ()

    @property
    def key_sha256(self) -> str:
        """Name the key: SHA-256 of its SubjectPublicKeyInfo."""
        return key_sha256(self.key)

    @property
    def subject_sha256(self) -> str:
        """Name the subject: SHA-256 of its DER name."""
        return hashlib.sha256(self.subject.public_bytes()).hexdigest()


def key_sha256(key: CertificatePublicKeyTypes) -> str:
    """Give the SHA-256 of a key's DER SubjectPublicKeyInfo."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def subject_name(country: str, organization: str, common_name: str, serial_number: str = "") -> x509.Name:
    """Build a subject; ``serial_number`` (X.520, not the certificate's) tells two people of one name apart."""
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, country),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    if serial_number:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number))
    return x509.Name(attributes)


def validity(
    profile: Profile, settings: Settings, issuer: x509.Certificate | None, days: int | None, now: datetime
) -> tuple[datetime, datetime]:
    """Give (not before, not after): a little in the past for others' clocks, never beyond the issuer's own."""
    now = now.replace(microsecond=0)
    start = now - timedelta(minutes=settings.backdate_minutes)
    end = now + timedelta(days=min(days or profile.days, profile.days))
    if issuer is None:
        return start, end
    return max(start, issuer.not_valid_before_utc), min(end, issuer.not_valid_after_utc)


def builder(plan: Plan, issuer: x509.Certificate | None, settings: Settings, policy: Policy) -> x509.CertificateBuilder:
    """Give the builder for a plan; ``issuer`` is None for the root, which issues itself."""
    profile = plan.profile
    built = (
        x509.CertificateBuilder()
        .subject_name(plan.subject)
        .issuer_name(issuer.subject if issuer else plan.subject)
        .public_key(plan.key)
        .serial_number(plan.serial)
        .not_valid_before(plan.not_before)
        .not_valid_after(plan.not_after)
        .add_extension(x509.BasicConstraints(ca=profile.authority, path_length=profile.path_length), critical=True)
        .add_extension(profile.usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(plan.key), critical=False)
    )
    if issuer is not None:
        built = _pointers(built, issuer, settings, root_issued=profile.authority, revocable=not profile.ocsp_no_check)
        if profile.authority:
            built = built.add_extension(policy.extension(), critical=False)
    purposes = profile.purposes()
    if purposes is not None:
        built = built.add_extension(purposes, critical=profile.extended_key_usage_critical)
    if profile.ocsp_no_check:
        built = built.add_extension(x509.OCSPNoCheck(), critical=False)
    names = [*map(x509.DNSName, plan.dns_names), *(x509.IPAddress(ipaddress.ip_address(a)) for a in plan.ip_addresses)]
    if names:
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built


def _pointers(
    built: x509.CertificateBuilder,
    issuer: x509.Certificate,
    settings: Settings,
    *,
    root_issued: bool,
    revocable: bool,
) -> x509.CertificateBuilder:
    """Say who issued it and where CRL, OCSP and the issuer's certificate are."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = built.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    name = "root" if root_issued else "issuing"
    access = [_access(AuthorityInformationAccessOID.CA_ISSUERS, settings.url(f"{name}.cer"))]
    if not root_issued and revocable:
        access.insert(0, _access(AuthorityInformationAccessOID.OCSP, settings.url("ocsp")))
    built = built.add_extension(x509.AuthorityInformationAccess(access), critical=False)
    if not revocable:
        return built
    location = [x509.UniformResourceIdentifier(settings.url(f"{name}.crl"))]
    point = x509.DistributionPoint(location, None, None, None)
    return built.add_extension(x509.CRLDistributionPoints([point]), critical=False)


def _access(method: x509.ObjectIdentifier, url: str) -> x509.AccessDescription:
    return x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
