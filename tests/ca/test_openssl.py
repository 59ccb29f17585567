"""The authority's work in the hands of an unmodified openssl."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ca.authority import Authority, Request, Subject
from ca.revocation import decode_get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tests.ca.conftest import OpenSsl, World


@pytest.fixture
def files(world: World, openssl: OpenSsl) -> Callable[[], None]:
    """Root, issuing certificate and both CRLs, as files for openssl."""
    world.write("root.pem", world.authority.root_pem())
    world.write("issuing.pem", world.authority.issuing_pem())
    world.write("person.pem", world.person().certificate_pem)

    def write_crls() -> None:
        pems = []
        for name, der in (("issuing", world.authority.crl(world.now)), ("root", world.authority.root_crl())):
            openssl("crl", "-inform", "DER", "-in", world.write(f"{name}.crl", der), "-out", f"{name}.crl.pem")
            pems.append((world.path / f"{name}.crl.pem").read_bytes())
        world.write("crls.pem", b"".join(pems))

    write_crls()
    return write_crls


def verify(openssl: OpenSsl, purpose: str, name: str, code: int = 0) -> str:
    done = openssl(
        "verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuing.pem",
        "-CRLfile", "crls.pem", "-purpose", purpose, name, code=code,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_persons_certificate_verifies_for_clients_and_not_for_servers(
    files: Callable[[], None], openssl: OpenSsl
) -> None:
    assert "OK" in verify(openssl, "sslclient", "person.pem")
    verify(openssl, "sslserver", "person.pem", code=2)


def test_a_servers_certificate_verifies_for_its_names(
    world: World, files: Callable[[], None], openssl: OpenSsl
) -> None:
    world.write("server.pem", world.server("console.example.gov.cn").certificate_pem)
    assert "OK" in verify(openssl, "sslserver", "server.pem")
    chain = ("verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem")
    openssl(*chain, "-verify_hostname", "console.example.gov.cn", "-verify_ip", "10.0.0.1", "server.pem")
    openssl(*chain, "-verify_hostname", "other.example.gov.cn", "server.pem", code=2)


def test_a_revoked_certificate_is_on_the_next_crl_with_its_reason(
    world: World, files: Callable[[], None], openssl: OpenSsl
) -> None:
    serial = world.authority.find(now=world.now)[0].serial
    world.authority.revoke(serial, reason="keyCompromise", actor="officer", now=world.now)
    files()
    assert "certificate revoked" in verify(openssl, "sslclient", "person.pem", code=2)
    text = openssl("crl", "-in", "issuing.crl.pem", "-noout", "-text").stdout
    assert serial.upper() in text.replace(":", "")
    assert "Key Compromise" in text
    assert "X509v3 CRL Number" in text


def test_crl_and_certificates_name_the_same_distribution_point(files: Callable[[], None], openssl: OpenSsl) -> None:
    crl = openssl("crl", "-in", "issuing.crl.pem", "-noout", "-text").stdout
    certificate = openssl("x509", "-in", "person.pem", "-noout", "-text").stdout
    assert "URI:http://127.0.0.1:8080/pki/issuing.crl" in crl
    assert "URI:http://127.0.0.1:8080/pki/issuing.crl" in certificate


def test_pkcs12_opens_with_its_password_only(world: World, openssl: OpenSsl) -> None:
    request = Request(profile="person", subject=Subject("李四", "信息中心", "a2"))
    issued, pkcs12, password = world.authority.issue_pkcs12(
        request, requested_by="requester", approved_by="approver", now=world.now
    )
    world.write("p.p12", pkcs12)
    world.write("password", password.encode())
    shown = openssl("pkcs12", "-in", "p.p12", "-passin", "file:password", "-nodes").stdout
    assert shown.count("BEGIN CERTIFICATE") == 3
    assert shown.count("BEGIN PRIVATE KEY") == 1
    assert issued.certificate_pem.decode().split("\n")[1] in shown
    openssl("pkcs12", "-in", "p.p12", "-passin", "pass:wrong", "-nodes", code=1)
    assert not [path for path in world.directory.rglob("*") if path.is_file() and b"p12" in path.read_bytes()]


def test_ocsp_answers_from_files(world: World, files: Callable[[], None], openssl: OpenSsl) -> None:
    openssl("ocsp", "-issuer", "issuing.pem", "-cert", "person.pem", "-reqout", "q.der")
    world.write("a.der", world.authority.ocsp((world.path / "q.der").read_bytes(), world.now))
    done = openssl(
        "ocsp", "-issuer", "issuing.pem", "-cert", "person.pem", "-reqin", "q.der", "-respin", "a.der",
        "-CAfile", "root.pem", "-verify_other", "issuing.pem", "-no_nonce",
    )  # fmt: skip
    assert "Response verify OK" in done.stderr
    assert "person.pem: good" in done.stdout
    assert "WARNING" not in done.stderr  # the nonce came back


def _responder(authority: Authority, now: datetime) -> type[BaseHTTPRequestHandler]:
    class Responder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self._answer(decode_get(self.path.removeprefix("/")))

        def _answer(self, request: bytes) -> None:
            body = authority.ocsp(request, now)
            self.send_response(200)
            self.send_header("Content-Type", "application/ocsp-response")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Responder


@pytest.fixture
def responder(world: World) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _responder(world.authority, world.now))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("digest", ["-sha1", "-sha256", "-sha384"])
def test_ocsp_over_http_follows_a_revocation_at_once(
    world: World, files: Callable[[], None], openssl: OpenSsl, responder: str, digest: str
) -> None:
    ask = ("ocsp", digest, "-issuer", "issuing.pem", "-cert", "person.pem", "-url", responder, "-CAfile", "root.pem",
           "-verify_other", "issuing.pem")  # fmt: skip
    assert "person.pem: good" in openssl(*ask).stdout
    serial = world.authority.find(now=world.now)[0].serial
    world.authority.revoke(serial, reason="cessationOfOperation", actor="officer", now=world.now)
    done = openssl(*ask)
    assert "person.pem: revoked" in done.stdout
    assert "cessationOfOperation" in done.stdout
    assert "Response verify OK" in done.stderr


def test_ocsp_says_unknown_for_a_serial_that_was_never_issued(
    world: World, files: Callable[[], None], openssl: OpenSsl, responder: str
) -> None:
    done = openssl(
        "ocsp", "-issuer", "issuing.pem", "-serial", "0x1234", "-url", responder, "-CAfile", "root.pem",
        "-verify_other", "issuing.pem",
    )  # fmt: skip
    assert "0x1234: unknown" in done.stdout


def test_ocsp_does_not_speak_for_another_issuer(
    world: World, files: Callable[[], None], openssl: OpenSsl, responder: str
) -> None:
    done = openssl("ocsp", "-issuer", "root.pem", "-cert", "issuing.pem", "-url", responder, code=1)
    assert "unauthorized" in done.stdout + done.stderr
