"""The OpenID Provider's endpoints: raw request in, the issuer's reply out; who is logged in comes from the cookie."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from identity.oidc import discovery
from identity.oidc.messages import AskLogout, ErrorPage, HttpRequest, NeedLogin, Redirect, Reply
from identity.oidc.tickets import PARAMETER
from secops.api import session as sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from identity.oidc.messages import AuthorizeResult, LogoutResult
    from identity.provider import Session
    from secops.wiring import Service

LOGIN_PATH: Final = "/login"
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;max-width:36rem;margin:12vh auto;"
    "padding:0 1rem;color:#1d2733}h1{font-size:1.4rem}[lang=en]{color:#5b6775}"
    "button,a.button{font:inherit;padding:.5rem 1.2rem;border:0;border-radius:.3rem;background:#14539a;color:#fff}"
)


def router(service: Service) -> APIRouter:
    """Give the routes of the issuer of ``service``."""
    routes = APIRouter(include_in_schema=False)
    issuer = service.issuer

    def back_channel(path: str, methods: list[str], answer: Callable[[HttpRequest], Reply]) -> None:
        async def endpoint(request: Request) -> Response:
            return _json(await run_in_threadpool(answer, await _value(request)))

        routes.add_route(path, endpoint, methods)

    def front_channel(path: str, answer: Callable[[HttpRequest, str], Response]) -> None:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(answer, await _value(request), sessions.token_of(request))

        routes.add_route(path, endpoint, ["GET", "POST"])

    back_channel(discovery.CONFIGURATION, ["GET"], lambda _request: issuer.discovery())
    back_channel(discovery.JWKS, ["GET"], lambda _request: issuer.jwks(service.clock()))
    back_channel(discovery.TOKEN, ["POST"], lambda request: issuer.token(request, service.clock()))
    back_channel(discovery.USERINFO, ["GET", "POST"], lambda request: issuer.userinfo(request, service.clock()))
    back_channel(discovery.INTROSPECT, ["POST"], lambda request: issuer.introspect(request, service.clock()))
    back_channel(discovery.REVOKE, ["POST"], lambda request: issuer.revoke(request, service.clock()))
    front_channel(discovery.AUTHORIZE, lambda request, token: _authorize(service, request, token))
    front_channel(discovery.LOGOUT, lambda request, token: _logout(service, request, token))
    return routes


def _authorize(service: Service, request: HttpRequest, token: str) -> Response:
    now = service.clock()
    result: AuthorizeResult = service.issuer.authorize(request, _session(service, token), now)
    match result:
        case Redirect(url):
            # a browser that comes from the login form would hold the form's CSP (form-action) against a redirect
            return _go_on(url) if f"{PARAMETER}=" in request.query else RedirectResponse(url, 303)
        case NeedLogin():
            return _to_login(result)
    return _error(result)


def _to_login(need: NeedLogin) -> Response:
    if sessions.safe_next(need.next) != need.next:
        return _error(
            ErrorPage(400, "request.long", "业务系统的登录请求过长。", "The system's login request is too long.")
        )
    hints = {name: value for name, value in (("login_hint", need.login_hint), ("acr", need.acr)) if value}
    return RedirectResponse(f"{LOGIN_PATH}?{urlencode({'next': need.next, **hints})}", 303)


def _logout(service: Service, request: HttpRequest, token: str) -> Response:
    now = service.clock()
    result: LogoutResult = service.issuer.end_session(request, _session(service, token), now)
    if isinstance(result, AskLogout):
        return _ask_logout(result)
    if isinstance(result, ErrorPage):
        return _error(result)
    if token:
        service.identity.logout(token, now)
    answer = _after_logout(result.url, form=request.method == "POST")
    sessions.clear_cookie(answer)
    return answer


def _after_logout(url: str, *, form: bool) -> Response:
    if not url:
        return _page("已退出登录", "You are logged out", '<p><a href="/">返回首页 <span lang="en">Home</span></a></p>')
    return _go_on(url) if form else RedirectResponse(url, 303)


def _session(service: Service, token: str) -> Session | None:
    return service.identity.session(token, service.clock()) if token else None


async def _value(request: Request) -> HttpRequest:
    """Take from the request what the issuer needs; the edge in front limits the size of bodies."""
    return HttpRequest(
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        body=await request.body() if request.method == "POST" else b"",
        content_type=request.headers.get("content-type", ""),
        authorization=request.headers.get("authorization", ""),
        source_ip=request.client.host if request.client else "",
    )


def _json(reply: Reply) -> Response:
    response = JSONResponse(reply.body, reply.status)
    for name, value in reply.headers:
        response.headers[name] = value
    return response


def _go_on(url: str) -> Response:
    link = f'<p><a class="button" href="{escape(url)}">继续 <span>Continue</span></a></p>'
    return _page(
        "正在返回业务系统", "Taking you back", link, head=f'<meta http-equiv="refresh" content="0;url={escape(url)}">'
    )


def _ask_logout(asked: AskLogout) -> Response:
    whose_zh = f"“{escape(asked.client_zh)}”请求退出登录。" if asked.client_zh else ""
    whose_en = f"{escape(asked.client_en)} asks to log you out. " if asked.client_en else ""
    form = (
        f'<p>{whose_zh}退出后，所有业务系统都需要重新登录。<br><span lang="en">{whose_en}You will be logged out of every '
        f'system.</span></p><form method="post" action="{discovery.LOGOUT}">'
        f'<input type="hidden" name="{PARAMETER}" value="{escape(asked.ticket)}">'
        '<button>退出登录 <span>Log out</span></button></form><p><a href="/">取消 <span lang="en">Cancel</span></a></p>'
    )
    return _page("退出登录？", "Log out?", form)


def _error(error: ErrorPage) -> Response:
    body = f'<p>{escape(error.zh)}<br><span lang="en">{escape(error.en)}</span></p><p><code>{escape(error.code)}</code></p>'
    return _page("无法登录到业务系统", "This login cannot go on", body, status=error.status)


def _page(zh: str, en: str, body: str, *, head: str = "", status: int = 200) -> Response:
    """A small page of its own: it must work when nothing else does, and holds no script at all."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    html = (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{zh} {en}</title>{head}'
        '<meta name="viewport" content="width=device-width"><style>' + _STYLE + "</style></head>"
        f'<body><main><h1>{zh} <span lang="en">{en}</span></h1>{body}</main></body></html>'
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(html, status, headers)
