"""Look at a request before anything is written down: the profile, the names, the proof that the key is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ca import lint
from ca.errors import CaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from ca.profiles import Profile, Profiles

CSR_BYTES = 32_768
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_ACCOUNT_LENGTH = 64


def requestable(profiles: Profiles, name: str) -> Profile:
    """Give the profile people may ask for by this name.

    Raises:
        CaError: ``ca.request``.
    """
    profile = profiles.by_name.get(name)
    if profile is None or not profile.requestable:
        known = ", ".join(sorted(n for n, p in profiles.by_name.items() if p.requestable))
        raise CaError(
            "ca.request",
            f"没有可申请的证书类型 {name!r}；可选：{known}",
            f"no requestable profile {name!r}; choose {known}",
        )
    return profile


def check_request(
    profile: Profile,
    *,
    common_name: str,
    organization: str,
    account_id: str,
    dns_names: Sequence[str],
    ip_addresses: Sequence[str],
    days: int | None,
) -> None:
    """Check what the caller vetted against what a certificate can say.

    Raises:
        CaError: ``ca.request`` with every finding.
    """
    findings = [
        *lint.check_text("名称 (CN)", common_name),
        *lint.check_text("单位 (O)", organization),
        *lint.check_names(profile, dns_names, ip_addresses),
    ]
    if len(account_id) > _ACCOUNT_LENGTH or not _PRINTABLE.issuperset(account_id):
        findings.append(
            lint.Finding("account", "账号标识含有证书中不允许的字符", "the account id cannot stand in a certificate")
        )
    if days is not None and not 1 <= days <= profile.days:
        findings.append(
            lint.Finding("days", f"有效天数应为 1 至 {profile.days}", f"the lifetime must be 1 to {profile.days} days")
        )
    refuse("ca.request", findings)


def refuse(code: str, findings: Sequence[lint.Finding]) -> None:
    """Raise one error that says every finding; nothing when there is none."""
    if findings:
        raise CaError(code, "；".join(f.zh for f in findings), "; ".join(f.en for f in findings))


def key_of_csr(csr_pem: bytes | None, profile: Profile) -> CertificatePublicKeyTypes:
    """Give the key of a PKCS #10 request whose self-signature proves that the requester holds it.

    Names and extensions in the request are not looked at: the certificate names the vetted subject.

    Raises:
        CaError: ``ca.csr``.
    """
    if not csr_pem or len(csr_pem) > CSR_BYTES:
        raise _bad_csr("缺失或过大", "missing or too large")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        findings = lint.check_key(key, profile)  # before the signature is checked: no work on absurd keys
        held = not findings and request.is_signature_valid
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise _bad_csr("无法解析", "it cannot be read") from error
    refuse("ca.csr", findings)
    if not held:
        raise _bad_csr("签名无效，不能证明持有私钥", "its signature does not prove that the key is held")
    return key


def _bad_csr(zh: str, en: str) -> CaError:
    return CaError(
        "ca.csr",
        f"证书请求 (CSR) 不可用：{zh}；请用 openssl req -new 重新生成",
        f"the certificate request cannot be used: {en}; make a new one with openssl req -new",
    )
