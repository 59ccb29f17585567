"""The OpenID Provider: each endpoint is a method from a request value to a reply value."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.keys import SecretBox
    from identity.oidc.messages import AuthorizeResult, HttpRequest, LogoutResult, Reply
    from identity.oidc.settings import OidcSettings
    from identity.provider import Account, Session


class Transactions(Protocol):
    """The two ways to the state database."""

    def begin(self) -> AbstractContextManager[Tx]:
        """Write."""
        ...

    def read(self) -> AbstractContextManager[Tx]:
        """Look."""
        ...


class Issuer:
    """An OpenID Provider over one database; safe to share between threads."""

    def __init__(
        self,
        settings: OidcSettings,
        database: Transactions,
        box: SecretBox,
        *,
        account: Callable[[str], Account | None],
        audit: Callable[..., Any],
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None: ...

    def authorize(self, request: HttpRequest, session: Session | None, now: datetime) -> AuthorizeResult:
        """Answer an authorization request (RFC 6749, 4.1.1; OpenID Connect Core 3.1.2)."""
        raise NotImplementedError

    def token(self, request: HttpRequest, now: datetime) -> Reply: ...
    def userinfo(self, request: HttpRequest, now: datetime) -> Reply: ...
    def introspect(self, request: HttpRequest, now: datetime) -> Reply: ...
    def revoke(self, request: HttpRequest, now: datetime) -> Reply: ...
    def jwks(self, now: datetime) -> Reply: ...
    def discovery(self) -> Reply: ...
    def end_session(self, request: HttpRequest, session: Session | None, now: datetime) -> LogoutResult: ...
    def ensure_keys(self, now: datetime) -> None: ...
    def notifications(self, tx: Tx, session_id: str, now: datetime) -> list[tuple[str, str]]: ...
    def end_grants(self, tx: Tx, session_id: str, now: datetime) -> None: ...
