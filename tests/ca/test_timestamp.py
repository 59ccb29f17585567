"""Time-stamps: what openssl makes of them, what is refused and why, and what a clock that moves back brings about."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import cms, core, tsp
from hypothesis import given
from hypothesis import strategies as st

from ca import timestamp

if TYPE_CHECKING:
    from tests.ca.conftest import OpenSsl, World

TEXT = b"what is to be stamped"
POLICY = "2.25.192410926403391754908826071437405612031"


def query(digest: bytes = hashlib.sha256(TEXT).digest(), algorithm: str = "sha256", **more: Any) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest}
    return bytes(tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, **more}).dump())


def failure(response: bytes) -> str:
    """The PKIFailureInfo of a refusal."""
    status = tsp.PKIStatusInfo.load(core.Sequence.load(response)[0].dump())
    assert status["status"].native == "rejection"
    [reason] = status["fail_info"].native
    return str(reason)


def info(response: bytes) -> dict[str, Any]:
    answer = tsp.TimeStampResp.load(response, strict=True)
    assert answer["status"]["status"].native == "granted"
    content = answer["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    return dict(content.native)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("options", [["-cert"], [], ["-no_nonce"], ["-tspolicy", POLICY]], ids=str)
def test_openssl_verifies_what_it_asked_for(world: World, openssl: OpenSsl, digest: str, options: list[str]) -> None:
    world.write("text", TEXT)
    openssl("ts", "-query", "-data", "text", f"-{digest}", *options, "-out", "q.tsq")
    world.write("r.tsr", world.authority.timestamp((world.path / "q.tsq").read_bytes(), world.now))
    world.write("root.pem", world.authority.root_pem())
    world.write("issuing.pem", world.authority.issuing_pem())
    tsa = world.write("tsa.pem", world.authority.issuing_pem() + (world.directory / "timestamp.pem").read_bytes())
    check = ("ts", "-verify", "-in", "r.tsr", "-CAfile", "root.pem", "-untrusted", tsa)
    assert "Verification: OK" in openssl(*check, "-queryfile", "q.tsq").stdout
    openssl(*check, "-data", "text")
    world.write("other", b"another text")
    openssl(*check, "-data", "other", code=1)
    shown = openssl("ts", "-reply", "-in", "r.tsr", "-text").stdout
    assert "Status: Granted" in shown
    assert f"Policy OID: {POLICY}" in shown
    assert "Accuracy: 0x01 seconds" in shown


def test_the_certificate_is_for_time_stamps_alone(world: World, openssl: OpenSsl) -> None:
    world.authority.timestamp(query(), world.now)
    world.write("root.pem", world.authority.root_pem())
    world.write("issuing.pem", world.authority.issuing_pem())
    tsa = world.directory / "timestamp.pem"
    chain = ("verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "issuing.pem")
    openssl(*chain, "-purpose", "timestampsign", tsa)
    for purpose in ("sslserver", "sslclient", "smimesign"):
        openssl(*chain, "-purpose", purpose, tsa, code=2)


def test_a_token_says_what_was_asked_and_when(world: World) -> None:
    first = info(world.authority.timestamp(query(nonce=-(2**64)), world.now))
    second = info(world.authority.timestamp(query(nonce=7), world.now + timedelta(seconds=1)))
    assert first["message_imprint"]["hashed_message"] == hashlib.sha256(TEXT).digest()
    assert (first["nonce"], second["nonce"]) == (-(2**64), 7)
    assert first["gen_time"] == world.now.replace(microsecond=0)
    assert second["gen_time"] - first["gen_time"] == timedelta(seconds=1)
    assert first["serial_number"] != second["serial_number"]


def test_certificates_are_given_to_who_asks(world: World) -> None:
    for wanted in (True, False):
        answer = tsp.TimeStampResp.load(world.authority.timestamp(query(cert_req=wanted), world.now))
        held = answer["time_stamp_token"]["content"]["certificates"]
        assert len(held) == (2 if wanted else 0)
    assert isinstance(answer["time_stamp_token"]["content"], cms.SignedData)


@pytest.mark.parametrize(
    ("request_der", "reason"),
    [
        (b"", "bad_data_format"),
        (b"\x30\x80", "bad_data_format"),
        (query() + b"\0", "bad_data_format"),
        (b"\x30\x82\x20\x00" + bytes(8192), "bad_data_format"),
        (query(algorithm="sha1", digest=bytes(20)), "bad_alg"),
        (query(algorithm="md5", digest=bytes(16)), "bad_alg"),
        (query(digest=bytes(31)), "bad_alg"),
        (query(algorithm="sha512"), "bad_alg"),
        (query(req_policy="1.2.3"), "unaccepted_policy"),
        (query(nonce=2**600), "bad_request"),
        (query(extensions=[{"extn_id": "1.2.3", "critical": True, "extn_value": b"x"}]), "unaccepted_extensions"),
        (query().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1), "bad_request"),
    ],
)
def test_what_cannot_be_stamped_is_refused_with_the_reason(world: World, request_der: bytes, reason: str) -> None:
    assert failure(world.authority.timestamp(request_der, world.now)) == reason


def test_a_clock_that_ran_back_stamps_nothing(world: World) -> None:
    info(world.authority.timestamp(query(), world.now + timedelta(hours=1)))
    back = world.authority.timestamp(query(), world.now + timedelta(minutes=58))
    assert failure(back) == "time_not_available"
    info(world.authority.timestamp(query(), world.now + timedelta(hours=1, seconds=-30)))


def test_the_books_know_the_time_as_well(world: World) -> None:
    world.person()
    assert failure(world.authority.timestamp(query(), world.now - timedelta(minutes=2))) == "time_not_available"
    info(world.authority.timestamp(query(), world.now))


@given(st.binary(max_size=200))
def test_garbage_gets_an_answer_that_can_be_read(data: bytes) -> None:
    with pytest.raises(timestamp.RefusedRequestError) as refused:
        timestamp.read(data, POLICY)
    assert failure(timestamp.reject(refused.value)) == refused.value.failure


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_request_with_a_byte_changed_is_read_or_refused(at: int, value: int) -> None:
    changed = bytearray(query(nonce=5))
    changed[at % len(changed)] = value
    try:
        timestamp.read(bytes(changed), POLICY)
    except timestamp.RefusedRequestError as refusal:
        assert refusal.failure in tsp.PKIFailureInfo._map.values()
