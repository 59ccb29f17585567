"""Checks of what is about to be signed; pure, and independent of the code that builds it.

The certificate that comes in is signed by a throw-away key: its to-be-signed part is exactly what the authority's key
would sign. Findings say what is wrong in both languages; one finding is enough for a refusal.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from datetime import timedelta
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from ca.profiles import KeyType, Profile

MAX_NAMES = 50
_NAME_LENGTH = 64  # ub-common-name and ub-organization-name, RFC 5280 appendix A
_DNS_LENGTH, _LABEL_LENGTH = 253, 63
_RSA_BITS = range(2048, 8193)
_FERMAT_ROUNDS = 100
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_SMALL_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


class Finding(NamedTuple):
    """One thing that is wrong."""

    code: str
    zh: str
    en: str


def key_type(key: PublicKeyTypes) -> KeyType | None:
    """Name the kind of a public key, or None for kinds that no profile knows."""
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}.get(key.curve.name)  # type: ignore[return-value]
    return None


def check_key(key: PublicKeyTypes, profile: Profile) -> list[Finding]:
    """Refuse key types outside the profile and RSA keys that are weak or absurdly large."""
    kind = key_type(key)
    if kind is None or kind not in profile.keys:
        wanted = ", ".join(profile.keys)
        return [Finding("key_type", f"密钥类型不受支持，请使用 {wanted}", f"unsupported key type; use one of {wanted}")]
    if isinstance(key, rsa.RSAPublicKey):
        return list(_rsa(key.public_numbers()))
    return []


def _rsa(numbers: rsa.RSAPublicNumbers) -> Iterator[Finding]:
    bits = numbers.n.bit_length()
    if bits not in _RSA_BITS:
        yield Finding(
            "rsa_size", f"RSA 密钥长度 {bits} 位，应为 2048 至 8192 位", f"RSA key of {bits} bits; use 2048 to 8192"
        )
        return
    if numbers.e < 65537 or numbers.e % 2 == 0 or numbers.e.bit_length() > 64:  # noqa: PLR2004 - F4, FIPS 186-5
        yield Finding("rsa_exponent", "RSA 公钥指数不安全，应为 65537", "unsafe RSA public exponent; use 65537")
    if numbers.n % 2 == 0 or any(numbers.n % prime == 0 for prime in _SMALL_PRIMES) or _close_primes(numbers.n):
        yield Finding("rsa_weak", "RSA 模数可被分解，请重新生成密钥", "the RSA modulus can be factored; make a new key")


def _close_primes(modulus: int) -> bool:
    """Try a hundred rounds of Fermat's factoring, which finds primes that were chosen next to each other."""
    a = _ceil_root(modulus)
    for step in range(_FERMAT_ROUNDS):
        rest = (a + step) ** 2 - modulus
        if rest >= 0 and _ceil_root(rest) ** 2 == rest:
            return True
    return False


def _ceil_root(number: int) -> int:
    root = isqrt(number)
    return root if root * root == number else root + 1


def check_text(label: str, text: str) -> list[Finding]:
    """Check a name for people: length, NFC, no control or invisible characters, no look-alike mixture of scripts."""
    findings = []
    if not 0 < len(text) <= _NAME_LENGTH or text != text.strip():
        findings.append(
            Finding(
                "length",
                f"{label}应为 1 至 64 个字符且首尾无空格",
                f"{label} must be 1 to 64 characters, not padded by spaces",
            )
        )
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES or (char.isspace() and char != " ") for char in text):
        findings.append(
            Finding("characters", f"{label}含有控制或不可见字符", f"{label} holds control or invisible characters")
        )
    elif unicodedata.normalize("NFC", text) != text:
        findings.append(Finding("normal_form", f"{label}不是 NFC 规范形式", f"{label} is not in Unicode form NFC"))
    if len(_scripts(text) - {"CJK"}) > 1:
        findings.append(
            Finding("mixed_script", f"{label}混用了易混淆的文字", f"{label} mixes scripts whose letters look alike")
        )
    return findings


def _scripts(text: str) -> set[str]:
    """Name the scripts of the letters in a text by the first word of their Unicode names (LATIN, CYRILLIC, CJK, ...)."""
    letters = (char for char in text if unicodedata.category(char)[0] == "L")
    names = {unicodedata.name(char, "UNNAMED").split()[0].split("-")[0] for char in letters}
    return names - {"MODIFIER", "FEMININE", "MASCULINE"}


def check_dns(name: str) -> list[Finding]:
    """Check a DNS name: LDH labels (RFC 5890), one leading ``*`` label at most; A-labels must hold Han only."""
    shown = ascii(name[:80])
    if not 0 < len(name) <= _DNS_LENGTH or not name.isascii():
        return [
            Finding(
                "dns",
                f"域名 {shown} 过长或含非 ASCII 字符；中文域名请写成 xn-- 形式",
                f"DNS name {shown} is too long or not ASCII; write it in its xn-- form",
            )
        ]
    labels = name.split(".")
    if labels[0] == "*" and len(labels) > 2:  # noqa: PLR2004 - never a wildcard right below a top level
        labels = labels[1:]
    if not all(_is_ldh(label) for label in labels) or labels[-1].isdigit():
        return [Finding("dns", f"域名 {shown} 格式不正确", f"DNS name {shown} is not well formed")]
    if any(label.startswith("xn--") and not _is_han(label) for label in labels):
        return [
            Finding(
                "dns_homograph",
                f"域名 {shown} 含有易混淆的国际化标签，仅接受汉字",
                f"DNS name {shown} has an internationalised label that is not purely Han",
            )
        ]
    return []


def _is_ldh(label: str) -> bool:
    letters = label.replace("-", "")
    hyphens = label.startswith("-") or label.endswith("-") or (label[2:4] == "--" and not label.startswith("xn--"))
    return 0 < len(label) <= _LABEL_LENGTH and letters.isalnum() and label == label.lower() and not hyphens


def _is_han(label: str) -> bool:
    """Decode an A-label; Han characters, digits and hyphens cannot be mistaken for another site's Latin letters."""
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return False
    genuine = text.encode("punycode").decode("ascii") == label[4:]
    return genuine and _scripts(text) == {"CJK"} and all(char in "-0123456789" or char.isalpha() for char in text)


def check_ip(text: str) -> list[Finding]:
    """Check an IP address that a certificate is to name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or address.is_multicast or "%" in text:
        return [Finding("ip", f"IP 地址 {text[:60]!r} 不可用", f"IP address {text[:60]!r} cannot be certified")]
    return []


def check_names(profile: Profile, dns_names: Sequence[str], ip_addresses: Sequence[str]) -> list[Finding]:
    """Check the subject alternative names that a request asks for."""
    count = len(dns_names) + len(ip_addresses)
    if profile.names == "none" and count:
        return [
            Finding(
                "names", "该类证书不含域名或 IP 地址", "certificates of this profile carry no DNS names or IP addresses"
            )
        ]
    if profile.names == "dns_or_ip" and not 0 < count <= MAX_NAMES:
        return [
            Finding(
                "names", f"请给出 1 至 {MAX_NAMES} 个域名或 IP 地址", f"give 1 to {MAX_NAMES} DNS names or IP addresses"
            )
        ]
    if len({*dns_names}) + len({*ip_addresses}) != count:
        return [Finding("names", "域名或 IP 地址重复", "a DNS name or IP address is given twice")]
    return [
        *(finding for name in dns_names for finding in check_dns(name)),
        *(finding for address in ip_addresses for finding in check_ip(address)),
    ]


def check_holders(subject_sha256: str, holders: Sequence[str]) -> list[Finding]:
    """Refuse a key that another subject already has: one key, one holder."""
    if all(holder == subject_sha256 for holder in holders):
        return []
    return [
        Finding(
            "key_reuse",
            "该密钥已用于另一主体的证书，请重新生成密钥",
            "this key is in another subject's certificate; make a new key",
        )
    ]


def check_certificate(
    certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate | None
) -> list[Finding]:
    """Check the whole certificate; ``issuer`` is None for the root."""
    return [
        *_check_frame(certificate, profile, issuer),
        *check_key(certificate.public_key(), profile),
        *_check_extensions(certificate, profile, issuer),
        *_check_contents(certificate, profile),
    ]


def _check_frame(certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate | None) -> Iterator[Finding]:
    serial = certificate.serial_number
    if not 1 << 64 <= serial < 1 << 128:
        yield Finding("serial", "序列号应为 65 至 128 位的正整数", "the serial must be positive and of 65 to 128 bits")
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if not timedelta(0) < lifetime <= timedelta(days=profile.days, hours=2):
        yield Finding("validity", "有效期超出该类证书的上限", "the validity is outside the profile's limit")
    expected = issuer.subject if issuer else certificate.subject
    if certificate.issuer != expected:
        yield Finding("issuer", "颁发者名称不符", "the issuer's name does not match")
    if issuer and not (
        issuer.not_valid_before_utc <= certificate.not_valid_before_utc
        and certificate.not_valid_after_utc <= issuer.not_valid_after_utc
    ):
        yield Finding("validity", "有效期超出颁发者证书的有效期", "the validity reaches beyond the issuer's")


def _check_extensions(
    certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate | None
) -> Iterator[Finding]:
    found = {extension.oid: extension for extension in certificate.extensions}
    wanted: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=profile.authority, path_length=profile.path_length), True),
        (profile.usage(), True),
        (x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()), False),
    ]
    purposes = profile.purposes()
    if purposes is not None:
        wanted.append((purposes, profile.extended_key_usage_critical))
    if profile.ocsp_no_check:
        wanted.append((x509.OCSPNoCheck(), False))
    if issuer is not None:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        wanted.append((x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False))
    for value, critical in wanted:
        extension = found.get(value.oid)
        if extension is None or extension.value != value or extension.critical != critical:
            name = type(value).__name__
            yield Finding(
                "extension", f"扩展 {name} 缺失或不符合该类证书", f"extension {name} is missing or not the profile's"
            )
    if not profile.extended_key_usage and x509.ExtendedKeyUsage.oid in found:
        yield Finding("extension", "不应含有扩展密钥用法", "there must be no extended key usage")


def _check_contents(certificate: x509.Certificate, profile: Profile) -> Iterator[Finding]:
    for oid, label in ((NameOID.COMMON_NAME, "名称 (CN)"), (NameOID.ORGANIZATION_NAME, "单位 (O)")):
        values = certificate.subject.get_attributes_for_oid(oid)
        if len(values) != 1:
            yield Finding("subject", f"主体应恰有一个{label}", f"the subject must have exactly one {label}")
        for value in values:
            yield from check_text(label, str(value.value))
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    dns = names.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if len(list(names)) != len(dns) + len(addresses):
        yield Finding("names", "含有不允许的备用名称类型", "a subject alternative name of a kind that is not allowed")
    yield from check_names(profile, dns, addresses)
