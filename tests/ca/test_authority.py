"""Setting up, opening, renewing, and what lies on the disk."""

from __future__ import annotations

import shutil
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca.authority import Authority, CaError, Request, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ca.conftest import World


def test_key_files_are_sealed_and_private(world: World) -> None:
    keys = sorted(path.relative_to(world.directory).as_posix() for path in world.directory.rglob("*.key"))
    assert keys == ["evidence.key", "issuing.key", "ocsp.key", "offline/root.key"]
    for name in keys:
        for path in (world.directory / name, (world.directory / name).with_suffix(".passphrase")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(TypeError):
            serialization.load_pem_private_key((world.directory / name).read_bytes(), None)
    readme = (world.directory / "offline" / "README.txt").read_text(encoding="utf-8")
    assert "移到" in readme
    assert "Move the whole offline folder" in readme


def test_the_service_works_on_without_the_offline_folder(world: World) -> None:
    shutil.move(world.directory / "offline", world.path / "stick")
    authority = Authority.open(world.directory, world.database, world.settings, now=world.now)
    request = Request(profile="person", subject=Subject("张三", "信息中心", "a1"))
    issued, _, _ = authority.issue_pkcs12(request, requested_by="r", approved_by="a", now=world.now)
    assert authority.status(issued.serial, world.now).state == "good"
    assert authority.crl(world.now)
    with pytest.raises(CaError) as refused:
        authority.renew_root_crl(world.now)
    assert refused.value.code == "ca.key"
    shutil.move(world.path / "stick", world.directory / "offline")
    later = x509.load_der_x509_crl(authority.renew_root_crl(world.now + timedelta(days=300)))
    assert later.next_update_utc > world.now + timedelta(days=600)


def test_an_authority_is_never_replaced(world: World) -> None:
    with pytest.raises(CaError) as refused:
        Authority.initialise(world.directory, world.database, world.settings, now=world.now)
    assert refused.value.code == "ca.exists"


def test_an_authority_that_is_not_there(world: World, tmp_path: Path) -> None:
    assert not Authority.exists(tmp_path / "none")
    with pytest.raises(CaError, match="ca init") as refused:
        Authority.open(tmp_path / "none", world.database, world.settings, now=world.now)
    assert refused.value.code == "ca.missing"


def test_a_key_file_that_others_can_read_is_refused(world: World) -> None:
    (world.directory / "issuing.key").chmod(0o644)
    with pytest.raises(CaError, match="chmod 600"):
        Authority.open(world.directory, world.database, world.settings, now=world.now)


@pytest.mark.parametrize("name", ["issuing.key", "issuing.passphrase", "issuing.pem", "root.pem"])
def test_a_damaged_file_is_named(world: World, name: str) -> None:
    (world.directory / name).write_bytes(b"damaged")
    with pytest.raises(CaError, match=name.split(".", maxsplit=1)[0]):
        Authority.open(world.directory, world.database, world.settings, now=world.now)


def test_root_and_issuing_authority(world: World) -> None:
    root, issuing = map(x509.load_pem_x509_certificate, (world.authority.root_pem(), world.authority.issuing_pem()))
    issuing.verify_directly_issued_by(root)
    assert issuing.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert root.fingerprint(hashes.SHA256()).hex() == world.authority.root_fingerprint()
    assert "非依法许可" in str(issuing.extensions.get_extension_for_class(x509.CertificatePolicies).value)


def test_serials_are_positive_and_long(world: World) -> None:
    certificate = x509.load_pem_x509_certificate(world.person().certificate_pem)
    assert certificate.serial_number.bit_length() == 128


def test_a_manifest_is_signed_with_the_evidence_certificate(world: World) -> None:
    first, second = (world.authority.sign_manifest(b"manifest", world.now) for _ in range(2))
    assert first == second
    leaf, issuing, root = x509.load_pem_x509_certificates(first.chain_pem)
    leaf.public_key().verify(first.signature, b"manifest", ec.ECDSA(hashes.SHA256()))
    leaf.verify_directly_issued_by(issuing)
    assert root.fingerprint(hashes.SHA256()).hex() == world.authority.root_fingerprint()


def test_own_certificates_are_renewed_before_they_end_with_the_same_key(world: World) -> None:
    before = x509.load_pem_x509_certificate((world.directory / "ocsp.pem").read_bytes())
    serial = world.person().serial
    for days in (59, 61, 200):
        later = world.now + timedelta(days=days)
        assert world.authority.status(serial, later).state == "good"
        Authority.open(world.directory, world.database, world.settings, now=later)
        after = x509.load_pem_x509_certificate((world.directory / "ocsp.pem").read_bytes())
        assert (after == before) is (days == 59)
        assert after.public_key() == before.public_key()
        assert after.not_valid_after_utc > later + timedelta(days=29)


def test_server_credentials_are_kept_until_due(world: World) -> None:
    def get(names: list[str], days: int = 0) -> tuple[bytes, bytes]:
        now = world.now + timedelta(days=days)
        chain, key = world.authority.server_credentials(names, ["127.0.0.1"], world.path / "tls", now)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        return chain.read_bytes(), key.read_bytes()

    first = get(["localhost"])
    assert get(["localhost"], days=1) == first
    other = get(["localhost", "console.example.gov.cn"], days=1)
    assert other != first
    renewed = get(["localhost", "console.example.gov.cn"], days=62)
    assert renewed[0] != other[0]
    certificate = x509.load_pem_x509_certificate(renewed[0])
    assert serialization.load_pem_private_key(renewed[1], None).public_key() == certificate.public_key()


def test_the_list_pages_and_searches(world: World) -> None:
    for number in range(5):
        world.person(name=f"人员{number}", account=f"p{number}")
    first = world.authority.find(search="人员", limit=3, now=world.now)
    rest = world.authority.find(search="人员", limit=3, after=first[-1].serial, now=world.now)
    assert [row.common_name for row in [*first, *rest]] == [f"人员{number}" for number in (4, 3, 2, 1, 0)]
    assert [row.account_id for row in world.authority.find(account_id="p2", now=world.now)] == ["p2"]
    assert world.authority.find(search="%", now=world.now) == []
    assert world.authority.find(search=first[0].serial[:12], now=world.now)[0].serial == first[0].serial


def test_a_clock_that_ran_back_behind_the_evidence_certificate_seals_nothing(world: World) -> None:
    later = world.now + timedelta(days=1000)
    authority = Authority.open(world.directory, world.database, world.settings, now=later)
    assert authority.sign_manifest(b"manifest", later).signature
    reopened = Authority.open(world.directory, world.database, world.settings, now=world.now)
    with pytest.raises(CaError) as refused:
        reopened.sign_manifest(b"manifest", world.now)
    assert refused.value.code == "ca.clock"
