"""Log in with a certificate: a form on the console's port, the handshake and the login on a port of its own.

The form sets a short-lived cookie and sends its keyed hash along; the certificate port goes on only when the two belong
together. So no other site can log somebody in by a link, as the browser would present the certificate all by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse

from secops.api import session as sessions
from secops.console.visit import Access, Page, Routes

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response

    from secops.console.visit import Visit

COOKIE: Final = "__Host-secops-certificate"
LIFETIME: Final = timedelta(minutes=5)
_TIME_DIGITS: Final = 12


def start(visit: Visit) -> Response:
    """On the console's port: remember that this browser asked, and lead to the certificate port."""
    following = sessions.safe_next(visit.value("next", "/"))
    secret = secrets.token_urlsafe(32)
    state = make_state(secret, following, visit.now)
    target = f"{visit.service.settings.certificate_origin}/login/certificate?{urlencode({'state': state, 'next': following})}"
    response = RedirectResponse(target, 303)
    response.set_cookie(
        COOKIE, secret, int(LIFETIME.total_seconds()), path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


def finish(visit: Visit) -> Response:
    """On the certificate port: log in whoever holds the certificate of this very connection."""
    following = sessions.safe_next(visit.query("next", "/"))
    secret = visit.request.cookies.get(COOKIE, "")
    if not state_holds(visit.query("state"), secret, following, visit.now):
        return _refused(
            visit,
            following,
            "登录请求已过期，请从登录页重新开始。",
            "The request to log in is out of date; start again at the login page.",
        )
    certificate = certificate_of(visit)
    if certificate is None:
        return _refused(
            visit,
            following,
            "浏览器没有出示证书。请先把证书（.p12 文件）导入浏览器或操作系统，关闭浏览器后重新打开，再试一次。",
            "The browser showed no certificate. Import yours (the .p12 file) into the browser or the operating system, "
            "close the browser and open it again, then try once more.",
        )
    outcome = visit.service.identity.login_certificate(certificate, source_ip=visit.source_ip, now=visit.now)
    if outcome.session is None:
        return _refused(visit, following, outcome.reason_zh, outcome.reason_en)
    response = RedirectResponse(visit.service.settings.issuer + following, 303)
    sessions.set_cookie(response, outcome.session.token)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def certificate_of(visit: Visit) -> bytes | None:
    """The certificate (DER) that the TLS layer verified; ``serving`` put it into the scope, no header is looked at."""
    extension = visit.request.scope.get("extensions", {}).get("tls") or {}
    certificate: bytes | None = extension.get("client_certificate")
    return certificate


def make_state(secret: str, following: str, now: datetime) -> str:
    """A value that only the holder of ``secret`` can have asked for, good for ``LIFETIME``."""
    expires = int((now + LIFETIME).timestamp())
    return f"{expires}.{_digest(secret, expires, following)}"


def state_holds(state: str, secret: str, following: str, now: datetime) -> bool:
    """Whether ``state`` was made for this secret and target, and has not expired."""
    expires, _, digest = state.partition(".")
    if not (secret and expires.isascii() and expires.isdigit() and len(expires) <= _TIME_DIGITS):
        return False
    fits = hmac.compare_digest(_digest(secret, int(expires), following).encode(), digest.encode())
    return fits and now.timestamp() <= int(expires)


def _digest(secret: str, expires: int, following: str) -> str:
    return hmac.new(secret.encode(), f"certificate login|{expires}|{following}".encode(), hashlib.sha256).hexdigest()


def _refused(visit: Visit, following: str, zh: str, en: str) -> Response:
    back = f"{visit.service.settings.issuer}/login?{urlencode({'next': following})}"
    response = visit.page("certificate_refused.html", 403, reason=visit.texts.pick(zh, en), back=back)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


ROUTES: Routes = (Page("POST", "/login/certificate", start, Access.PUBLIC),)
CERTIFICATE_PORT_ROUTES: Routes = (Page("GET", "/login/certificate", finish, Access.PUBLIC),)
