"""Setting up a login: the first administrator by the set-up link, everybody else by an invitation."""

from __future__ import annotations

from secrets import token_bytes
from typing import TYPE_CHECKING, Final

import segno

from identity import totp
from identity.provider import IdentityError
from secops.api.problems import Refusal
from secops.console.visit import Access, Page, Routes
from secops.errors import UserError

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

ISSUER: Final = "SecOps"


class LinkDead(Refusal):
    """The one-time link is used, replaced, expired or was never given out."""

    def __init__(self) -> None:
        super().__init__(
            403,
            "link.invalid",
            "链接无效或已使用。请向发给您链接的人索取新链接；首次安装的链接由 secops serve 打印。",
            "This link is not valid any more. Ask whoever gave it to you for a new one; secops serve prints the set-up link.",
        )


def setup(visit: Visit) -> Response:
    """The form for the first administrator."""
    token = visit.query("token", limit=200)
    if not visit.service.identity.begin_setup(token, visit.now):
        raise LinkDead
    return _page(visit, "setup.html", token, username=visit.value("username") or "admin")


def complete_setup(visit: Visit) -> Response:
    """Create the first administrator."""
    token = visit.value("token", limit=200)
    try:
        _matching_passwords(visit)
        visit.service.identity.complete_setup(
            token,
            username=visit.value("username", limit=200),
            display_name=visit.value("display_name", limit=200),
            password=visit.secret("password"),
            totp_secret=_secret(visit),
            totp_code=_code(visit),
            source_ip=visit.source_ip,
            now=visit.now,
        )
    except (UserError, IdentityError) as error:
        if not visit.service.identity.begin_setup(token, visit.now):
            raise
        return _again(visit, "setup.html", token, error, username=visit.value("username", limit=200))
    return visit.to("/login", "ready")


def invitation(visit: Visit) -> Response:
    """The form behind an invitation."""
    token = visit.part("token")[:200]
    account = visit.service.identity.begin_invitation(token, visit.now)
    if account is None:
        raise LinkDead
    return _page(visit, "invite.html", token, username=account.username, account=account)


def complete_invitation(visit: Visit) -> Response:
    """Set password and one-time code."""
    token = visit.part("token")[:200]
    account = visit.service.identity.begin_invitation(token, visit.now)
    if account is None:
        raise LinkDead
    try:
        _matching_passwords(visit)
        visit.service.identity.complete_invitation(
            token,
            password=visit.secret("password"),
            totp_secret=_secret(visit),
            totp_code=_code(visit),
            source_ip=visit.source_ip,
            now=visit.now,
        )
    except (UserError, IdentityError) as error:
        if visit.service.identity.begin_invitation(token, visit.now) is None:
            raise
        return _again(visit, "invite.html", token, error, username=account.username, account=account)
    return visit.to("/login", "ready")


def _matching_passwords(visit: Visit) -> None:
    if visit.secret("password") != visit.secret("again"):
        raise UserError("password.differs", "两次输入的密码不一致。", "The two passwords differ.")


def _secret(visit: Visit) -> str:
    return visit.value("secret", limit=64).replace(" ", "").upper()


def _code(visit: Visit) -> str:
    return visit.value("code", limit=20).replace(" ", "")


def _again(
    visit: Visit, template: str, token: str, error: UserError | IdentityError, *, username: str, account: object = None
) -> Response:
    """The form once more, with the reason and the same secret: nobody has to scan again for a typing error."""
    reason = visit.texts.pick(error.zh, error.en)
    return _page(
        visit, template, token, reason=reason, secret=_secret(visit), status=400, username=username, account=account
    )


def _page(
    visit: Visit,
    template: str,
    token: str,
    *,
    username: str,
    reason: str = "",
    secret: str = "",
    status: int = 200,
    **context: object,
) -> Response:
    secret = secret or totp.new_secret(token_bytes)
    uri = totp.otpauth_uri(secret, username=username, issuer=ISSUER)
    return visit.page(
        template,
        status,
        link_token=token,
        username=username,
        reason=reason,
        secret=secret,
        spaced=" ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        picture=segno.make(uri, error="m").svg_data_uri(scale=4, border=2, dark="#111", light="#fff"),
        display_name=visit.value("display_name", limit=200),
        **context,
    )


ROUTES: Routes = (
    Page("GET", "/setup", setup, Access.PUBLIC),
    Page("POST", "/setup", complete_setup, Access.PUBLIC),
    Page("GET", "/invite/{token}", invitation, Access.PUBLIC),
    Page("POST", "/invite/{token}", complete_invitation, Access.PUBLIC),
)
