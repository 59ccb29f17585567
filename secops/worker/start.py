"""What ``secops serve`` does before and around its roles: state, certificates, the demonstration system, the banner."""

from __future__ import annotations

import errno
import secrets
import shutil
import socket
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, multiprocess, start_http_server

from identity.oidc import clients
from secops import private_file, source_health, status, wiring
from secops.errors import UserError
from secops.settings import ROLES
from secops.worker.loop import Stop
from secops.worker.metrics import MULTIPROCESS
from secops.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from secops.settings import Settings
    from secops.wiring import Service
    from secops.worker.supervisor import Say

DEMO_CLIENT = "demo"
READY_SILENCE = timedelta(seconds=5)


def serve_all(settings: Settings, arguments: Sequence[str], say: Say) -> None:
    """Prepare the state and run every role until SIGTERM; ``arguments`` hand the settings on to the children.

    Raises:
        UserError: a port is taken, or the state cannot be made.
    """
    check_ports(settings)
    say("正在准备状态目录、数据库和证书 / preparing state, database and certificates …")
    wiring.prepare(settings)
    metrics_dir = _fresh_run_dir(settings)
    stop = Stop().on_signals()
    with wiring.opened(settings) as service, ExitStack() as cleanup:
        (settings.state / "tls" / "root.crt").write_bytes(service.authority.root_pem())
        commands = {role: [sys.executable, "-m", "secops", "serve", "--role", role, *arguments] for role in ROLES}
        web_credentials(service)
        if settings.demo.enabled:
            commands["demo"] = demo_command(service)
        if settings.metrics.port:
            _serve_metrics(settings, metrics_dir, cleanup)
        supervisor = Supervisor(
            commands,
            {MULTIPROCESS: str(metrics_dir)},
            say,
            ended=lambda pid: multiprocess.mark_process_dead(pid, str(metrics_dir)),  # type: ignore[no-untyped-call]
        )
        supervisor.run(stop, Announcer(service, say).once_ready)
    say("已停止 / stopped")


def check_ports(settings: Settings) -> None:
    """Find out before anything is started whether the ports are free.

    Raises:
        UserError: names the port and the setting that changes it.
    """
    web, ingest = settings.web, settings.ingest
    wanted = [
        (web.host, web.port, "SECOPS_WEB__PORT"),
        (web.host, web.certificate_port, "SECOPS_WEB__CERTIFICATE_PORT"),
        (web.host, web.pki_port, "SECOPS_WEB__PKI_PORT"),
    ]
    if settings.demo.enabled:
        wanted.append((settings.demo.host, settings.demo.port, "SECOPS_DEMO__PORT"))
    if ingest.defaults:
        wanted += [
            ("127.0.0.1", ingest.syslog_port, "SECOPS_INGEST__SYSLOG_PORT"),
            ("127.0.0.1", ingest.push_port, "SECOPS_INGEST__PUSH_PORT"),
        ]
    if settings.metrics.port:
        wanted.append((settings.metrics.host, settings.metrics.port, "SECOPS_METRICS__PORT"))
    for host, port, setting in wanted:
        _check_port(host, port, setting)


def _check_port(host: str, port: int, setting: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = "被占用 / taken" if error.errno == errno.EADDRINUSE else str(error)
            raise UserError(
                "port.taken",
                f"端口 {host}:{port} 不可用（{why}）；停止占用它的程序，或设置 {setting}=其他端口。",
                f"Port {host}:{port} cannot be used ({why}); stop what uses it, or set {setting} to another port.",
            ) from None


def web_credentials(service: Service) -> tuple[Path, Path]:
    """Give the console's certificate chain and key files: the configured ones, or the built-in CA's."""
    web = service.settings.web
    if web.certificate_file and web.key_file:
        return web.certificate_file, web.key_file
    folder = service.settings.state / "tls" / "web"
    return service.authority.server_credentials(web.dns_names, web.ip_addresses, folder, service.clock())


def demo_command(service: Service) -> list[str]:
    """Register the demonstration system as a relying party and give the command that runs it."""
    settings = service.settings
    state = settings.state
    secret_file = state / "secrets" / "demo-client"
    if not secret_file.exists():
        with private_file.create(secret_file) as file:
            file.write(secrets.token_urlsafe(48).encode())
    with service.database.begin() as tx:
        clients.register(
            tx,
            client_id=DEMO_CLIENT,
            secret=secret_file.read_text(encoding="ascii"),
            name_zh="演示系统",
            name_en="Demo system",
            redirect_uris=[f"{settings.demo_url}/callback"],
            post_logout_uris=[f"{settings.demo_url}/"],
            backchannel_logout_uri=f"{settings.demo_url}/backchannel-logout",
            now=service.clock(),
        )
    certificate, key = service.authority.server_credentials(
        [], [settings.demo.host], state / "tls" / "demo", service.clock()
    )
    root = state / "tls" / "root.crt"
    options = {
        "--issuer": settings.issuer,
        "--client-id": DEMO_CLIENT,
        "--secret-file": secret_file,
        "--host": settings.demo.host,
        "--port": settings.demo.port,
        "--cert": certificate,
        "--key": key,
        "--ca": root,
    }
    return [sys.executable, "-m", "secops.demo", *(str(part) for pair in options.items() for part in pair)]


class Announcer:
    """Says where the service is once it answers, and the one-time set-up link while nobody is set up."""

    def __init__(self, service: Service, say: Say) -> None:
        self._service = service
        self._say = say
        self._done = False

    def once_ready(self) -> None:
        """Look whether every role has reported; then print the banner, once."""
        if self._done:
            return
        now = self._service.clock()
        if all(status.read(self._service.run_dir, role, now, READY_SILENCE).alive for role in ROLES):
            self._done = True
            self._say(self.banner())

    def banner(self) -> str:
        """What a person needs to begin."""
        service, settings = self._service, self._service.settings
        now = service.clock()
        port = settings.ingest.syslog_port
        lines = [
            "",
            f"控制台 Console          {settings.issuer}/",
            f"证书登录 Certificate     {settings.certificate_origin}/login/certificate",
        ]
        if settings.demo.enabled:
            lines.append(f"演示系统 Demo system     {settings.demo_url}/")
        lines += [
            f"根证书 Root certificate  {settings.state / 'tls' / 'root.crt'}  SHA-256 {service.authority.root_fingerprint()}",
            f"指标 Metrics             http://{settings.metrics.host}:{settings.metrics.port}/metrics",
            f"时区 Time zone          {_zone(settings, now)}",
        ]
        token = service.identity.setup_token(now)
        if token:
            lines += [
                "",
                "首次设置链接，仅可使用一次 / one-time set-up link:",
                f"  {settings.issuer}/setup?token={token}",
            ]
        failed = "Failed password for root from 203.0.113.9 port 4022 ssh2"
        lines += [
            "",
            "试一试：五次 SSH 登录失败会成为一条告警和一张工单 / try it: five failed logins become one alert and one ticket:",
            f"  for i in 1 2 3 4 5; do logger -n 127.0.0.1 -P {port} -d -t sshd '{failed}'; done",
            "没有 logger 时 / without logger (bash):",
            f"  for i in 1 2 3 4 5; do echo '<38>sshd[42]: {failed}' >/dev/udp/127.0.0.1/{port}; done",
            "",
        ]
        return "\n".join(lines)


def _fresh_run_dir(settings: Settings) -> Path:
    """Forget what the last run's processes said."""
    run = settings.state / "run"
    for old in run.glob("*.json"):
        old.unlink()
    metrics = run / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    return metrics


def _serve_metrics(settings: Settings, folder: Path, cleanup: ExitStack) -> None:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    server, thread = start_http_server(settings.metrics.port, settings.metrics.host, registry)
    cleanup.callback(thread.join)
    cleanup.callback(server.server_close)
    cleanup.callback(server.shutdown)


def _zone(settings: Settings, now: datetime) -> str:
    """In which zone times that name none are read, with the way to change it where nobody chose one."""
    read_in = source_health.utc(now.astimezone(settings.ingest.zone(now)).utcoffset() or timedelta(0))
    if settings.ingest.timezone:
        return f"{settings.ingest.timezone} ({read_in})"
    return f"{read_in}，设备时间不带时区时按此理解；可设 ingest.timezone / for times of devices without a zone; see ingest.timezone"
