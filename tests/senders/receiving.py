"""A receiver in a process of its own, as it runs in earnest: the ingest role over a state folder, to be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import wait_until

from ca.authority import Request, Subject
from secops import settings, sources, wiring
from secops.store.files import FileLog

NO_ROOM = str(2**62)  # bytes that must stay free: more than any disk has
COLLECTORS = ("syslog", "tls", "relp", "relps", "bulk", "otlp")


@dataclass
class Receiver:
    """A prepared state folder with a listener of each kind, and the process that serves it."""

    state: Path
    ports: dict[str, int]
    token: str
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def trust(self) -> Path:
        """Root certificate of the authority."""
        return self.state / "trust" / "root.pem"

    @property
    def client(self) -> tuple[Path, Path]:
        """Certificate chain and key of a sender."""
        return self.state / "trust" / "web01.pem", self.state / "trust" / "web01.key"

    def start(self, **environment: str) -> None:
        """Start the ingest role and wait until every listener takes connections."""
        command = [sys.executable, "-m", "secops", "serve", "--role", "ingest", "--state", str(self.state)]
        self.process = subprocess.Popen(command, env={**os.environ, "SECOPS_METRICS__PORT": "0", **environment})
        wait_until(lambda: self._gone() or all(map(_open, self.ports.values())), timeout=90, what="listeners")
        assert not self._gone(), "the ingest role has ended"

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> None:
        """Let it end in order; nothing happens when it has ended."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def _gone(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def refuses(self) -> bool:
        """Whether it says of itself that its disk is full."""
        try:
            said = orjson.loads((self.state / "run" / "ingest.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return False
        return self.process is not None and said.get("pid") == self.process.pid and not said["detail"]["accepting"]

    def events(self) -> list[dict[str, Any]]:
        """Everything stored so far; an event's message is what the sender wrote."""
        if not (self.state / "log").exists():
            return []
        log = FileLog(self.state / "log", partitions=4)
        try:
            return [event for partition in range(4) for event in _all(log, partition)]
        finally:
            log.close()

    def stored(self, prefix: str) -> Counter[str]:
        """How often each message that begins with ``prefix`` was stored."""
        return Counter(text for event in self.events() if (text := str(event["message"]).strip()).startswith(prefix))


def _all(log: FileLog, partition: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while batch := log.read(partition, len(found), 20_000):
        found += batch
    return found


def _open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def prepared(state: Path) -> Receiver:
    """Make a state folder whose listeners stand on free ports, with certificates of its own authority."""
    chosen = settings.load(state)
    wiring.prepare(chosen)
    ports = _free_ports()
    trust = state / "trust"
    trust.mkdir()
    with wiring.opened(chosen) as service:
        now = service.clock()
        chain, key = service.authority.server_credentials(["localhost"], ["127.0.0.1"], trust, now)
        (trust / "root.pem").write_bytes(service.authority.root_pem())
        (trust / "clients.pem").write_bytes(service.authority.chain_pem())
        own = ec.generate_private_key(ec.SECP256R1())
        request = Request(profile="person", subject=Subject("web01", "信息中心", "web01"), csr_pem=_csr(own))
        issued = service.authority.issue(request, requested_by="requester", approved_by="approver", now=now)
        (trust / "web01.pem").write_bytes(issued.chain_pem)
        (trust / "web01.key").write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        with service.database.begin() as tx:
            token = sources.create_token(tx, tenant="county", name="senders", actor="test", now=now)
    tls = {"certificate_file": str(chain), "key_file": str(key), "client_ca_file": str(trust / "clients.pem")}
    tls = tls | {"peers": {"web01": "county"}}
    wanted = {
        "syslog": {"kind": "syslog", "udp_port": ports["syslog"], "tcp_port": ports["syslog"], "tenant": "county"},
        "tls": {"kind": "syslog", "udp_port": None, "tcp_port": ports["tls"], "tls": tls},
        "relp": {"kind": "relp", "port": ports["relp"], "tenant": "county"},
        "relps": {"kind": "relp", "port": ports["relps"], "tls": tls},
        "bulk": {"kind": "elastic_bulk", "port": ports["bulk"]},
        "otlp": {"kind": "otlp", "port": ports["otlp"]},
    }
    lines = ["[ingest]", "defaults = false"]
    for name, options in wanted.items():
        lines.append(f"[ingest.collectors.{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in options.items() if value is not None]
    (state / "secops.toml").write_text("\n".join(lines))
    return Receiver(state, ports, token)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return orjson.dumps(value).decode()


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _free_ports() -> dict[str, int]:
    held = [socket.socket() for _ in COLLECTORS]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(COLLECTORS, held, strict=True)}
    finally:
        for one in held:
            one.close()
