"""``python -m secops.demo``: serve the demo system over HTTPS until it is told to stop."""

from __future__ import annotations

import argparse
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import uvicorn

from secops.demo.app import create_app
from secops.demo.relying_party import Registration, RelyingParty

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and serve."""
    given = _parser().parse_args(arguments)
    registration = Registration(
        issuer=given.issuer.rstrip("/"),
        client_id=given.client_id,
        secret=given.secret_file.read_text(encoding="ascii").strip(),
        origin=given.origin or f"https://{given.host}:{given.port}",
        algorithm=given.algorithm,
    )
    trust = ssl.create_default_context(cafile=str(given.ca))
    party = RelyingParty(registration, lambda: httpx.AsyncClient(verify=trust, trust_env=False), now=_now)
    uvicorn.run(
        create_app(party, now=_now),
        host=given.host,
        port=given.port,
        ssl_certfile=str(given.cert),
        ssl_keyfile=str(given.key),
        log_level=given.log_level,
        access_log=False,  # addresses carry codes
        server_header=False,
        timeout_graceful_shutdown=3,  # an idle TLS peer that never answers close_notify would hold us for 30 s
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m secops.demo", description="演示系统 a demonstration relying party")
    parser.add_argument("--issuer", required=True, help="认证中心地址 the issuer's URL")
    parser.add_argument("--client-id", required=True, help="登记的客户端标识 the registered client identifier")
    parser.add_argument("--secret-file", required=True, type=Path, help="客户端密钥文件 file with the client secret")
    parser.add_argument("--host", default="127.0.0.1", help="监听地址 address to listen on")
    parser.add_argument("--port", required=True, type=int, help="HTTPS 端口 port")
    parser.add_argument("--origin", default="", help="对外地址 own origin when it differs from https://HOST:PORT")
    parser.add_argument("--cert", required=True, type=Path, help="证书链 certificate chain (PEM)")
    parser.add_argument("--key", required=True, type=Path, help="私钥 private key (PEM)")
    parser.add_argument("--ca", required=True, type=Path, help="信任的根证书 root certificates to trust (PEM)")
    parser.add_argument(
        "--algorithm", default="RS256", choices=["RS256", "ES256"], help="登记的签名算法 the registered algorithm"
    )
    parser.add_argument("--log-level", default="warning", help="日志级别 log level")
    return parser


if __name__ == "__main__":
    main()
