"""The demo system's pages: Chinese first, English beside it, no script, everything escaped."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import HTMLResponse

from identity.provider import ACR_CERTIFICATE, ACR_PASSWORD_TOTP

if TYPE_CHECKING:
    from secops.demo.sessions import Visitor

ZONE: Final = ZoneInfo("Asia/Shanghai")
MEANS: Final = {
    ACR_CERTIFICATE: ("数字证书", "client certificate"),
    ACR_PASSWORD_TOTP: ("密码和动态口令", "password and one-time code"),
}
STYLE: Final = (
    "body{font:16px/1.6 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;margin:0;background:#f2f6f4;color:#1c2b24}"
    "header{background:#1f6b4f;color:#fff;padding:.8rem 2rem;font-weight:600}main{max-width:40rem;margin:3rem auto;"
    "padding:1.5rem 2rem;background:#fff;border-radius:.5rem}h1{font-size:1.4rem;margin-top:0}[lang=en]{opacity:.75;font-weight:400}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1.5rem}dt{opacity:.8}dd{margin:0;overflow-wrap:anywhere}"
    "button,a.button{font:inherit;padding:.5rem 1.2rem;border:0;border-radius:.3rem;background:#1f6b4f;color:#fff;"
    "text-decoration:none;display:inline-block}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def security_headers(issuer: str) -> dict[str, str]:
    """Give the headers of every answer; the logout form's redirect may lead to the issuer only."""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self' {issuer}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def welcome() -> HTMLResponse:
    """The page of a visitor who is not logged in."""
    return _page(
        "尚未登录",
        "You are not logged in",
        '<p><a class="button" href="/login">统一身份认证登录 <span>Single sign-on</span></a></p>',
    )


def home(visitor: Visitor, form_token: str) -> HTMLResponse:
    """The page of a visitor who is logged in."""
    claims = visitor.claims
    logged_in = datetime.fromtimestamp(int(claims["auth_time"]), UTC)
    means_zh, means_en = MEANS.get(str(claims.get("acr")), ("其他方式", "other means"))
    rows = [
        ("姓名", "Name", _text(claims.get("name"))),
        ("用户名", "User name", _text(claims.get("preferred_username"))),
        ("单位", "Organisation", _text(claims.get("organization"))),
        ("角色", "Roles", _text(claims.get("roles"))),
        ("登录方式", "Means of login", f'{means_zh} <span lang="en">{means_en}</span>'),
        ("统一登录时间", "Logged in since", _time(logged_in)),
        ("进入本系统时间", "Here since", _time(visitor.since)),
    ]
    table = "".join(f'<dt>{zh} <span lang="en">{en}</span></dt><dd>{value}</dd>' for zh, en, value in rows)
    form = (
        f'<form method="post" action="/logout"><input type="hidden" name="form_token" value="{escape(form_token)}">'
        "<button>退出登录 <span>Log out</span></button></form>"
    )
    return _page("您已登录", "You are logged in", f"<dl>{table}</dl>{form}")


def logged_out() -> HTMLResponse:
    """The page after a logout everywhere."""
    text = '<p>您已退出所有业务系统。<br><span lang="en">You are logged out of every system.</span></p>'
    return _page("已退出登录", "Logged out", text + '<p><a href="/">返回 <span lang="en">Back</span></a></p>')


def problem(zh: str, en: str, status: int = 400) -> HTMLResponse:
    """The page of something that went wrong."""
    text = f'<p>{escape(zh)}<br><span lang="en">{escape(en)}</span></p><p><a href="/">返回 <span lang="en">Back</span></a></p>'
    return _page("登录未完成", "The login was not completed", text, status)


def _text(value: Any) -> str:  # noqa: ANN401 - a claim of any JSON type
    items = value if isinstance(value, list) else [value]
    return escape("、".join(str(item) for item in items if item is not None)) or "—"


def _time(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}</time>'


def _page(zh: str, en: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{zh} · 演示系统 Demo system</title><style>{STYLE}</style></head><body>"
        '<header>演示系统 <span lang="en">Demo system</span></header>'
        f'<main><h1>{zh} <span lang="en">{en}</span></h1>{body}</main></body></html>',
        status,
    )
