from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from waiting import wait_until

from tests.oidc import throwaway_ca
from tests.oidc.browser import Browser, hidden
from tests.oidc.world import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(HERE.parents[1]),
    }
    with log.open("wb") as out:
        started = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out, env=environment)
        try:
            yield started
        finally:
            started.terminate()
            started.wait(20)


def answers(url: str, trust: ssl.SSLContext, server: subprocess.Popen[bytes], log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        return httpx.get(url, verify=trust, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.process
def test_two_processes_one_login_one_logout_over_real_tls(tmp_path: Path) -> None:
    root, certificate, key = throwaway_ca.make(tmp_path)
    trust = ssl.create_default_context(cafile=str(root))
    sso_port, demo_port = free_ports(2)
    issuer, demo = f"https://localhost:{sso_port}", f"https://127.0.0.1:{demo_port}"
    secret_file = tmp_path / "client-secret"
    secret_file.write_text(SECRET + "\n")
    world = ["-m", "tests.oidc.world", str(tmp_path / "state.db"), issuer, demo, str(certificate), str(key), str(root)]
    party = [
        "-m", "secops.demo", "--issuer", issuer, "--client-id", "demo", "--secret-file", str(secret_file),
        "--port", str(demo_port), "--cert", str(certificate), "--key", str(key), "--ca", str(root), "--algorithm", "ES256",
    ]  # fmt: skip
    logs = tmp_path / "sso.log", tmp_path / "demo.log"
    with process(world, logs[0]) as sso, process(party, logs[1]) as rp:
        wait_until(
            lambda: answers(f"{issuer}/.well-known/openid-configuration", trust, sso, logs[0]),
            what="the issuer answers",
        )
        wait_until(lambda: answers(f"{demo}/healthz", trust, rp, logs[1]), what="the demo answers")
        asyncio.run(_story(issuer, demo, trust))
    for log in logs:
        assert SECRET not in log.read_text()
        assert "code=" not in log.read_text()
        assert "Traceback" not in log.read_text()


async def _story(issuer: str, demo: str, trust: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(verify=trust, trust_env=False, follow_redirects=True) as http:
        person = Browser(http)
        home = await person.login(demo, "zhang")
        assert "zhang先生" in home.text
        assert "密码和动态口令" in home.text
        # a logout at the issuer reaches the demo by the back channel
        question = await person.go(f"{issuer}/oidc/logout")
        await person.send(f"{issuer}/oidc/logout", hidden(question))
        assert "尚未登录" in (await person.go(demo)).text
        # and a logout at the demo ends the login at the issuer
        home = await person.login(demo, "wang")
        assert "wang先生" in home.text
        out = await person.send(f"{demo}/logout", hidden(home))
        assert "已退出登录" in out.text
        assert 'name="username"' in (await person.go(f"{demo}/login")).text
