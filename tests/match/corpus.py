"""Where other people's data lies, when it is there."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

CORPUS = Path(os.environ.get("SECOPS_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))


def find(pattern: str) -> Path:
    """A file of the corpus; skips the test where there is none."""
    found = sorted(CORPUS.glob(pattern)) if CORPUS.is_dir() else []
    if not found:
        pytest.skip(f"no {pattern} in {CORPUS}; set SECOPS_CORPUS")
    return found[0]


def sigmahq(folder: Path) -> Path:
    """SigmaHQ's rules and regression data, unpacked below a folder."""
    with find("sigmahq-*.tar.zst").open("rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def windows_events() -> list[bytes]:
    """The 40,175 Windows events, as lines of JSON."""
    with find("otrf-*.jsonl.zst").open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
