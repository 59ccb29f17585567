"""The real console, provider and registration, with the demo system beside them: one login, one logout."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa

from identity import totp
from secops import outbox, wiring
from secops.app import create_app
from secops.demo.app import create_app as create_demo
from secops.demo.relying_party import Registration, RelyingParty
from secops.settings import load
from secops.worker.start import demo_command
from tests.oidc.browser import Browser, hidden

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secops.wiring import Service

PASSWORD = "moss kettle orbit lamp"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = load(state=tmp_path)
    wiring.prepare(settings)
    with wiring.opened(settings) as opened:
        opened.issuer.ensure_keys(opened.clock())
        yield opened


def first_administrator(service: Service) -> str:
    """Set the service up and give the administrator's TOTP secret."""
    now, secret = service.clock(), totp.new_secret(secrets.token_bytes)
    token = service.identity.setup_token(now)
    assert token is not None
    service.identity.complete_setup(
        token,
        username="admin.li",
        display_name="李管理",
        password=PASSWORD,
        totp_secret=secret,
        totp_code=totp.code_at(secret, now - timedelta(seconds=30)),  # the step before, so that this one is left
        source_ip="127.0.0.1",
        now=now,
    )
    return secret


def argument(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_the_console_login_serves_the_demo_and_a_logout_ends_both(service: Service) -> None:
    secret, command = first_administrator(service), demo_command(service)
    console, demo_url = create_app(service), service.settings.demo_url
    with open(argument(command, "--secret-file"), encoding="ascii") as file:  # noqa: PTH123 - a path out of a command line
        client_secret = file.read()
    registration = Registration(
        issuer=argument(command, "--issuer"),
        client_id=argument(command, "--client-id"),
        secret=client_secret,
        origin=demo_url,
    )
    inside = httpx.ASGITransport(app=console)
    demo = create_demo(
        RelyingParty(registration, lambda: httpx.AsyncClient(transport=inside), now=service.clock), now=service.clock
    )

    async def story() -> None:
        mounts = {"all://localhost": inside, "all://127.0.0.1": httpx.ASGITransport(app=demo)}
        async with httpx.AsyncClient(mounts=mounts, follow_redirects=True, headers={"accept": "text/html"}) as http:
            person = Browser(http)
            form = await person.go(f"{demo_url}/login")
            assert form.url.path == "/login"
            code = totp.code_at(secret, service.clock())
            filled = hidden(form) | {"username": "admin.li", "password": PASSWORD, "code": code}
            home = await person.send(str(form.url.copy_with(query=None)), filled)
            assert str(home.url) == f"{demo_url}/", home.text
            assert "李管理" in home.text
            out = await person.send(f"{demo_url}/logout", hidden(home))
            assert "已退出登录" in out.text
            assert (await person.go(f"{demo_url}/login")).url.path == "/login"

    asyncio.run(story())
    with service.database.read() as tx:
        [ended] = tx.scalars(sa.select(outbox.OutboxRow).where(outbox.OutboxRow.kind == "SessionEnded"))
    with service.database.begin() as tx:
        [(url, _token)] = service.issuer.notifications(tx, ended.body["session_id"], service.clock())
    assert url == f"{demo_url}/backchannel-logout"
