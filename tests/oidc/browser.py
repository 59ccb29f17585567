"""A browser without a screen: cookies, redirects, refreshing pages and forms, over real ASGI or real sockets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx

from secops.demo.app import create_app
from secops.demo.relying_party import Registration, RelyingParty
from tests.oidc.world import DEMO, ISSUER, SECRET, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.applications import Starlette

_REFRESH = re.compile(r'<meta http-equiv="refresh" content="0;url=([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass
class Browser:
    """Follows what a person's browser would follow."""

    http: httpx.AsyncClient

    async def go(self, url: str) -> httpx.Response:
        return await self._settle(await self.http.get(url))

    async def send(self, url: str, form: dict[str, str]) -> httpx.Response:
        return await self._settle(await self.http.post(url, data=form))

    async def _settle(self, response: httpx.Response) -> httpx.Response:
        while found := _REFRESH.search(response.text):
            response = await self.http.get(unescape(found[1]))
        return response

    async def login(self, demo: str, username: str, **more: str) -> httpx.Response:
        """Log in at the demo system, through the issuer's login page if it asks."""
        page = await self.go(f"{demo}/login")
        if 'name="username"' in page.text:
            page = await self.send(str(page.url), {"username": username, **more})
        return page


def hidden(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's first form."""
    first = page.text.partition("<form")[2].partition("</form>")[0]
    return {unescape(name): unescape(value) for name, value in _HIDDEN.findall(first)}


def demo_app(issuer_app: Any, now: Callable[[], datetime]) -> Starlette:
    """The demo system, whose issuer is an ASGI application."""
    registration = Registration(issuer=ISSUER, client_id="demo", secret=SECRET, origin=DEMO, algorithm="ES256")
    transport = httpx.ASGITransport(app=issuer_app)
    return create_app(RelyingParty(registration, lambda: httpx.AsyncClient(transport=transport), now=now), now=now)


def browser(world: World, demo: Starlette) -> Browser:
    """A new browser that can reach both."""
    mounts = {
        "all://sso.test": httpx.ASGITransport(app=world.app()),
        "all://demo.test": httpx.ASGITransport(app=demo),
    }
    return Browser(httpx.AsyncClient(mounts=mounts, follow_redirects=True))
