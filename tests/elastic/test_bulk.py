"""Back-pressure, against a small server that is as overloaded as a test wants it to be."""

from __future__ import annotations

import gzip
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from secops.store.elasticsearch_bulk import Document, Writer, chunked
from secops.store.elasticsearch_server import connect, talking
from secops.store.index import IndexUnavailable


class Overloaded(ThreadingHTTPServer):
    """Keeps documents; ``moods`` says what each coming request meets: a status, or ``half`` of the items."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, bytes] = {}
        self.moods: list[int | str] = []
        self.sizes: list[int] = []
        self.most = 10**9
        self.seen_headers: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Overloaded

    def do_PUT(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.seen_headers.append(self.headers.get("Authorization", ""))
        lines = body.splitlines()
        self.server.sizes.append(len(lines) // 2)
        mood = self.server.moods.pop(0) if self.server.moods else ""
        if len(lines) // 2 > self.server.most:
            mood = 413
        if isinstance(mood, int):
            self.answer(mood, {"error": {"type": "rejected", "reason": "too busy"}})
            return
        items = []
        for number, (head, document) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            items.append(
                {"create": {"_id": orjson.loads(head)["create"]["_id"], **self.keep(head, document, mood, number)}}
            )
        self.answer(200, {"items": items})

    def keep(self, head: bytes, document: bytes, mood: str, number: int) -> dict[str, object]:
        name = orjson.loads(head)["create"]["_id"]
        if mood == "half" and number % 2:
            return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}
        if document == b'{"bad":1}':
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": "bad"}}
        if name in self.server.kept:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "there"}}
        self.server.kept[name] = document
        return {"status": 201}

    def answer(self, status: int, content: object) -> None:
        body = orjson.dumps(content)
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Overloaded]:
    found = Overloaded()
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def writer(server: Overloaded, waits: list[float]) -> Iterator[Writer]:
    client = connect([f"http://127.0.0.1:{server.server_port}"], credentials="user:secret", seconds=10)
    yield Writer(client, "stream", refresh=False, wait=waits.append, jitter=lambda: 0.5)
    client.close()


def documents(count: int) -> list[Document]:
    return [Document(f"0-{number}", b'{"n":%d}' % number) for number in range(count)]


def test_what_was_rejected_is_sent_again_and_nothing_else(
    server: Overloaded, writer: Writer, waits: list[float]
) -> None:
    server.moods = ["half", 429, "half"]
    assert writer.create(documents(100)) == []
    assert len(server.kept) == 100
    assert server.sizes == [100, 50, 50, 25]
    assert waits == [0.5, 1.0, 2.0]


def test_a_server_that_stays_overloaded_is_said_to_be_and_what_is_there_stays(
    server: Overloaded, writer: Writer
) -> None:
    server.moods = ["half", 503, 503, 503]
    with pytest.raises(IndexUnavailable, match="503"):
        writer.create(documents(10))
    assert len(server.kept) == 5
    assert writer.create(documents(10)) == []
    assert len(server.kept) == 10


def test_a_piece_that_is_too_large_is_halved(server: Overloaded, writer: Writer) -> None:
    server.most = 3
    assert writer.create(documents(10)) == []
    assert len(server.kept) == 10
    assert server.sizes == [10, 5, 2, 3, 5, 2, 3]


def test_refused_documents_are_given_back_with_the_reason(server: Overloaded, writer: Writer) -> None:
    refused = writer.create([*documents(2), Document("0-9", b'{"bad":1}')])
    assert [each.id for each in refused] == ["0-9"]
    assert "bad" in refused[0].why
    assert len(server.kept) == 2


def test_wrong_credentials_are_said_without_showing_them(server: Overloaded, writer: Writer) -> None:
    server.moods = [401]
    with pytest.raises(IndexUnavailable) as told, talking():
        writer.create(documents(1))
    assert "401" in told.value.en
    assert "secret" not in told.value.en + told.value.zh
    assert server.seen_headers[0].startswith("Basic ")


def test_a_server_is_trusted_by_its_ca_alone(server: Overloaded, tmp_path: Path) -> None:
    """A certificate that signs itself is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "es.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = tmp_path / "ca.pem", tmp_path / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}"
    for trust, created in ((ca_file, True), (None, False)):
        client = connect([url], ca_file=trust, credentials="ApiKey dGVzdA==", seconds=10)
        writer = Writer(client, "stream", refresh=False, wait=lambda _: None, jitter=lambda: 0.5)
        if created:
            assert writer.create(documents(1)) == []
        else:
            with pytest.raises(IndexUnavailable, match="certificate"):
                writer.create(documents(1))
        client.close()
    assert server.seen_headers == ["ApiKey dGVzdA=="]


def test_pieces_are_bounded_by_number_and_size() -> None:
    assert [len(piece) for piece in chunked(documents(2500))] == [1000, 1000, 500]
    large = [Document(str(number), b"x" * (5 * 2**20)) for number in range(3)]
    assert [len(piece) for piece in chunked(large)] == [1, 1, 1]
    assert list(chunked([])) == []
