"""What the verifier finds, and what it says of it."""

from __future__ import annotations

import ast
import json
import struct
import sys
import zipfile
import zlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ca.authority import ManifestSignature, Request, Subject
from secops.evidence import archive, verify
from secops.evidence.seal import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.evidence.conftest import Office

    WriteZip = Callable[[Path, dict[str, bytes]], Path]

ITEM = "items/8.1.4.1-b/host-1/observation.json"
OTHER = "items/8.1.4.1-b/host-2/observation.json"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def codes(report: verify.Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_whole_pack_verifies_alone_in_an_empty_folder(office: Office) -> None:
    pack = office.build()
    code, said = office.run(pack.path)
    assert (code, said["result"], said["findings"]) == (0, "verified", [])
    assert said["manifest_sha256"] == pack.manifest_sha256
    assert said["root_sha256"] == office.root


def test_the_pack_carries_a_verifier_that_knows_the_root(office: Office) -> None:
    files = contents(office.build().path)
    assert f'ROOTS = ("{office.root}",)'.encode() in files["verify/verify.py"]
    assert "单独取得" in files["verify/说明.md"].decode()


def test_without_a_trust_anchor_nothing_is_verified(office: Office) -> None:
    code, said = office.run(office.build().path, roots=())
    assert (code, [f["code"] for f in said["findings"]]) == (2, ["anchor.none"])
    assert "--root" in said["findings"][0]["en"]
    assert office.run(office.path / "pack.zip", "--root", office.root.upper(), roots=())[0] == 0


def test_people_are_told_in_both_languages(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    files = contents(office.build().path)
    files[ITEM] = b'{"outcome":"pass"}'
    with (office.path / "told.zip").open("wb") as out:
        archive.write(out, [archive.entry_of(name, content) for name, content in files.items()])
    assert verify.main([str(office.path / "told.zip"), "--root", office.root]) == 1
    printed = capsys.readouterr().out
    assert ITEM in printed
    assert "SHA-256 不符" in printed
    assert "SHA-256 differs" in printed
    assert "验证不通过" in printed


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@example(where=0.0, mask=1)
@example(where=0.9999999, mask=128)
def test_any_flipped_byte_is_found(office: Office, whole: bytes, where: float, mask: int) -> None:
    content = bytearray(whole)
    content[int(where * len(content))] ^= mask
    report = office.check(office.put(bytes(content)))
    assert report.code == 1
    assert report.findings[0].zh


def test_every_flipped_bit_outside_the_texts_is_found(office: Office, whole: bytes) -> None:
    """Headers, manifest, signature, chain and directory, every 29th bit of them (all of them take minutes)."""
    start = whole.index(b"PK\x03\x04", whole.index(b"verify/verify.py") - 60)
    end = whole.index(b"PK\x01\x02", start)
    for bit in range(0, len(whole) * 8, 29):
        if start + 100 < bit // 8 < end - 100:
            continue
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert office.check(office.put(bytes(changed))).code == 1, bit


@pytest.mark.parametrize("cut", [1, 22, 100, 5000])
def test_a_cut_or_lengthened_pack(office: Office, cut: int) -> None:
    content = office.build().path.read_bytes()
    assert office.check(office.put(content[:-cut])).code == 1
    assert office.check(office.put(content + b"\0" * cut)).code == 1
    assert office.check(office.put(b"\0" * cut + content)).code == 1


def test_a_dropped_an_added_and_a_changed_file_are_named(office: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    dropped = {name: content for name, content in files.items() if name != ITEM}
    report = office.check(write_zip(office.path / "c.zip", dropped))
    assert [(f.level, f.code, f.item) for f in report.findings] == [(1, "files.missing", ITEM)]
    report = office.check(write_zip(office.path / "c.zip", {**files, "extra.txt": b"x"}))
    assert [(f.code, f.item) for f in report.findings] == [("files.unlisted", "extra.txt")]
    report = office.check(write_zip(office.path / "c.zip", {**files, ITEM: b"{}"}))
    assert codes(report) == {"files.sha256", "files.sm3", "files.size"}
    assert {f.item for f in report.findings} == {ITEM}


def test_two_observations_swapped(office: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    files[ITEM], files[OTHER] = files[OTHER], files[ITEM]
    report = office.check(write_zip(office.path / "c.zip", files))
    assert report.code == 1
    assert {f.item for f in report.findings} == {ITEM, OTHER}


def test_a_manifest_made_to_fit_breaks_the_seal(office: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    manifest = json.loads(files["manifest.json"])
    manifest["scope"] = {"alert": 8}
    report = office.check(write_zip(office.path / "c.zip", {**files, "manifest.json": canonical(manifest)}))
    assert (report.code, codes(report)) == (1, {"seal.signature"})
    manifest["files"].reverse()
    report = office.check(write_zip(office.path / "c.zip", {**files, "manifest.json": canonical(manifest)}))
    assert {"files.order", "merkle", "seal.signature"} <= codes(report)


def test_files_out_of_order(office: Office) -> None:
    files = contents(office.build().path)
    with zipfile.ZipFile(office.path / "c.zip", "w") as out:
        for name, content in reversed(files.items()):
            out.writestr(name, content)
    assert office.check(office.path / "c.zip").code == 1


@pytest.mark.parametrize("parts", [["seal/manifest.sig"], ["seal/chain.pem"], ["seal/manifest.sig", "seal/chain.pem"]])
def test_a_missing_seal_is_no_pass(office: Office, write_zip: WriteZip, parts: list[str]) -> None:
    files = contents(office.build().path)
    report = office.check(write_zip(office.path / "c.zip", {n: c for n, c in files.items() if n not in parts}))
    assert (report.code, codes(report)) == (2, {"seal.missing"})
    files[ITEM] = b"{}"
    report = office.check(write_zip(office.path / "c.zip", {n: c for n, c in files.items() if n not in parts}))
    assert report.code == 1


def test_another_valid_key_and_chain(office: Office, stranger: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    signed = stranger.authority.sign_manifest(files["manifest.json"], office.now)
    files["seal/chain.pem"] = signed.chain_pem
    r, s = decode_dss_signature(signed.signature)
    files["seal/manifest.sig"] = encode_dss_signature(r, min(s, verify.N - s))
    path = write_zip(office.path / "c.zip", files)
    assert stranger.check(path).code == 0
    report = office.check(path)
    assert (report.code, codes(report)) == (1, {"anchor.other"})


def test_the_other_form_of_the_same_signature(office: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    r, s = decode_dss_signature(files["seal/manifest.sig"])
    files["seal/manifest.sig"] = encode_dss_signature(r, verify.N - s)
    assert codes(office.check(write_zip(office.path / "c.zip", files))) == {"seal.signature"}


def _signed_with(office: Office, profile: str) -> Callable[[bytes], ManifestSignature]:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    names = {"dns_names": ("a.example.cn",)} if profile == "server" else {}
    request = Request(
        profile=profile,
        subject=Subject("张三", "信息中心", "a1"),
        csr_pem=csr.public_bytes(serialization.Encoding.PEM),
        **names,
    )
    issued = office.authority.issue(request, requested_by="r", approved_by="a", now=office.now)

    def sign(data: bytes) -> ManifestSignature:
        chain = issued.certificate_pem + office.authority.chain_pem()
        return ManifestSignature(signature=key.sign(data, ec.ECDSA(hashes.SHA256())), chain_pem=chain)

    return sign


@pytest.mark.parametrize("profile", ["person", "server"])
def test_a_certificate_of_the_city_that_is_not_for_evidence(office: Office, profile: str) -> None:
    report = office.check(office.build("c.zip", sign=_signed_with(office, profile)).path)
    assert (report.code, codes(report)) == (1, {"chain.purpose"})


def test_an_end_entity_that_plays_authority(office: Office) -> None:
    """A person's certificate signs an evidence certificate of its own making."""
    key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    request = Request(
        profile="person", subject=Subject("张三", "甲", "a9"), csr_pem=csr.public_bytes(serialization.Encoding.PEM)
    )
    person = office.authority.issue(request, requested_by="r", approved_by="a", now=office.now)
    issuer = x509.load_pem_x509_certificate(person.certificate_pem)
    real = x509.load_pem_x509_certificates(office.authority.sign_manifest(b"", office.now).chain_pem)[0]
    builder = x509.CertificateBuilder(
        issuer.subject, real.subject, leaf_key.public_key(), 5, real.not_valid_before_utc.replace(tzinfo=None),
        issuer.not_valid_after_utc.replace(tzinfo=None), list(real.extensions),
    )  # fmt: skip
    forged = builder.sign(key, hashes.SHA256())

    def sign(data: bytes) -> ManifestSignature:
        chain = forged.public_bytes(serialization.Encoding.PEM) + person.certificate_pem + office.authority.chain_pem()
        return ManifestSignature(signature=leaf_key.sign(data, ec.ECDSA(hashes.SHA256())), chain_pem=chain)

    report = office.check(office.build("c.zip", sign=sign).path)
    assert report.code == 1
    assert "chain.authority" in codes(report)


def test_a_seal_outside_the_certificates_validity(office: Office) -> None:
    then = office.now - timedelta(days=30)
    pack = office.build("c.zip", now=then, sign=lambda data: office.authority.sign_manifest(data, office.now))
    assert codes(office.check(pack.path)) == {"chain.validity"}


def test_a_chain_whose_links_do_not_hold(office: Office, stranger: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    leaf, issuing, _ = x509.load_pem_x509_certificates(files["seal/chain.pem"])
    pems = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in (leaf, issuing)]
    files["seal/chain.pem"] = b"".join(pems) + stranger.authority.root_pem()
    report = office.check(write_zip(office.path / "c.zip", files))
    assert {"chain.signature", "anchor.other"} <= codes(report)


def test_an_older_pack_in_the_place_of_a_newer(office: Office) -> None:
    first = office.build("first.zip")
    second = office.build("second.zip", previous=first.manifest_sha256)
    assert office.check(second.path, previous=first.manifest_sha256).code == 0
    assert codes(office.check(first.path, previous=first.manifest_sha256)) == {"series.previous"}
    assert codes(office.check(first.path, name=second.manifest_sha256)) == {"series.manifest_sha256"}
    assert office.run(first.path, "--previous", first.manifest_sha256)[0] == 1


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format":"secops-evidence/2"}',
        b'{"a":1,"a":1}',
        b'{"a":1.5}',
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":[' + b"1," * 500_000 + b"1]}",
        b'{"format":"secops-evidence/1","files":[1],"merkle":{},"packed_at":"","previous":""}',
        b'{"files":[],"format":"secops-evidence/1","merkle":{},"packed_at":"","previous":""}',
    ],
)
def test_hostile_manifests(office: Office, write_zip: WriteZip, manifest: bytes) -> None:
    files = contents(office.build().path)
    report = office.check(write_zip(office.path / "c.zip", {**files, "manifest.json": manifest}))
    assert report.code == 1
    assert report.findings[0].zh


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\\b", "C:x", "a/./b", "nul", "\u202egnp.exe"])
def test_hostile_names(office: Office, write_zip: WriteZip, name: str) -> None:
    files = contents(office.build().path)
    report = office.check(write_zip(office.path / "c.zip", {**files, name: b"x"}))
    assert report.code == 1
    assert "zip.name" in codes(report)


def test_a_symbolic_link(office: Office, write_zip: WriteZip) -> None:
    files = contents(office.build().path)
    content = write_zip(office.path / "c.zip", {**files, "link": b"/etc/passwd"}).read_bytes()
    plain = struct.pack("<I", 0o100644 << 16)
    at = content.index(plain, content.index(b"link", content.index(b"PK\x01\x02")) - 20)
    linked = content[:at] + struct.pack("<I", 0o120777 << 16) + content[at + 4 :]
    assert codes(office.check(office.put(linked))) == {"zip.directory"}


def test_bombs_are_refused_before_they_are_unpacked(office: Office) -> None:
    with zipfile.ZipFile(office.path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a", b"\0" * 50_000_000)
    assert codes(office.check(office.path / "bomb.zip")) == {"zip.header"}
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0x800, 0, 0, 0x21, 0, 0xFFFFFFF0, 0xFFFFFFF0, 1, 0) + b"a"
    assert codes(office.check(office.put(head))) == {"zip.truncated"}
    manifest = b"manifest.json"
    large = 9 * 1024 * 1024
    frame = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0x800, 0, 0, 0x21, 0, large, large, len(manifest), 0)
    assert codes(office.check(office.put(frame + manifest + b" " * large))) == {"zip.size"}


def test_thousands_of_entries(office: Office, write_zip: WriteZip) -> None:
    path = write_zip(office.path / "many.zip", {f"f{number:06}": b"" for number in range(verify.MAX_ENTRIES + 1)})
    assert codes(office.check(path)) == {"zip.entries"}


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_break_the_verifier(office: Office, data: bytes) -> None:
    assert office.check(office.put(data)).code == 1
    assert office.check(office.put(b"PK\x03\x04" + data)).code == 1


@given(st.binary(min_size=1, max_size=60), st.integers(0, 3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_no_chain_breaks_the_verifier(office: Office, whole: bytes, data: bytes, at: int) -> None:
    files = contents(office.put(whole, "whole.zip"))
    chain = files["seal/chain.pem"]
    ders = [c.public_bytes(serialization.Encoding.DER) for c in x509.load_pem_x509_certificates(chain)]
    ders[0] = ders[0][: at % len(ders[0])] + data + ders[0][at % len(ders[0]) + len(data) :]
    pem = b"".join(_pem(der) for der in ders)
    files["seal/chain.pem"] = pem
    with (office.path / "c.zip").open("wb") as out:
        archive.write(out, [archive.entry_of(name, content) for name, content in files.items()])
    assert office.check(office.path / "c.zip").code == (0 if pem == chain else 1)


def _pem(der: bytes) -> bytes:
    from base64 import b64encode  # noqa: PLC0415 - only here

    body = b64encode(der)
    lines = b"".join(body[i : i + 64] + b"\n" for i in range(0, len(body), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def test_what_cannot_be_read_is_not_verified(office: Office) -> None:
    for path in (office.path / "not there.zip", office.path):
        code, said = office.run(path)
        assert (code, said["findings"][0]["code"]) == (2, "unreadable")


@given(st.integers(1, verify.N - 1), st.binary(max_size=100))
@settings(max_examples=40, deadline=None)
def test_signatures_agree_with_openssl(secret: int, data: bytes) -> None:
    key = ec.derive_private_key(secret, ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    assert verify.verify_signature((numbers.x, numbers.y), signature, data, low=False)
    assert not verify.verify_signature((numbers.x, numbers.y), signature, data + b"x", low=False)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda c: (
            st.lists(c, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), c, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_the_two_canonical_forms_agree(value: object) -> None:
    assert verify.canonical_json({"v": value}) == canonical({"v": value})


def test_the_verifier_is_plain_python_3_8_of_the_standard_library() -> None:
    source = Path(verify.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert imported | {module.split(".")[0] for module in modules} <= {*sys.stdlib_module_names}


def test_crc_of_the_archive_is_of_its_contents(office: Office) -> None:
    with zipfile.ZipFile(office.build().path) as opened:
        assert all(zlib.crc32(opened.read(info)) == info.CRC for info in opened.infolist())
