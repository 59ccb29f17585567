"""Answers that are kept: signed once for many, and never for longer than a revocation takes to show."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ca import responder
from ca.authority import Authority

if TYPE_CHECKING:
    from datetime import datetime

    from ca.authority import Issued
    from tests.ca.conftest import World

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


def question(world: World, issued: Issued, nonce: bytes = b"") -> bytes:
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    issuer = x509.load_pem_x509_certificate(world.authority.issuing_pem())
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def status(authority: Authority, asked: bytes, now: datetime) -> ocsp.OCSPCertStatus:
    return ocsp.load_der_ocsp_response(authority.ocsp(asked, now)).certificate_status


@pytest.fixture
def second(world: World) -> Authority:
    """Another process of the same authority."""
    return Authority.open(world.directory, world.database, world.settings, now=world.now)


def test_what_many_ask_is_signed_once(world: World) -> None:
    asked = question(world, world.person())
    first = world.authority.ocsp(asked, world.now)
    assert {world.authority.ocsp(asked, world.now + timedelta(minutes=n)) for n in range(30)} == {first}
    assert world.authority.ocsp(asked, world.now + timedelta(minutes=30)) != first
    assert world.authority.ocsp(asked, world.now - timedelta(minutes=1)) != first


def test_an_answer_with_a_nonce_is_for_one(world: World) -> None:
    asked = question(world, world.person(), b"n" * 32)
    assert world.authority.ocsp(asked, world.now) != world.authority.ocsp(asked, world.now)  # ECDSA is random here


def test_a_revocation_in_this_process_shows_at_once(world: World) -> None:
    issued, other = world.person(), world.person("李四", "a2")
    assert status(world.authority, question(world, issued), world.now) is GOOD
    assert status(world.authority, question(world, other), world.now) is GOOD
    world.authority.revoke(issued.serial, reason="keyCompromise", actor="x", now=world.now)
    assert status(world.authority, question(world, issued), world.now) is REVOKED
    assert status(world.authority, question(world, other), world.now) is GOOD


def test_a_revocation_in_another_process_shows_within_a_second(world: World, second: Authority) -> None:
    issued = world.person()
    assert status(world.authority, question(world, issued), world.now) is GOOD
    second.revoke(issued.serial, reason="keyCompromise", actor="x", now=world.now)
    within = world.now + timedelta(milliseconds=999)
    assert status(world.authority, question(world, issued), within) is REVOKED


def test_who_is_unknown_may_be_known_in_a_moment(world: World, second: Authority) -> None:
    issued = world.person()
    asked = bytearray(question(world, issued))
    asked[-1] ^= 1  # the last octet of the serial
    assert status(world.authority, bytes(asked), world.now) is UNKNOWN
    assert bytes(asked) not in world.authority._responder._kept
    assert status(second, question(world, issued), world.now) is GOOD


def test_what_is_kept_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "MOST_KEPT", 3)
    for number in range(5):
        world.authority.ocsp(question(world, world.person(account=f"a{number}")), world.now)
    assert len(world.authority._responder._kept) == 2
