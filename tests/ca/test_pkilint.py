"""pkilint (RFC 5280, RFC 6960) finds nothing wrong with what the authority signs."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ca.conftest import OpenSsl, World

_BIN = Path(sys.executable).parent


def lint(*arguments: object) -> None:
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR" not in done.stdout


def pem(kind: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n".encode()


@pytest.fixture
def certificates(world: World) -> dict[str, bytes]:
    return {
        "root": world.authority.root_pem(),
        "issuing": world.authority.issuing_pem(),
        "person": world.person().certificate_pem,
        "server": world.server("console.example.gov.cn").certificate_pem,
        "ocsp": (world.directory / "ocsp.pem").read_bytes(),
        "evidence": (world.directory / "evidence.pem").read_bytes(),
    }


def test_certificates(world: World, certificates: dict[str, bytes]) -> None:
    for name, content in certificates.items():
        lint(_BIN / "lint_pkix_cert", "lint", "-s", "WARNING", world.write(f"{name}.pem", content))


def test_revocation_lists(world: World) -> None:
    serial = world.person().serial
    world.authority.revoke(serial, reason="superseded", actor="officer", now=world.now)
    for name, der in (("issuing", world.authority.crl(world.now)), ("root", world.authority.root_crl())):
        path = world.write(f"{name}.crl", pem("X509 CRL", der))
        lint(_BIN / "lint_crl", "lint", "-s", "WARNING", "-t", "CRL", "-p", "PKIX", path)


@pytest.mark.parametrize("revoked", [False, True])
def test_ocsp_response(world: World, openssl: OpenSsl, *, revoked: bool) -> None:
    issued = world.person()
    if revoked:
        world.authority.revoke(issued.serial, reason="keyCompromise", actor="officer", now=world.now)
    world.write("issuing.pem", world.authority.issuing_pem())
    openssl("ocsp", "-issuer", "issuing.pem", "-serial", f"0x{issued.serial}", "-reqout", "q.der")
    answer = world.authority.ocsp((world.path / "q.der").read_bytes(), world.now)
    lint(_BIN / "lint_ocsp_response", "lint", "-s", "WARNING", world.write("a.pem", pem("OCSP RESPONSE", answer)))
