from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ca.authority import Authority
from ca.settings import Settings
from ca.tables import metadata
from secops.db import Database, create_all
from secops.evidence import archive, stamp, verify
from secops.evidence.bundle import build
from secops.records import Exhibit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from secops.evidence.bundle import Pack


def exhibit(path: str, content: bytes, tenant: str = "city") -> Exhibit:
    return Exhibit(tenant=tenant, path=path, media_type="application/json", content=content)


EXHIBITS = (
    exhibit("items/8.1.4.1-b/host-2/observation.json", b'{"outcome":"pass"}'),
    exhibit("items/8.1.4.1-b/host-1/observation.json", b'{"outcome":"fail"}', tenant="county"),
    exhibit("records/审批.json", b"[]"),
    exhibit("events/events.jsonl", b""),
)


@dataclass
class Office:
    """An authority, a place to put packs, and the one-file verifier in an empty folder."""

    path: Path
    authority: Authority
    now: datetime
    root: str
    exhibits: tuple[Exhibit, ...] = EXHIBITS
    scope: dict[str, Any] = field(default_factory=lambda: {"alert": 7, "名": "值"})

    def build(self, name: str = "pack.zip", exhibits: Sequence[Exhibit] = EXHIBITS, **changes: Any) -> Pack:
        now = changes.pop("now", self.now)
        options = {
            "scope": self.scope,
            "window": (now - timedelta(hours=1), now),
            "sign": lambda data: self.authority.sign_manifest(data, now),
            "roots": [self.root],
            **changes,
        }
        return build(exhibits, now=now, out=self.path / name, **options)

    def put(self, content: bytes, name: str = "changed.zip") -> Path:
        target = self.path / name
        target.write_bytes(content)
        return target

    def check(self, path: Path, **options: Any) -> verify.Report:
        return verify.verify(str(path), [self.root], **options)

    def run(self, *arguments: object, roots: Sequence[str] | None = None) -> tuple[int, dict[str, Any]]:
        """Run the verifier alone: isolated, from an otherwise empty folder, in a process of its own."""
        folder = self.path / "elsewhere"
        folder.mkdir(exist_ok=True)
        (folder / "verify.py").write_bytes(stamp.verifier([self.root] if roots is None else roots))
        done = subprocess.run(
            [sys.executable, "-I", "verify.py", *map(str, arguments), "--json"],
            cwd=folder, env={}, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)


@contextmanager
def opened(path: Path) -> Iterator[Office]:
    database = Database(f"sqlite:///{path}/state.db")
    create_all(database, [metadata])
    now = datetime.now(UTC)
    authority = Authority.initialise(path / "ca", database, Settings(), now=now)
    yield Office(path, authority, now, authority.root_fingerprint())
    database.close()


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="session")
def whole(office: Office) -> bytes:
    """The bytes of a pack that nobody touched."""
    return office.build("whole.zip").path.read_bytes()


@pytest.fixture
def new_office(tmp_path: Path) -> Iterator[Office]:
    """For tests that move the authority's clock."""
    with opened(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Somebody with a valid authority of their own."""
    with opened(tmp_path_factory.mktemp("stranger")) as made:
        yield made


def rezip(path: Path, files: dict[str, bytes]) -> Path:
    """Write files as the deterministic archive, whatever they hold."""
    with path.open("wb") as out:
        archive.write(out, [archive.entry_of(name, content) for name, content in files.items()])
    return path


@pytest.fixture(scope="session")
def write_zip() -> Any:
    return rezip
