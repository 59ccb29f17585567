from __future__ import annotations

import asyncio
import json
import os
import socket
import socketserver
import ssl
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors import collector, probe
from monitors.schedule import next_due, run_probes


def look(kind: str, **settings: Any) -> dict[str, Any]:
    made = probe.build(kind, settings)
    record = asyncio.run(probe.observe(made, lambda: datetime.now(UTC)))
    assert (record.format, record.collector, record.tenant) == ("probe", kind, "city")
    seen: dict[str, Any] = json.loads(record.raw)
    return seen


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def serve(answer: bytes, kind: str, context: ssl.SSLContext | None = None, **settings: Any) -> dict[str, Any]:
    """Look with a probe at a server that gives ``answer`` to whatever it is asked."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                session = context.wrap_socket(self.request, server_side=True) if context else self.request
                with session:
                    session.recv(4096)
                    session.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        if kind == "http":
            settings["url"] = f"http://127.0.0.1:{port}/"
        else:
            settings["port"] = port
        try:
            return look(kind, **settings)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for localhost that ends in 40 days."""
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "40",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(key),
            "-out",
            str(chain),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return chain, context


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def test_http() -> None:
    assert serve(OK, "http", contains="hello")["outcome"] == "pass"
    missing = serve(OK, "http", contains="goodbye")
    assert (missing["outcome"], missing["detail"]["reason"]) == ("fail", "the expected text is missing")
    broken = serve(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", "http")
    assert (broken["outcome"], broken["detail"]["status"]) == ("fail", 500)
    assert look("http", url=f"http://127.0.0.1:{closed_port()}/")["outcome"] == "fail"


def test_tls(certificate: tuple[Path, ssl.SSLContext]) -> None:
    chain, context = certificate
    good = serve(b"", "tls", context, host="127.0.0.1", server_name="localhost", ca=str(chain))
    assert good["outcome"] == "pass"
    assert good["detail"]["subject"] == "CN=localhost"
    assert 39 < good["detail"]["days_left"] <= 40
    ending = serve(b"", "tls", context, host="127.0.0.1", server_name="localhost", ca=str(chain), warn_days=41)
    assert (ending["outcome"], ending["detail"]["reason"]) == ("fail", "ends in 40 days")
    stranger = serve(b"", "tls", context, host="127.0.0.1", server_name="localhost")
    assert stranger["outcome"] == "fail"
    assert stranger["detail"]["reason"].startswith("not trusted")
    named = serve(b"", "tls", context, host="127.0.0.1", server_name="other.example", ca=str(chain))
    assert named["outcome"] == "fail"


def test_tcp_disk_and_load() -> None:
    assert serve(b"", "tcp", host="127.0.0.1")["outcome"] == "pass"
    assert look("tcp", host="127.0.0.1", port=closed_port())["outcome"] == "fail"
    assert look("disk", path="/", min_free_percent=0)["outcome"] == "pass"
    assert look("disk", path="/", min_free_percent=100)["outcome"] == "fail"
    assert look("load", max_load=1e6, max_memory_percent=100)["outcome"] == "pass"
    assert look("load", max_load=1e-9, max_memory_percent=1e-3)["outcome"] == "fail"


def test_what_cannot_be_looked_at_is_unknown_never_a_pass(tmp_path: Path) -> None:
    gone = look("disk", path=str(tmp_path / "gone"))
    assert gone["outcome"] == "unknown"
    assert "FileNotFoundError" in gone["detail"]["reason"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert look("http", url=url, timeout_seconds=0.05)["outcome"] in {"fail", "unknown"}


@pytest.mark.parametrize("found", [collector.kinds(), probe.kinds()], ids=["collectors", "probes"])
def test_every_kind_forbids_unknown_settings_and_is_documented(found: dict[str, Any]) -> None:
    assert found
    for kind, made in found.items():
        assert made.kind == kind
        assert made.__doc__
        assert made.Settings.model_config["extra"] == "forbid"
        assert made.Settings.__doc__


def test_a_file_that_must_go_fails_when_it_has_stayed_too_long(tmp_path: Path) -> None:
    key = tmp_path / "root.key"
    assert look("absent", path=str(key))["detail"] == {"present": False}
    key.write_text("x")
    young = look("absent", path=str(key))
    assert (young["outcome"], young["detail"]["present"]) == ("pass", True)
    os.utime(key, (0, 0))
    assert look("absent", path=str(key))["outcome"] == "fail"
    key.unlink()
    key.symlink_to(tmp_path / "nowhere")  # a link that leads nowhere is something, too
    assert look("absent", path=str(key), grace_days=0)["outcome"] == "fail"
    assert look("absent", path=str(tmp_path / "no" / "such" / "folder"))["outcome"] == "pass"


def test_the_kinds_of_part_one() -> None:
    assert set(collector.kinds()) >= {"syslog", "http_push", "file_tail", "journal"}
    assert set(probe.kinds()) >= {"http", "tls", "disk", "load", "tcp", "absent"}


moments = st.integers(0, 2 * 10**15).map(lambda micros: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros))


@given(st.text(max_size=20), st.integers(1, 86_400), moments)
def test_next_due_lies_ahead_within_one_interval_and_on_its_grid(name: str, seconds: int, after: datetime) -> None:
    interval = timedelta(seconds=seconds)
    due = next_due(name, interval, after)
    assert after < due <= after + interval + timedelta(milliseconds=1)
    again = next_due(name, interval, due)
    assert abs((again - due) - interval) < timedelta(milliseconds=1)


def test_probes_run_at_once_and_again_until_stopped(new_sink: Any) -> None:
    async def scenario() -> None:
        sink, stop = new_sink(), asyncio.Event()
        probes = [probe.build("load", {"interval_seconds": 1}), probe.build("disk", {})]
        task = asyncio.create_task(run_probes(probes, sink, now=lambda: datetime.now(UTC), stop=stop))
        await sink.until(lambda: [record.collector for record in sink.records].count("load") == 2)
        stop.set()
        async with asyncio.timeout(20):
            await task
        assert {record.collector for record in sink.records} == {"load", "disk"}

    asyncio.run(scenario())
