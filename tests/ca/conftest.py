from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca.authority import Authority, Issued, Request, Subject
from ca.settings import Settings
from ca.tables import metadata
from secops.db import Database, create_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


class OpenSsl(Protocol):
    """Runs openssl in the test's folder and checks how it ended."""

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]: ...


@dataclass
class World:
    """An authority with its books in a directory of its own."""

    path: Path
    database: Database
    authority: Authority
    now: datetime
    settings: Settings

    @property
    def directory(self) -> Path:
        return self.path / "ca"

    def person(self, name: str = "张三", account: str = "a1", days: int | None = None) -> Issued:
        return self.issue(
            Request(profile="person", subject=Subject(name, "信息中心", account), csr_pem=csr(), days=days)
        )

    def server(self, *names: str) -> Issued:
        return self.issue(
            Request(
                profile="server", subject=Subject(names[0]), csr_pem=csr(), dns_names=names, ip_addresses=["10.0.0.1"]
            )
        )

    def issue(self, request: Request) -> Issued:
        return self.authority.issue(request, requested_by="requester", approved_by="approver", now=self.now)

    def write(self, name: str, content: bytes) -> Path:
        target = self.path / name
        target.write_bytes(content)
        return target


def csr(key: CertificateIssuerPrivateKeyTypes | None = None, name: str = "whoever asks") -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def make_csr() -> Callable[..., bytes]:
    return csr


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    create_all(database, [metadata])
    now = datetime.now(UTC)
    settings = Settings()
    authority = Authority.initialise(tmp_path / "ca", database, settings, now=now)
    yield World(tmp_path, database, authority, now, settings)
    database.close()


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["openssl", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run
