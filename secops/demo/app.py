"""The demo system as an ASGI application."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from secops.demo import pages
from secops.demo.relying_party import Attempt, LoginError
from secops.demo.sessions import Shelf, Visitor, Visitors, digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from secops.demo.relying_party import RelyingParty

COOKIE: Final = "__Host-demo"
LOGIN_COOKIE: Final = "__Host-demo-login"
BODY_MAX: Final = 20_000
SESSION_LIFETIME: Final = timedelta(hours=8)
LOGIN_LIFETIME: Final = timedelta(minutes=30)


class Demo:
    """The pages' work; one object a process, holding who is logged in."""

    def __init__(self, party: RelyingParty, *, now: Callable[[], datetime]) -> None:
        self.party = party
        self.now = now
        self.visitors = Visitors(SESSION_LIFETIME)
        self.attempts: Shelf[Attempt] = Shelf(LOGIN_LIFETIME)
        self.leaving: Shelf[bool] = Shelf(LOGIN_LIFETIME)
        self.used_tokens: Shelf[bool] = Shelf(timedelta(hours=1))

    async def home(self, request: Request) -> Response:
        """Show who is logged in, or that a logout begun here is done."""
        if self.leaving.take(request.query_params.get("state", ""), self.now()):
            return pages.logged_out()
        token = request.cookies.get(COOKIE, "")
        visitor = self.visitors.get(token, self.now()) if token else None
        return pages.home(visitor, digest("form" + token)) if visitor else pages.welcome()

    async def login(self, request: Request) -> Response:
        """Send the browser to the issuer, remembering what the answer must match."""
        now = self.now()
        browser = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(32)
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            browser=digest(browser),
            started=now,
        )
        url = await self.party.login_url(attempt)
        self.attempts.put(attempt.state, attempt, now)
        return _with_cookie(RedirectResponse(url, 303), LOGIN_COOKIE, browser)

    async def callback(self, request: Request) -> Response:
        """Take the issuer's answer; a state is good once, and only in the browser that began the login."""
        now, answer = self.now(), dict(request.query_params)
        if len(answer) != len(request.query_params.multi_items()):
            raise LoginError("登录应答的参数重复", "the answer names a parameter twice")
        attempt = self.attempts.take(answer.get("state", ""), now)
        browser = digest(request.cookies.get(LOGIN_COOKIE, ""))
        if attempt is None or not hmac.compare_digest(attempt.browser, browser):
            raise LoginError(
                "这次登录不是从本浏览器发起的，或已超时", "this login was not begun in this browser, or took too long"
            )
        claims, id_token = await self.party.finish(answer, attempt)
        if self.visitors.ended(str(claims["sid"]), now):
            raise LoginError("登录已被注销", "the login was ended meanwhile")
        token = secrets.token_urlsafe(32)
        self.visitors.put(token, Visitor(claims=claims, id_token=id_token, since=now), now)
        response = _with_cookie(RedirectResponse("/", 303), COOKIE, token)
        response.delete_cookie(LOGIN_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def logout(self, request: Request) -> Response:
        """End the login here, then everywhere."""
        token = request.cookies.get(COOKIE, "")
        sent = (await _form(request)).get("form_token", "")
        if not hmac.compare_digest(sent.encode(), digest("form" + token).encode()):
            raise LoginError("页面已过期，请刷新后再退出", "the page is out of date; reload it and log out again")
        visitor = self.visitors.take(token, self.now())
        if visitor is None:
            return RedirectResponse("/", 303)
        state = secrets.token_urlsafe(16)
        url = await self.party.logout_url(visitor.id_token, state)
        self.leaving.put(state, True, self.now())
        response = RedirectResponse(url, 303)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def backchannel_logout(self, request: Request) -> Response:
        """Believe a logout token once (OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8)."""
        now = self.now()
        try:
            claims = await self.party.logout_token((await _form(request)).get("logout_token", ""))
            if self.used_tokens.get(str(claims["jti"]), now):
                raise LoginError("退出令牌已用过", "the logout token was used before")  # noqa: TRY301 - one answer for all
        except LoginError as error:
            return JSONResponse({"error": "invalid_request", "error_description": error.en}, 400)
        self.used_tokens.put(str(claims["jti"]), True, now)
        self.visitors.end(claims, now)
        return Response(status_code=200)


def create_app(party: RelyingParty, *, now: Callable[[], datetime]) -> Starlette:
    """Build the demo system over ``party``."""
    demo = Demo(party, now=now)
    app = Starlette(
        routes=[
            Route("/", demo.home, methods=["GET"]),
            Route("/login", demo.login, methods=["GET"]),
            Route("/callback", demo.callback, methods=["GET"]),
            Route("/logout", demo.logout, methods=["POST"]),
            Route("/backchannel-logout", demo.backchannel_logout, methods=["POST"]),
            Route("/healthz", _alive, methods=["GET"]),
        ],
        middleware=[Middleware(_SecurityHeaders, headers=pages.security_headers(party.registration.issuer))],
        exception_handlers={LoginError: _explain},
    )
    app.state.demo = demo
    return app


class _SecurityHeaders:
    """Puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        await self.app(scope, receive, sending)


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _explain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginError)
    return pages.problem(error.zh, error.en)


async def _form(request: Request) -> dict[str, str]:
    """Read a small form; a larger or undecodable one is refused.

    Raises:
        LoginError: it is too large, or not a form.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise LoginError("请求过大", "the request is too large")
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=10, errors="strict"))
    except ValueError as error:
        raise LoginError("请求无法识别", "the request cannot be read") from error


def _with_cookie(response: Response, name: str, value: str) -> Response:
    response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="lax")
    return response
