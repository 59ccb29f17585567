"""What to do with an acceptable authorization request, as a pure function.

Its rules, in the order they are asked:

1. Nobody is logged in: log in. A login that is too old (``max_age``), that the client does not want to rely on
   (``prompt=login``, ``select_account``) or that is somebody else's (``id_token_hint``): log in again.
2. The login's means (``acr``) are not the ones the client is registered with, or prefers (``acr_values``): log in again.
3. After a new login made for this very request, 1 is fulfilled. If the means still do not reach the registered ones,
   refuse; if they only miss the preferred ones, go on (OpenID Connect Core 3.1.2.1: voluntary).
4. ``prompt=none`` shows no page: whatever would ask the person is an error; ``prompt=consent`` always is, since clients
   are registered by administrators and people are not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from identity.oidc.messages import OidcError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from identity.oidc.clients import Client
    from identity.provider import Session

PROMPTS = frozenset({"none", "login", "select_account", "consent"})
UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",  # nothing is ever fetched from an address in a request
    "registration": "registration_not_supported",
}
MAX_AGE_LIMIT = 10**9  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the client asked about the login (OpenID Connect Core 3.1.2.1)."""

    prompts: frozenset[str]
    max_age: int | None
    acr_values: tuple[str, ...]
    login_hint: str
    subject: str  # of the id_token_hint; "" when there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLogin:
    """A login is needed first; ``reason`` is for the audit and for tests."""

    reason: str
    acr: str = ""


def wish(parameters: Mapping[str, str], subject: str) -> Wish:
    """Read what the client wishes.

    Raises:
        OidcError: a feature we do not have, or a value that makes no sense.
    """
    for name, code in UNSUPPORTED.items():
        if name in parameters:
            raise OidcError(code, f"不支持参数 {name}", f"the parameter {name} is not supported")
    if parameters.get("response_type") != "code":
        raise OidcError("unsupported_response_type", "只支持授权码方式", "response_type must be code")
    if parameters.get("response_mode", "query") != "query":
        raise OidcError("invalid_request", "只支持 query 响应方式", "response_mode must be query")
    prompts = frozenset(parameters.get("prompt", "").split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise OidcError("invalid_request", "prompt 参数无效", "prompt has unknown or contradicting values")
    return Wish(
        prompts=prompts,
        max_age=_max_age(parameters.get("max_age")),
        acr_values=tuple(parameters.get("acr_values", "").split()),
        login_hint=parameters.get("login_hint", ""),
        subject=subject,
    )


def _max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_AGE_LIMIT)):
        raise OidcError("invalid_request", "max_age 参数无效", "max_age must be a number of seconds")
    return min(int(text), MAX_AGE_LIMIT)


def decide(
    asked: Wish, client: Client, session: Session | None, asked_at: datetime | None, now: datetime
) -> AskLogin | None:
    """Give None to grant, or the login that is needed first.

    ``asked_at``: when this very request sent the person to the login page, if it did.

    Raises:
        OidcError: ``login_required``, ``consent_required``, ``unmet_authentication_requirements``.
    """
    if "consent" in asked.prompts:
        raise OidcError("consent_required", "本系统不逐人征求同意", "consent is given by the administrators here")
    fresh = session is not None and asked_at is not None and session.auth_time >= asked_at
    need = _need(asked, client, session, fresh=fresh, now=now)
    if need is None:
        return None
    if "none" in asked.prompts:
        raise OidcError("login_required", "需要用户登录", f"the person must log in: {need.reason}")
    if fresh and need.acr and need.acr == client.required_acr:
        raise OidcError(
            "unmet_authentication_requirements",
            "登录方式不符合该系统的要求",
            "the login does not use the means this client requires",
        )
    return need


def _need(asked: Wish, client: Client, session: Session | None, *, fresh: bool, now: datetime) -> AskLogin | None:
    preferred = client.required_acr or (asked.acr_values[0] if asked.acr_values else "")
    if session is None:
        return AskLogin(reason="nobody is logged in", acr=preferred)
    again = _again(asked, session, now)
    if again and not fresh:
        return AskLogin(reason=again, acr=preferred)
    if asked.subject and asked.subject != session.account_id:
        raise OidcError("login_required", "登录的不是指定的用户", "somebody else is logged in")
    if client.required_acr and session.acr != client.required_acr:
        return AskLogin(reason="the client requires other means of login", acr=client.required_acr)
    voluntary = not fresh and "none" not in asked.prompts
    if voluntary and not client.required_acr and asked.acr_values and session.acr not in asked.acr_values:
        return AskLogin(reason="the client prefers other means of login", acr=asked.acr_values[0])
    return None


def _again(asked: Wish, session: Session, now: datetime) -> str:
    if asked.prompts & {"login", "select_account"}:
        return "the client asked for a new login"
    if asked.max_age is not None and (now - session.auth_time).total_seconds() > asked.max_age:
        return "the login is older than the client allows"
    if asked.subject and asked.subject != session.account_id:
        return "somebody else is logged in"
    return ""
