"""CRL and OCSP at the edges of their RFCs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.authority import CaError
from ca.revocation import decode_get, newest_crl

if TYPE_CHECKING:
    from tests.ca.conftest import World


def request_for(world: World, serial: str, nonce: bytes | None = None) -> bytes:
    issuing = x509.load_pem_x509_certificate(world.authority.issuing_pem())
    key_bits = issuing.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    hashed = [hashes.Hash(hashes.SHA256()), hashes.Hash(hashes.SHA256())]
    for digest, data in zip(hashed, (issuing.subject.public_bytes(), key_bits), strict=True):
        digest.update(data)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        hashed[0].finalize(), hashed[1].finalize(), int(serial, 16), hashes.SHA256()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def ask(world: World, request: bytes) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(world.authority.ocsp(request, world.now))


@pytest.mark.parametrize("length", [1, 32, 128])
def test_rfc_9654_nonces_come_back(world: World, length: int) -> None:
    nonce = b"n" * length
    answer = ask(world, request_for(world, world.person().serial, nonce))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


@pytest.mark.parametrize("length", [0, 129, 1000])
def test_rfc_9654_other_nonces_are_malformed(world: World, length: int) -> None:
    answer = ask(world, request_for(world, world.person().serial, b"n" * length))
    assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_rfc_6960_a_delegated_responder_signs_and_needs_no_check_itself(world: World) -> None:
    answer = ask(world, request_for(world, world.person().serial))
    responder = answer.certificates[0]
    responder.verify_directly_issued_by(x509.load_pem_x509_certificate(world.authority.issuing_pem()))
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.next_update_utc > world.now


def test_an_oversized_request_is_malformed(world: World) -> None:
    answer = ask(world, request_for(world, world.person().serial, b"n" * 100) + b"\0" * 5000)
    assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_rfc_6960_a_request_in_a_url(world: World) -> None:
    assert decode_get("MEIwQA%3D%3D") == b"0B0@"
    assert decode_get("%%%") == b""
    assert ask(world, b"").response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_breaks_the_responder(world: World, data: st.DataObject) -> None:
    good = bytearray(request_for(world, "12" * 16, b"nonce"))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    assert ask(world, bytes(good)).response_status in set(ocsp.OCSPResponseStatus)


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_break_the_responder(world: World, data: bytes) -> None:
    assert ask(world, data).response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL


def test_revocation_is_seen_at_once_and_is_final(world: World) -> None:
    issued = world.person(account="acc-1")
    assert world.authority.status(issued.serial, world.now).state == "good"
    world.authority.revoke(issued.serial.upper(), reason="keyCompromise", actor="officer", now=world.now)
    again = world.authority.revoke(
        issued.serial, reason="superseded", actor="other", now=world.now + timedelta(minutes=1)
    )
    assert (again.state, again.reason, again.account_id) == ("revoked", "keyCompromise", "acc-1")
    assert again.revoked_at == world.now


@pytest.mark.parametrize("reason", ["certificateHold", "removeFromCRL", "", "whatever"])
def test_reasons_that_are_not_taken(world: World, reason: str) -> None:
    with pytest.raises(CaError) as refused:
        world.authority.revoke(world.person().serial, reason=reason, actor="officer", now=world.now)
    assert refused.value.code == "ca.reason"


@pytest.mark.parametrize("serial", ["", "zz", "0", "12" * 17, "１２"])
def test_serials_that_are_none(world: World, serial: str) -> None:
    assert world.authority.status(serial, world.now).state == "unknown"
    with pytest.raises(CaError) as refused:
        world.authority.revoke(serial, reason="unspecified", actor="officer", now=world.now)
    assert refused.value.code == "ca.serial"


def test_an_expired_certificate_says_so(world: World) -> None:
    issued = world.person(days=1)
    assert world.authority.status(issued.serial, world.now + timedelta(days=2)).state == "expired"


def test_rfc_5280_crl_numbers_rise_and_an_unchanged_crl_is_kept(world: World) -> None:
    first = world.authority.crl(world.now)
    assert world.authority.crl(world.now + timedelta(hours=1)) == first
    world.authority.revoke(world.person().serial, reason="unspecified", actor="officer", now=world.now)
    second = world.authority.crl(world.now)
    third = world.authority.crl(world.now + timedelta(hours=13))
    numbers = [
        x509.load_der_x509_crl(der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for der in (first, second, third)
    ]
    assert numbers == [1, 2, 3]
    with world.database.read() as tx:
        assert newest_crl(tx) == third


def test_a_crl_keeps_entries_past_their_end_for_a_week(world: World) -> None:
    issued = world.person(days=1)
    world.authority.revoke(issued.serial, reason="unspecified", actor="officer", now=world.now)
    sizes = [len(x509.load_der_x509_crl(world.authority.crl(world.now + timedelta(days=d)))) for d in (0, 5, 9)]
    assert sizes == [1, 1, 0]


def test_a_clock_behind_the_last_crl_signs_none(world: World) -> None:
    world.authority.crl(world.now + timedelta(days=2))
    serial = world.authority.find(now=world.now)[0].serial
    world.authority.revoke(serial, reason="unspecified", actor="officer", now=world.now)
    with pytest.raises(CaError) as refused:
        world.authority.crl(world.now)
    assert refused.value.code == "ca.clock"
