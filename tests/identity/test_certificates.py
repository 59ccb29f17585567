from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from identity import certificates
from identity.principal import Role
from identity.provider import ACR_CERTIFICATE, IdentityError, Login
from tests.identity.world import OFFICE, OPERATOR, START, Person, World, client_certificate, der, fingerprint

CERTIFICATE = client_certificate(serial=0xABC123)
SERIAL = "0ABC123"  # as a CA may write it: upper case, padded
SERVER_ONLY = client_certificate(usages=[ExtendedKeyUsageOID.SERVER_AUTH])
NO_USAGE = client_certificate(usages=[])
EXPIRED = client_certificate(start=START - timedelta(days=10), days=9)


@pytest.fixture
def person(world: World) -> Person:
    """Somebody whose certificate is bound and good."""
    person = world.person("wang.fang")
    world.certificates[SERIAL] = "good"
    world.provider.bind_certificate(person.id, SERIAL, fingerprint(CERTIFICATE), actor=OPERATOR, now=world.now)
    return person


def present(world: World, certificate: bytes = der(CERTIFICATE)) -> Login:
    return world.provider.login_certificate(certificate, source_ip=OFFICE, now=world.now)


def test_a_bound_and_good_certificate_opens_a_session(world: World, person: Person) -> None:
    session = present(world).session
    assert session is not None
    assert (session.amr, session.acr, session.certificate_serial) == (("swk",), ACR_CERTIFICATE, SERIAL)
    assert session.principal.account_id == person.id
    assert world.provider.session(session.token, world.now) is not None
    assert world.provider.certificates(person.id) == [SERIAL]
    assert world.audited("login.succeeded")[0].detail["serial"] == SERIAL


@pytest.mark.parametrize("state", ["revoked", "expired", "unknown"])
def test_the_authority_is_asked_at_login(world: World, person: Person, state: str) -> None:
    world.certificates[SERIAL] = state
    login = present(world)
    assert login.session is None
    assert login.reason_zh == "此证书不能登录，请与系统管理员联系"
    assert world.audited("login.failed")[0].reason == f"certificate.{state}"


def test_a_revocation_ends_the_session_at_the_next_lookup(world: World, person: Person) -> None:
    session = present(world).session
    assert session is not None
    world.certificates[SERIAL] = "revoked"
    assert world.provider.session_by_id(session.id, world.now) is None
    assert world.provider.session(session.token, world.now) is None
    assert world.ended == [session.id]
    assert world.audited("session.end")[0].reason == "certificate_not_good"


def test_the_authority_can_end_the_sessions_of_a_certificate(world: World, person: Person) -> None:
    first, second, other = present(world).session, present(world).session, world.log_in(person)
    assert first is not None
    assert second is not None
    assert world.provider.end_certificate_sessions(SERIAL, reason="keyCompromise", now=world.now) == 2
    assert sorted(world.ended) == sorted([first.id, second.id])
    assert world.provider.session(other.token, world.now) is not None


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (der(client_certificate(serial=0xABC123)), "certificate.not_bound"),
        (der(SERVER_ONLY), "certificate.no_client_auth"),
        (der(NO_USAGE), "certificate.no_client_auth"),
        (der(EXPIRED), "certificate.expired"),
        (der(client_certificate(start=START.replace(year=2030))), "certificate.expired"),
        (b"", "certificate.malformed"),
        (b"\x30\x82", "certificate.malformed"),
        (der(CERTIFICATE) + b"\x00", "certificate.malformed"),
        (b"\x30" * 70_000, "certificate.malformed"),
    ],
)
def test_other_certificates_are_refused_and_the_trail_says_why(
    world: World, person: Person, certificate: bytes, reason: str
) -> None:
    login = present(world, certificate)
    assert login.session is None
    assert login.reason_en == "This certificate cannot log in; ask your system administrator"
    assert world.audited("login.failed")[0].reason == reason


def test_a_certificate_that_was_bound_but_is_not_for_clients_is_refused(world: World, person: Person) -> None:
    serial = f"{SERVER_ONLY.serial_number:x}"
    world.certificates[serial] = "good"
    world.provider.bind_certificate(person.id, serial, fingerprint(SERVER_ONLY), actor=OPERATOR, now=world.now)
    assert present(world, der(SERVER_ONLY)).session is None


def test_a_fingerprint_bound_under_another_serial_is_refused(world: World, person: Person) -> None:
    other = client_certificate()
    world.certificates["77"] = "good"
    world.provider.bind_certificate(person.id, "77", fingerprint(other), actor=OPERATOR, now=world.now)
    assert present(world, der(other)).session is None
    assert world.audited("login.failed")[0].reason == "certificate.not_bound"


def test_a_disabled_person_is_refused_though_the_certificate_is_good(world: World, person: Person) -> None:
    session = present(world).session
    world.provider.disable(person.id, reason="left", actor=OPERATOR, now=world.now)
    assert session is not None
    assert world.ended == [session.id]
    assert present(world).session is None
    assert world.audited("login.failed")[0].reason == "account.disabled"


def test_a_certificate_belongs_to_one_account(world: World, person: Person) -> None:
    other = world.person("li.qiang")
    world.provider.bind_certificate(person.id, SERIAL, fingerprint(CERTIFICATE), actor=OPERATOR, now=world.now)
    with pytest.raises(IdentityError) as caught:
        world.provider.bind_certificate(other.id, SERIAL, fingerprint(CERTIFICATE), actor=OPERATOR, now=world.now)
    assert caught.value.code == "certificate.bound"
    assert len(world.audited("certificate.bind")) == 1


@pytest.mark.parametrize(
    ("serial", "pin"), [("xyz", "a" * 64), ("", "a" * 64), ("1f", "a" * 63), ("1f", ""), ("-1", "a" * 64)]
)
def test_a_binding_must_be_well_formed(world: World, person: Person, serial: str, pin: str) -> None:
    with pytest.raises(IdentityError) as caught:
        world.provider.bind_certificate(person.id, serial, pin, actor=OPERATOR, now=world.now)
    assert caught.value.code == "certificate.invalid"


def test_binding_needs_the_permission(world: World, person: Person) -> None:
    officer = world.principal(world.person("officer", [Role.SECURITY_OFFICER]))
    with pytest.raises(IdentityError) as caught:
        world.provider.bind_certificate(person.id, "1f", "a" * 64, actor=officer, now=world.now)
    assert caught.value.code == "permission.denied"


@given(
    st.binary(max_size=300)
    | st.builds(lambda cut, extra: der(CERTIFICATE)[:cut] + extra, st.integers(0, 250), st.binary(max_size=40))
)
def test_reading_never_raises(data: bytes) -> None:
    assert certificates.read(data, START).reason
