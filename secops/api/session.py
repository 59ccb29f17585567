"""Who is asking: the session cookie, the form token bound to it, and the way back after a login.

The cookie value is the secret; the server stores only its hash (``identity``). The form token is a keyed hash of the
cookie value, so it needs no store, and a page of another origin can neither read nor guess it. Before a login the same
is done with a cookie of its own. ``__Host-`` cookies are Secure, without Domain: no neighbouring host can set them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from secops.api.problems import LoginNeeded, Refusal

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

    from identity.provider import Session

COOKIE = "__Host-secops"
FORM_COOKIE = "__Host-secops-form"
FORM_FIELD = "form_token"
_LONGEST_TOKEN = 200
_LONGEST_NEXT = 2000


def token_of(connection: HTTPConnection) -> str:
    """The session cookie's value, or ""."""
    return connection.cookies.get(COOKIE, "")[:_LONGEST_TOKEN]


def session_of(connection: HTTPConnection) -> Session | None:
    """The live session of the request's cookie; asked once a request."""
    if not hasattr(connection.state, "session"):
        service, token = connection.app.state.service, token_of(connection)
        connection.state.session = service.identity.session(token, service.clock()) if token else None
    session: Session | None = connection.state.session
    return session


def need_session(connection: HTTPConnection) -> Session:
    """The live session.

    Raises:
        LoginNeeded: there is none.
    """
    session = session_of(connection)
    if session is None:
        raise LoginNeeded
    return session


def set_cookie(response: Response, token: str) -> None:
    """Hand the session to the browser until it closes; the server decides how long it lives."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="lax")


def clear_cookie(response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def form_token(secret: str) -> str:
    """The token that forms carry for the visitor whose cookie is ``secret``."""
    return hmac.new(secret.encode(), b"secops form token", hashlib.sha256).hexdigest()


def check_form(request: Request, sent: str, own_origin: str) -> None:
    """Refuse a form that was not made by a page of ours for this visitor.

    Raises:
        Refusal: another site sent it, or its token is not the visitor's (often: the page was open too long).
    """
    if not _from_own_page(request, own_origin):
        raise Refusal(
            403, "form.origin", "请求来自其他站点，已拒绝。", "The form came from another site and was refused."
        )
    secret = token_of(request) or request.cookies.get(FORM_COOKIE, "")
    if not secret or not hmac.compare_digest(form_token(secret).encode(), sent.encode()):
        raise Refusal(
            403,
            "form.stale",
            "页面已过期，请返回、刷新后重新提交。",
            "The page is out of date; go back, reload it and send the form again.",
        )


def _from_own_page(request: Request, own_origin: str) -> bool:
    """Browsers name the origin of every POST; a client that names none is no browser and has no ambient cookie."""
    origin = request.headers.get("origin")
    if origin is not None:
        return origin == own_origin
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def safe_next(text: str) -> str:
    """``text`` when it is a path on this very origin, else "/".

    Browsers read a backslash as a slash and drop control characters, so both are refused, as is a leading "//".
    """
    if len(text) > _LONGEST_NEXT or not text.startswith("/") or text.startswith("//"):
        return "/"
    if "\\" in text or not all(character.isprintable() and character != " " for character in text):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text
