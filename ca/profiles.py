"""Certificate profiles: what each kind of certificate holds, read from ``profiles.yaml`` beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

KeyType = Literal["ec-p256", "ec-p384", "rsa"]
Usage = Literal["digital_signature", "content_commitment", "key_cert_sign", "crl_sign"]

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_PURPOSES = MappingProxyType(
    {
        "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
        "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
        "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
        "time_stamping": ExtendedKeyUsageOID.TIME_STAMPING,
    }
)


class Profile(BaseModel):
    """One kind of certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: Annotated[int, Field(ge=1, le=10_000)]
    keys: tuple[KeyType, ...]
    key_usage: tuple[Usage, ...]
    extended_key_usage: tuple[str, ...] = ()
    extended_key_usage_critical: bool = False
    authority: bool = False
    path_length: Annotated[int, Field(ge=0, le=3)] | None = None
    renew_days: Annotated[int, Field(ge=0)] = 0
    names: Literal["none", "dns_or_ip"] = "none"
    ocsp_no_check: bool = False
    requestable: bool
    common_name: str = ""

    def usage(self) -> x509.KeyUsage:
        """Give the keyUsage extension."""
        return x509.KeyUsage(**{name: name in self.key_usage for name in _USAGES})

    def purposes(self) -> x509.ExtendedKeyUsage | None:
        """Give the extendedKeyUsage extension, or None for an authority's certificate."""
        if not self.extended_key_usage:
            return None
        return x509.ExtendedKeyUsage(
            [_PURPOSES.get(name) or x509.ObjectIdentifier(name) for name in self.extended_key_usage]
        )


class Policy(BaseModel):
    """What an authority's certificate says about itself to people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notice: Annotated[str, Field(max_length=200)]  # RFC 5280 section 4.2.1.4: explicitText holds 200 characters

    def extension(self) -> x509.CertificatePolicies:
        """Give the certificatePolicies extension: any policy (RFC 5280), with the user notice."""
        notice = x509.UserNotice(None, self.notice.strip())
        return x509.CertificatePolicies([x509.PolicyInformation(CertificatePoliciesOID.ANY_POLICY, [notice])])


@dataclass(frozen=True, slots=True)
class Profiles:
    """Every profile by name, and the policy they share."""

    policy: Policy
    by_name: Mapping[str, Profile]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    policy: Policy
    profiles: dict[str, Profile]


def read_profiles() -> Profiles:
    """Read the profiles that ship with the package."""
    text = files("ca").joinpath("profiles.yaml").read_text(encoding="utf-8")
    parsed = _File.model_validate(yaml.safe_load(text))
    return Profiles(parsed.policy, MappingProxyType(parsed.profiles))
