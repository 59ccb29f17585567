"""Building packs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.evidence import archive, merkle
from secops.evidence.errors import EvidenceError
from secops.evidence.seal import canonical
from secops.records import Exhibit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evidence.conftest import Office


def exhibit(path: str, content: bytes = b"x", tenant: str = "city") -> Exhibit:
    return Exhibit(tenant=tenant, path=path, media_type="text/plain", content=content)


def test_a_pack_is_an_ordinary_zip_of_unchanged_exhibits(office: Office) -> None:
    pack = office.build()
    with zipfile.ZipFile(pack.path) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == sorted(opened.namelist(), key=str.encode)
        assert opened.read("items/8.1.4.1-b/host-1/observation.json") == b'{"outcome":"fail"}'
        assert opened.read("records/审批.json") == b"[]"
        manifest = json.loads(opened.read("manifest.json"))
        assert hashlib.sha256(opened.read("manifest.json")).hexdigest() == pack.manifest_sha256
    assert pack.files == 4
    assert pack.size == pack.path.stat().st_size
    assert manifest["tenants"] == ["city", "county"]
    assert manifest["scope"] == office.scope
    assert {"sha256", "sm3", "size", "path"} <= manifest["files"][0].keys()


def test_openssl_verifies_the_seal(office: Office) -> None:
    folder = office.path / "unpacked"
    with zipfile.ZipFile(office.build().path) as opened:
        opened.extractall(folder)
    key = subprocess.run(
        ["openssl", "x509", "-in", "seal/chain.pem", "-noout", "-pubkey"], cwd=folder, capture_output=True, check=True
    )
    (folder / "key.pem").write_bytes(key.stdout)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "seal/manifest.sig", "manifest.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.stdout == b"Verified OK\n"


def test_the_same_case_gives_the_same_bytes(office: Office) -> None:
    first, second = office.build("first.zip"), office.build("second.zip", office.exhibits[::-1])
    assert first.path.read_bytes() == second.path.read_bytes()


def test_one_file_can_be_proved_without_the_others(office: Office) -> None:
    with zipfile.ZipFile(office.build().path) as opened:
        manifest = json.loads(opened.read("manifest.json"))
    leaves = [merkle.leaf_hash(canonical(item)) for item in manifest["files"]]
    proof = merkle.inclusion_proof(leaves, 2)
    root = bytes.fromhex(manifest["merkle"]["root"])
    assert merkle.verify_inclusion(leaves[2], 2, len(leaves), proof, root)


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/", "C:/x", "a\\b", "a\0b", "a\nb", "nul.txt", "x/COM1",
        "dot.", "space ", "e\u0301", "\u202egnp.exe", "x" * 241, "seal/chain.pem", "verify/other", "manifest.json",
        "\ud800",
    ],
)  # fmt: skip
def test_paths_that_could_harm_who_unpacks_them(office: Office, path: str) -> None:
    with pytest.raises(EvidenceError) as refused:
        office.build("bad.zip", [exhibit(path)])
    assert refused.value.code == "evidence.path"
    assert not (office.path / "bad.zip").exists()


def test_one_path_twice_also_in_other_letters(office: Office) -> None:
    for pair in (("a.txt", "a.txt"), ("a.txt", "A.TXT")):
        with pytest.raises(EvidenceError, match="one path"):
            office.build("bad.zip", [exhibit(path) for path in pair])


def test_nothing_to_pack(office: Office) -> None:
    with pytest.raises(EvidenceError, match="nothing"):
        office.build("bad.zip", [])


@pytest.mark.parametrize("scope", [{"share": 0.5}, {"n": 2**53}, {"deep": [{"x": 1e3}]}, {"text": "\ud800"}])
def test_what_other_programs_would_read_differently(office: Office, scope: dict[str, object]) -> None:
    with pytest.raises(EvidenceError) as refused:
        office.build("bad.zip", scope=scope)
    assert refused.value.code == "evidence.manifest"


def test_a_failure_leaves_the_old_pack_and_no_rest(office: Office) -> None:
    before = office.build("kept.zip").path.read_bytes()
    names = {path.name for path in office.path.iterdir()}

    def broken() -> Iterator[Exhibit]:
        yield exhibit("a.txt")
        raise OSError("the source is gone")

    def stop(number: int, _path: str) -> None:
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(OSError, match="gone"):
        office.build("kept.zip", broken())
    with pytest.raises(KeyboardInterrupt):
        office.build("kept.zip", progress=stop)
    assert (office.path / "kept.zip").read_bytes() == before
    assert {path.name for path in office.path.iterdir()} == names


def test_progress_names_every_file(office: Office) -> None:
    heard: list[tuple[int, str]] = []
    office.build(progress=lambda number, path: heard.append((number, path)))
    assert [number for number, _ in heard] == list(range(1, 10))
    assert heard[-1][1] == "verify/说明.md"


def test_gaps_redactions_versions_and_the_pack_before_are_in_the_manifest(office: Office) -> None:
    gap = {"source": "host-3", "from": "2026-11-24T00:00:00Z"}
    pack = office.build(gaps=[gap], redactions=[{"leaf": "ab"}], versions={"rules": "3"}, previous="cd" * 32)
    facts = office.check(pack.path).facts
    assert (facts["gaps"], facts["redactions"], facts["previous"]) == ([gap], [{"leaf": "ab"}], "cd" * 32)
    assert facts["versions"] == {"rules": "3"}


@given(leaves=st.lists(st.binary(max_size=8), min_size=1, max_size=40), data=st.data())
def test_rfc_6962_proofs_hold_and_only_for_their_leaf(leaves: list[bytes], data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    root, index = merkle.tree_hash(hashes), data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle.inclusion_proof(hashes, index)
    assert merkle.verify_inclusion(hashes[index], index, len(hashes), proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"something else"), index, len(hashes), proof, root)
    assert not merkle.verify_inclusion(hashes[index], index, len(hashes), [*proof, root], root)


def test_rfc_6962_known_roots() -> None:
    assert merkle.tree_hash([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    one, two, three = (merkle.leaf_hash(text) for text in (b"a", b"b", b"c"))
    assert merkle.tree_hash([one]) == one
    assert merkle.tree_hash([one, two, three]) == merkle.node_hash(merkle.node_hash(one, two), three)


def test_a_pack_of_a_later_day_is_signed_by_a_certificate_of_that_day(new_office: Office) -> None:
    later = new_office.now + timedelta(days=1000)
    assert new_office.check(new_office.build("later.zip", now=later).path).code == 0


def test_archives_have_a_limit(office: Office) -> None:
    huge = archive.Entry("a", archive.MAX_BYTES + 1, 0, lambda: iter(()))
    with (office.path / "huge").open("wb") as out, pytest.raises(EvidenceError, match="4 GB"):
        archive.write(out, [huge])
