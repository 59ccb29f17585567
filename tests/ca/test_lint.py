"""The last look at what is about to be signed, on certificates that an authority should never sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from ca import building, lint
from ca.profiles import read_profiles
from ca.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
PROFILES = read_profiles()
KEY = ec.generate_private_key(ec.SECP256R1())


def plan(profile: str, **changes: object) -> building.Plan:
    values: dict[str, object] = {
        "profile_name": profile,
        "profile": PROFILES.by_name[profile],
        "subject": building.subject_name("CN", "信息中心", "张三"),
        "key": KEY.public_key(),
        "serial": 1 << 127,
        "not_before": NOW,
        "not_after": NOW + timedelta(days=30),
    }
    return building.Plan(**{**values, **changes})


def root() -> x509.Certificate:
    made = plan("root", not_after=NOW + timedelta(days=7305), not_before=NOW - timedelta(hours=1))
    return building.builder(made, None, Settings(), PROFILES.policy).sign(KEY, hashes.SHA256())


ROOT = root()


def codes(
    made: building.Plan, change: Change = lambda builder: builder, issuer: x509.Certificate | None = ROOT
) -> set[str]:
    builder = change(building.builder(made, issuer, Settings(), PROFILES.policy))
    certificate = builder.sign(KEY, hashes.SHA256())
    return {finding.code for finding in lint.check_certificate(certificate, made.profile, issuer)}


@pytest.mark.parametrize("profile", sorted(PROFILES.by_name))
def test_every_profile_as_it_is_meant_is_clean(profile: str) -> None:
    names = {"dns_names": ("a.example.cn",)} if profile == "server" else {}
    assert codes(plan(profile, **names), issuer=None if profile == "root" else ROOT) == set()


@pytest.mark.parametrize("serial", [1, (1 << 64) - 1, 1 << 128, (1 << 159) - 1])
def test_serials_that_are_guessable_or_too_long(serial: int) -> None:
    assert codes(plan("person", serial=serial)) == {"serial"}


def test_a_validity_beyond_the_profile_or_the_issuer() -> None:
    assert codes(plan("person", not_after=NOW + timedelta(days=400))) == {"validity"}
    assert codes(plan("person", not_before=NOW - timedelta(days=2))) == {"validity"}


def test_an_extension_too_many_or_too_few() -> None:
    purposes = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    assert codes(plan("issuing"), lambda b: b.add_extension(purposes, critical=False)) == {"extension"}
    assert codes(plan("person"), _without(x509.ExtendedKeyUsage)) == {"extension"}
    assert codes(plan("person"), _without(x509.AuthorityKeyIdentifier)) == {"extension"}
    assert codes(plan("ocsp"), _without(x509.OCSPNoCheck)) == {"extension"}


def _without(kind: type[x509.ExtensionType]) -> Change:
    def change(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        builder._extensions = [extension for extension in builder._extensions if not isinstance(extension.value, kind)]
        return builder

    return change


def test_other_kinds_of_alternative_names() -> None:
    mail = x509.SubjectAlternativeName([x509.RFC822Name("a@example.cn")])
    assert codes(plan("person"), lambda b: b.add_extension(mail, critical=False)) == {"names"}


def test_an_rsa_modulus_whose_primes_are_neighbours() -> None:
    p, q = (1 << 1024) + 643, (1 << 1024) + 3139  # odd and close, which is all that Fermat's method needs
    numbers = rsa.RSAPublicNumbers(65537, p * q)
    assert {finding.code for finding in lint.check_key(numbers.public_key(), PROFILES.by_name["person"])} == {
        "rsa_weak"
    }


def test_one_key_one_holder() -> None:
    assert lint.check_holders("a", []) == []
    assert lint.check_holders("a", ["a"]) == []
    assert [finding.code for finding in lint.check_holders("a", ["a", "b"])] == ["key_reuse"]


@pytest.mark.parametrize("name", ["张三", "阿卜杜·热合曼", "Zhang San", "张三 (Zhang)", "བསྟན་འཛིན", "O'Brien"])
def test_names_that_people_have(name: str) -> None:
    assert lint.check_text("CN", name) == []


@given(st.text(max_size=80))
def test_no_text_breaks_the_checks(text: str) -> None:
    for finding in [*lint.check_text("CN", text), *lint.check_dns(text), *lint.check_ip(text)]:
        assert finding.code
        assert finding.zh
        assert finding.en


@given(st.from_regex(r"\A([a-z0-9]{1,20}\.){1,3}[a-z]{2,10}\Z"))
def test_plain_host_names_pass(name: str) -> None:
    assert lint.check_dns(name) == []
