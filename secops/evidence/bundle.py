"""Build an evidence pack: a deterministic zip of exhibits, a canonical manifest of them, and a seal over that."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC
from importlib.resources import files
from typing import TYPE_CHECKING, Any, BinaryIO

from secops.evidence import archive, merkle, stamp
from secops.evidence.errors import EvidenceError
from secops.evidence.seal import canonical, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.evidence.seal import Signed
    from secops.records import Exhibit

FORMAT = "secops-evidence/1"
MANIFEST, SIGNATURE, CHAIN = "manifest.json", "seal/manifest.sig", "seal/chain.pem"
MANIFEST_BYTES = 8 * 1024 * 1024  # what the verifier is willing to parse
_OWN_FOLDERS = ("seal/", "verify/")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack that was built."""

    path: Path
    manifest_sha256: str  # the pack's name for people and for the pack after it
    files: int  # exhibits
    size: int  # bytes of the zip


@dataclass(frozen=True, slots=True)
class _Spooled:
    """An exhibit on its way: described, its bytes in the spool file."""

    description: dict[str, Any]
    entry: archive.Entry


def build(
    exhibits: Iterable[Exhibit],
    *,
    scope: Mapping[str, Any],
    window: tuple[datetime, datetime],
    sign: Callable[[bytes], Signed],
    now: datetime,
    out: Path,
    roots: Sequence[str] = (),
    previous: str = "",
    versions: Mapping[str, str] | None = None,
    gaps: Sequence[Mapping[str, Any]] = (),
    redactions: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[int, str], None] | None = None,
) -> Pack:
    """Write a sealed pack to ``out``, whole or not at all.

    Exhibits may come from a generator and in any order; their bytes go in unchanged and are never all in memory.
    ``sign`` gets the manifest's bytes (``lambda data: authority.sign_manifest(data, now)``); ``roots`` are SHA-256
    fingerprints of the trust anchor, stamped into the verifier inside; ``previous`` is the ``manifest_sha256`` of the
    pack before; ``progress`` is called with (files written so far, path) for each file.

    Raises:
        EvidenceError: a path that could harm who unpacks it, one path twice, nothing to pack, or limits passed.
        OSError: the file cannot be written.
    """
    with tempfile.TemporaryFile(dir=out.parent) as spool:
        spooled = [_spool(exhibit, spool) for exhibit in exhibits]
        _check_number(spooled)
        tenants = sorted({item.description["tenant"] for item in spooled})
        spooled += [_described(path, content) for path, content in _verifier_files(roots)]
        archive.check_unique(item.entry.path for item in spooled)
        described = sorted((item.description for item in spooled), key=lambda item: archive.order(item["path"]))
        manifest = canonical(
            {
                "format": FORMAT,
                "packed_at": _instant(now),
                "window": {"from": _instant(window[0]), "to": _instant(window[1])},
                "tenants": tenants,
                "scope": dict(scope),
                "versions": dict(versions or {}),
                "previous": previous,
                "gaps": [dict(gap) for gap in gaps],
                "redactions": [dict(redaction) for redaction in redactions],
                "files": described,
                "merkle": _tree(described),
            }
        )
        if len(manifest) > MANIFEST_BYTES:
            raise _too_much()
        sealed = seal(manifest, sign)
        entries = [
            *(item.entry for item in spooled),
            archive.entry_of(MANIFEST, manifest),
            archive.entry_of(SIGNATURE, sealed.signature),
            archive.entry_of(CHAIN, sealed.chain_pem),
        ]
        size = _write_whole(out, entries, progress)
    return Pack(
        path=out,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        files=len(described) - len(_verifier_files(())),
        size=size,
    )


def _spool(exhibit: Exhibit, spool: BinaryIO) -> _Spooled:
    """Describe an exhibit and put its bytes aside."""
    archive.check_path(exhibit.path)
    if exhibit.path == MANIFEST or exhibit.path.startswith(_OWN_FOLDERS):
        raise EvidenceError(
            "evidence.path",
            f"路径 {exhibit.path} 由证据包自身使用",
            f"the path {exhibit.path} belongs to the pack itself",
        )
    start = spool.seek(0, os.SEEK_END)
    if start + len(exhibit.content) > archive.MAX_BYTES:
        raise _too_much()
    spool.write(exhibit.content)
    size = len(exhibit.content)
    entry = archive.Entry(exhibit.path, size, zlib.crc32(exhibit.content), lambda: archive.slices(spool, start, size))
    return _Spooled(_description(exhibit.path, exhibit.content, exhibit.media_type, exhibit.tenant), entry)


def _described(path: str, content: bytes) -> _Spooled:
    media_type = "text/x-python" if path.endswith(".py") else "text/markdown"
    return _Spooled(_description(path, content, media_type, ""), archive.entry_of(path, content))


def _description(path: str, content: bytes, media_type: str, tenant: str) -> dict[str, Any]:
    return {
        "path": path,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sm3": hashlib.new("sm3", content).hexdigest(),
        "media_type": media_type,
        "tenant": tenant,
    }


def _tree(described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the Merkle root over the files' canonical descriptions, so that one file can be proved without the others."""
    leaves = [merkle.leaf_hash(canonical(item)) for item in described]
    return {"algorithm": "rfc6962-sha256", "leaves": len(leaves), "root": merkle.tree_hash(leaves).hex()}


def _verifier_files(roots: Sequence[str]) -> list[tuple[str, bytes]]:
    guide = files("secops.evidence").joinpath("说明.md").read_bytes()
    return [("verify/verify.py", stamp.verifier(roots)), ("verify/说明.md", guide)]


def _check_number(spooled: Sequence[_Spooled]) -> None:
    if not spooled:
        raise EvidenceError("evidence.empty", "没有可打包的证据", "there is nothing to pack")
    if len(spooled) > archive.MAX_FILES:
        raise _too_much()


def _too_much() -> EvidenceError:
    return EvidenceError(
        "evidence.size",
        f"证据包超过 {archive.MAX_FILES} 个文件或 4 GB，请缩小范围分多个包导出",
        f"the pack would pass {archive.MAX_FILES} files or 4 GB; build several packs of less",
    )


def _write_whole(out: Path, entries: Sequence[archive.Entry], progress: Callable[[int, str], None] | None) -> int:
    """Write beside the target, sync, then rename: nobody ever sees half a pack."""
    beside = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    try:
        with beside.open("xb", buffering=_CHUNK) as file:
            size = archive.write(file, entries, progress)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(out)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(out.parent)
    return size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
