"""Log in with password and one-time code, log out, and the way back to where the visitor wanted to go."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from secops.api import session as sessions
from secops.console.visit import Access, Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

DEVICE_COOKIE: Final = "__Host-secops-device"
DEVICE_SECONDS: Final = 365 * 86400


def form(visit: Visit) -> Response:
    """The login page; whoever is logged in goes on, but not to the OIDC endpoints: they ask for a *fresh* login."""
    following = sessions.safe_next(visit.query("next", "/"))
    if visit.session is not None and not following.startswith("/oidc/"):
        return visit.to(following)
    return _page(visit, following, username=visit.query("login_hint", limit=200))


def login(visit: Visit) -> Response:
    """Try the three values of the form."""
    following = sessions.safe_next(visit.value("next", "/"))
    device = visit.request.cookies.get(DEVICE_COOKIE, "")[:100]
    username = visit.value("username", limit=200)
    outcome = visit.service.identity.login_password(
        username,
        visit.secret("password"),
        visit.value("code", limit=20).replace(" ", ""),
        source_ip=visit.source_ip,
        device=device,
        now=visit.now,
    )
    if outcome.session is None:
        reason = visit.texts.pick(outcome.reason_zh, outcome.reason_en)
        response = _page(visit, following, username=username, reason=reason, status=429 if outcome.retry_after else 401)
        if outcome.retry_after:
            response.headers["Retry-After"] = str(outcome.retry_after)
        return response
    response = visit.to(following)
    sessions.set_cookie(response, outcome.session.token)
    return response


def logout(visit: Visit) -> Response:
    """End the session here; relying parties are told by back-channel logout."""
    visit.service.identity.logout(sessions.token_of(visit.request), visit.now)
    response = visit.to("/login", "out")
    sessions.clear_cookie(response)
    return response


def _page(visit: Visit, following: str, *, username: str = "", reason: str = "", status: int = 200) -> Response:
    response = visit.page("login.html", status, following=following, reason=reason, username=username)
    if DEVICE_COOKIE not in visit.request.cookies:
        response.set_cookie(
            DEVICE_COOKIE,
            secrets.token_urlsafe(24),
            DEVICE_SECONDS,
            path="/",
            secure=True,
            httponly=True,
            samesite="lax",
        )
    return response


ROUTES: Routes = (
    Page("GET", "/login", form, Access.PUBLIC),
    Page("POST", "/login", login, Access.PUBLIC),
    Page("POST", "/logout", logout, Access.PUBLIC),
)
