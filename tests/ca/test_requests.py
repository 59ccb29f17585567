"""Hostile and plainly wrong requests."""

from __future__ import annotations

from base64 import encodebytes
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ca.authority import CaError, Request, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as PrivateKey

    from tests.ca.conftest import World

PERSON = Subject("张三", "信息中心", "a1")


def refused(world: World, request: Request) -> CaError:
    with pytest.raises(CaError) as caught:
        world.issue(request)
    assert caught.value.zh
    return caught.value


@pytest.mark.parametrize(
    "pem",
    [
        None,
        b"",
        b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nMIIBAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"\x00" * 100,
        b"-----BEGIN CERTIFICATE REQUEST-----\n" + b"QUJD\n" * 20_000 + b"-----END CERTIFICATE REQUEST-----\n",
    ],
)
def test_a_csr_that_cannot_be_read(world: World, pem: bytes | None) -> None:
    assert refused(world, Request(profile="person", subject=PERSON, csr_pem=pem)).code == "ca.csr"


def test_a_csr_without_proof_of_possession(world: World, make_csr: Callable[..., bytes]) -> None:
    der = bytearray(x509.load_pem_x509_csr(make_csr()).public_bytes(serialization.Encoding.DER))
    der[-3] ^= 1
    pem = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    error = refused(world, Request(profile="person", subject=PERSON, csr_pem=pem))
    assert "does not prove" in error.en


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(3, 2048),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa-1024", "rsa-e3", "p521", "secp256k1"],
)
def test_weak_and_unsupported_keys(world: World, make_csr: Callable[..., bytes], key: PrivateKey) -> None:
    assert refused(world, Request(profile="person", subject=PERSON, csr_pem=make_csr(key))).code == "ca.csr"


def test_an_ed25519_key(world: World) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ed25519.Ed25519PrivateKey.generate(), None)
    pem = csr.public_bytes(serialization.Encoding.PEM)
    assert "unsupported key type" in refused(world, Request(profile="person", subject=PERSON, csr_pem=pem)).en


def test_rsa_2048_is_certified(world: World, make_csr: Callable[..., bytes]) -> None:
    csr = make_csr(rsa.generate_private_key(65537, 2048))
    assert world.issue(Request(profile="person", subject=PERSON, csr_pem=csr)).serial


def test_names_and_extensions_of_the_csr_are_not_taken_over(world: World) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "管理员")])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    issued = world.issue(
        Request(profile="person", subject=PERSON, csr_pem=csr.public_bytes(serialization.Encoding.PEM))
    )
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    assert certificate.subject.rfc4514_string() == "2.5.4.5=a1,CN=张三,O=信息中心,C=CN"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize("profile", ["root", "issuing", "ocsp", "evidence", "nothing", ""])
def test_profiles_that_people_may_not_ask_for(world: World, make_csr: Callable[..., bytes], profile: str) -> None:
    assert refused(world, Request(profile=profile, subject=PERSON, csr_pem=make_csr())).code == "ca.request"


@pytest.mark.parametrize(
    "subject",
    [
        Subject(""),
        Subject("x" * 65),
        Subject(" padded "),
        Subject("line\nbreak"),
        Subject("bidi\u202egnp"),
        Subject("zero\u200bwidth"),
        Subject("nul\x00"),
        Subject("pаypal"),
        Subject("e\u0301"),
        Subject("张三", "x\u2028y"),
        Subject("张三", "信息中心", "账号"),
        Subject("张三", "信息中心", "a" * 65),
    ],
)
def test_subjects_that_no_certificate_should_name(
    world: World, make_csr: Callable[..., bytes], subject: Subject
) -> None:
    before = len(world.authority.find(limit=500, now=world.now))
    assert refused(world, Request(profile="person", subject=subject, csr_pem=make_csr())).code == "ca.request"
    assert len(world.authority.find(limit=500, now=world.now)) == before


@pytest.mark.parametrize(
    ("dns", "ips"),
    [
        ([], []),
        (["政务.中国"], []),
        (["xn--80ak6aa92e.com"], []),  # apple in Cyrillic letters
        (["*.cn"], []),
        (["*.*.example.cn"], []),
        (["a..b"], []),
        (["-a.example.cn"], []),
        (["a_b.example.cn"], []),
        (["A.example.cn"], []),
        (["x" * 64 + ".cn"], []),
        (["1.2.3.4"], []),
        (["a.example.cn", "a.example.cn"], []),
        ([f"h{n}.example.cn" for n in range(51)], []),
        ([], ["0.0.0.0"]),
        ([], ["fe80::1%eth0"]),
        ([], ["300.1.1.1"]),
        ([], ["224.0.0.1"]),
    ],
)
def test_names_that_no_server_certificate_should_carry(
    world: World, make_csr: Callable[..., bytes], dns: list[str], ips: list[str]
) -> None:
    request = Request(profile="server", subject=Subject("server"), csr_pem=make_csr(), dns_names=dns, ip_addresses=ips)
    assert refused(world, request).code == "ca.request"


def test_a_chinese_domain_in_its_ascii_form(world: World, make_csr: Callable[..., bytes]) -> None:
    name = "xn--" + "政务".encode("punycode").decode() + ".xn--fiqs8s"
    assert world.server(name).serial


def test_a_person_gets_no_dns_names(world: World, make_csr: Callable[..., bytes]) -> None:
    request = Request(profile="person", subject=PERSON, csr_pem=make_csr(), dns_names=["a.example.cn"])
    assert refused(world, request).code == "ca.request"


@pytest.mark.parametrize("days", [0, -1, 366, 10**9])
def test_lifetimes_outside_the_profile(world: World, make_csr: Callable[..., bytes], days: int) -> None:
    assert refused(world, Request(profile="person", subject=PERSON, csr_pem=make_csr(), days=days)).code == "ca.request"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(position=5, bit=0, cut=False)  # the version
@example(position=140, bit=0, cut=False)  # the count of unused bits of the signature, which changes nothing
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_damaged_csrs_are_refused_or_their_own_key_is_certified(
    world: World, make_csr: Callable[..., bytes], position: int, bit: int, *, cut: bool
) -> None:
    key = ec.derive_private_key(7, ec.SECP256R1())
    der = bytearray(x509.load_pem_x509_csr(make_csr(key)).public_bytes(serialization.Encoding.DER))
    der[position % len(der)] ^= 1 << bit
    if cut:
        del der[position % len(der) :]
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + encodebytes(bytes(der)) + b"-----END CERTIFICATE REQUEST-----\n"
    try:
        issued = world.issue(Request(profile="person", subject=PERSON, csr_pem=pem))
    except CaError:
        return
    assert x509.load_pem_x509_certificate(issued.certificate_pem).public_key() == key.public_key()
