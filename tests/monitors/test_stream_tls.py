"""RFC 5425 over a real TLS connection: who may send is the certificate's matter."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitors.collector import Surroundings, build

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b"<13>1 2026-11-24T08:00:00Z web01 app 7 - - hello"


class Made(NamedTuple):
    """A certificate with its key, in files."""

    certificate: Path
    key: Path
    x509: x509.Certificate
    private: ec.EllipticCurvePrivateKey


def make(folder: Path, name: str, issuer: Made | None = None) -> Made:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.x509.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer.private if issuer else key, hashes.SHA256())
    )
    made = Made(folder / f"{name}.crt", folder / f"{name}.key", certificate, key)
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def client(ca: Made, own: Made | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.certificate))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


@pytest.mark.parametrize("kind", ["syslog", "relp"])
def test_the_certificate_says_whose_messages_they_are(kind: str, tmp_path: Path, new_sink: Any, running: Any) -> None:
    ca = make(tmp_path, "city-ca")
    server, web, stranger = (make(tmp_path, name, ca) for name in ("localhost", "web01.county", "other"))
    foreign = make(tmp_path, "web01.county.fake", make(tmp_path, "elsewhere"))
    tls = {
        "certificate_file": server.certificate,
        "key_file": server.key,
        "client_ca_file": ca.certificate,
        "peers": {"web01.county": "county-a"},
    }
    ports = {"udp_port": None, "tcp_port": 0} if kind == "syslog" else {"port": 0}
    collector = build(kind, {**ports, "tls": tls}, Surroundings())
    message = b"%d %s" % (len(GOOD), GOOD) if kind == "syslog" else b"1 syslog %d %s\n" % (len(GOOD), GOOD)

    async def send(context: ssl.SSLContext) -> None:
        """Send one message; a refused peer sees its connection end, during the handshake or after it."""
        address = collector.tcp_address if kind == "syslog" else collector.address
        try:
            reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
        except OSError:
            return
        try:
            writer.write(message)
            async with asyncio.timeout(20):
                await writer.drain()
                if kind == "relp" or context is not trusted:
                    await reader.readline()
        except OSError:
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    trusted = client(ca, web)

    async def scenario() -> None:
        sink = new_sink()
        async with running(collector, sink):
            await send(trusted)
            await sink.until(lambda: len(sink.records) == 1)
            for refused in (None, foreign, stranger):
                await send(client(ca, refused))
        assert [(one.raw, one.tenant) for one in sink.records] == [(GOOD, "county-a")]
        assert collector.counters.rejected[kind] == 1  # the stranger; the others failed the handshake

    asyncio.run(scenario())


def test_a_missing_key_file_is_named(tmp_path: Path, new_sink: Any, running: Any) -> None:
    tls = {"certificate_file": tmp_path / "none.crt", "key_file": tmp_path / "none.key"}
    collector = build("relp", {"port": 0, "tls": tls}, Surroundings())

    async def scenario() -> None:
        async with running(collector, new_sink()):
            pass

    with pytest.raises(FileNotFoundError):
        asyncio.run(scenario())
