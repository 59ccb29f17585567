"""Peers that say nothing, in a TLS handshake or after it, and certificates that were revoked."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from monitors import stream
from monitors.collector import Surroundings, build
from monitors.revoked import Revoked
from tests.monitors.test_stream_tls import Made, client, make
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "county-token-0123456789"
KNOWN = {hashlib.sha256(TOKEN.encode()).hexdigest(): "county"}
MESSAGE = b"1 syslog 2 hi\n"
ANSWER = b"1 rsp 6 200 OK\n"


def crl(ca: Made, *serials: int, number: int = 1, days: int = 1) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.x509.subject)
        .last_update(now - timedelta(days=2))
        .next_update(now + timedelta(days=days))
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


async def acknowledged(address: tuple[str, int], context: ssl.SSLContext | None) -> bool:
    """Whether a peer with this certificate gets a message acknowledged."""
    try:
        name = None if context is None else "localhost"
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    except OSError:
        return False
    answer = b""
    with suppress(OSError):
        writer.write(MESSAGE)
        answer = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer == ANSWER


async def until(condition: Any) -> None:
    await asyncio.to_thread(wait_until, condition)


def test_handshakes_at_once_are_few_and_each_has_its_time(tmp_path: Path, new_sink: Any, running: Any) -> None:
    ca = make(tmp_path, "city-ca")
    server = make(tmp_path, "localhost", ca)
    tls = {"certificate_file": server.certificate, "key_file": server.key}
    given = {"port": 0, "tls": tls, "max_handshakes": 2, "handshake_seconds": 1.0}
    collector: Any = build("relp", given, Surroundings())
    counters = collector.counters

    async def scenario() -> None:
        async with running(collector, new_sink()):
            silent = [await asyncio.open_connection(*collector.address) for _ in range(5)]
            await until(lambda: counters.handshakes["relp"] > 0)
            served = asyncio.ensure_future(acknowledged(collector.address, client(ca, None)))
            most = 0
            while not served.done():
                most = max(most, counters.handshakes["relp"])
                await asyncio.wait({served}, timeout=0.02)
            assert most == 2
            assert served.result()
            for reader, writer in silent:
                assert await asyncio.wait_for(reader.read(), 20) == b""
                writer.close()
            assert (counters.handshakes["relp"], counters.handshakes_failed["relp"]) == (0, 5)

    asyncio.run(scenario())


def test_a_peer_that_never_says_anything_is_let_go_and_one_that_has_spoken_stays(new_sink: Any, running: Any) -> None:
    collector: Any = build("relp", {"port": 0, "first_byte_seconds": 0.5}, Surroundings())

    async def scenario() -> None:
        async with running(collector, new_sink()):
            reader, writer = await asyncio.open_connection(*collector.address)
            writer.write(MESSAGE)
            assert await asyncio.wait_for(reader.readline(), 20) == ANSWER
            silent = [await asyncio.open_connection(*collector.address) for _ in range(3)]
            for mute, other in silent:
                assert await asyncio.wait_for(mute.read(), 20) == b"0 serverclose 0\n"
                other.close()
            await until(lambda: collector.counters.connections["relp"] == 1)
            assert collector.counters.silent["relp"] == 3
            writer.write(MESSAGE)
            assert await asyncio.wait_for(reader.readline(), 20) == ANSWER
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("said", [b"", b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_request_s_head_has_its_time(tmp_path: Path, said: bytes, new_sink: Any, running: Any) -> None:
    ca = make(tmp_path, "city-ca")
    server = make(tmp_path, "localhost", ca)
    given = {"head_seconds": 1.0, "certificate": server.certificate, "key": server.key, "handshake_seconds": 1.0}
    collector: Any = build("http_push", given, Surroundings(tokens=lambda: KNOWN))

    async def scenario() -> None:
        async with running(collector, new_sink()):
            host, port = collector.address
            mute, plain = await asyncio.open_connection(host, port)
            slow, other = await asyncio.open_connection(host, port, ssl=client(ca, None), server_hostname="localhost")
            other.write(said)
            async with httpx.AsyncClient(verify=client(ca, None), trust_env=False, timeout=20) as pushing:
                url, head = f"https://localhost:{port}/v1/events", {"authorization": f"Bearer {TOKEN}"}
                assert (await pushing.post(url, content=b'{"a":1}\n', headers=head)).status_code < 300
            assert await asyncio.wait_for(slow.read(), 20) == b""
            assert await asyncio.wait_for(mute.read(), 20) == b""
            assert collector.counters.silent["http_push"] == 1
            assert collector.counters.handshakes_failed["http_push"] == 1
            for writer in (plain, other):
                writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["file", "our own authority"])
def test_a_revoked_sender_is_cut_off_and_not_let_in_again(
    tmp_path: Path, new_sink: Any, running: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.05)
    ca = make(tmp_path, "city-ca")
    server, web, other = (make(tmp_path, name, ca) for name in ("localhost", "web01", "web02"))
    file, own = tmp_path / "ca.crl", [crl(ca)]
    file.write_bytes(crl(ca))
    tls = {"certificate_file": server.certificate, "key_file": server.key, "client_ca_file": ca.certificate}
    if where == "file":
        tls["client_crl_file"] = file
    collector: Any = build("relp", {"port": 0, "tls": tls}, Surroundings(revoked=lambda: own[0]))

    async def scenario(collector: Any) -> None:
        async with running(collector, new_sink()):
            reader, writer = await asyncio.open_connection(
                *collector.address, ssl=client(ca, web), server_hostname="localhost"
            )
            writer.write(MESSAGE)
            assert await asyncio.wait_for(reader.readline(), 20) == ANSWER
            new = crl(ca, web.x509.serial_number, number=2)
            if where == "file":
                file.write_bytes(new)
            else:
                own[0] = new
            with suppress(OSError):
                assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
            assert not await acknowledged(collector.address, client(ca, web))
            assert await acknowledged(collector.address, client(ca, other))
            assert collector.counters.rejected["relp"] == 2

    asyncio.run(scenario(collector))


def test_only_a_newer_list_of_an_authority_of_ours_counts(tmp_path: Path) -> None:
    ca, stranger = make(tmp_path, "city-ca"), make(tmp_path, "elsewhere")
    web = make(tmp_path, "web01", ca)
    held = web.x509.public_bytes(serialization.Encoding.DER)
    data = [crl(ca, web.x509.serial_number, number=5)]
    lists = Revoked(ca.certificate, None, lambda: data[0])
    lists.begin()
    assert lists.holds(held)
    named_alike = stranger._replace(x509=ca.x509)  # the right name, the wrong key
    for other in (crl(ca, number=4), crl(named_alike, number=9), b"", b"rubbish"):
        data[0] = other
        assert not lists.look()
        assert lists.holds(held)
    assert lists.wrong.startswith("own: ")
    data[0] = crl(ca, number=6, days=-1)
    assert lists.look()
    assert not lists.holds(held)
    assert "stays in force" in lists.stale(datetime.now(UTC))


def test_a_file_without_a_list_of_ours_is_named(tmp_path: Path) -> None:
    ca, stranger = make(tmp_path, "city-ca"), make(tmp_path, "elsewhere")
    file = tmp_path / "ca.crl"
    file.write_bytes(crl(stranger))
    with pytest.raises(ValueError, match=r"ca\.crl holds no certificate revocation list"):
        Revoked(ca.certificate, file, bytes).begin()
