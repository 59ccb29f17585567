"""Build an evidence pack: a deterministic zip of exhibits, a canonical manifest of them, and a seal over that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.evidence.seal import Signed
    from secops.records import Exhibit


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack that was built."""

    path: Path
    manifest_sha256: str  # the pack's name for people and for the pack after it
    files: int  # exhibits
    size: int  # bytes of the zip


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
    raise NotImplementedError
