"""Relying parties: registered by an administrator (or the wiring), never by themselves."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import sqlalchemy as sa

from identity.oidc.messages import OidcError
from identity.oidc.settings import ALGORITHMS, SCOPES
from identity.oidc.tables import ClientRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

SECRET_MIN = 32
URI_MAX = 2000
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,100}")
_NOBODY = hashlib.sha256(b"no client has this secret").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered relying party, in the shape that Authlib's grants ask for."""

    client_id: str
    secret_sha256: str
    name_zh: str
    name_en: str
    redirect_uris: tuple[str, ...]
    post_logout_uris: tuple[str, ...]
    backchannel_logout_uri: str
    required_acr: str
    id_token_alg: str
    refreshes: bool
    introspects: bool

    @property
    def public(self) -> bool:
        """Whether the client has no secret and is known by PKCE only."""
        return not self.secret_sha256

    def get_client_id(self) -> str:
        """Give the identifier (asked by Authlib)."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """Give none: every request must name its redirect URI, so that none is ever guessed."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Keep the scopes we know (OpenID Connect Core 3.1.2.1: others are ignored); None without ``openid``."""
        asked = (scope or "").split()
        return " ".join(name for name in SCOPES if name in asked) if "openid" in asked else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare as strings, character by character (RFC 9700, 4.1.3)."""
        return redirect_uri in self.redirect_uris

    def check_response_type(self, response_type: str) -> bool:
        """Allow the code flow only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow codes for all, refresh tokens for those registered for them."""
        return grant_type == "authorization_code" or (grant_type == "refresh_token" and self.refreshes)


def register(
    tx: Session,
    *,
    client_id: str,
    name_zh: str,
    name_en: str,
    redirect_uris: Sequence[str],
    now: datetime,
    secret: str | None = None,
    post_logout_uris: Sequence[str] = (),
    backchannel_logout_uri: str = "",
    required_acr: str = "",
    id_token_alg: str = "RS256",  # noqa: S107 - an algorithm, not a password
    refreshes: bool = False,
    introspects: bool = False,
) -> Client:
    """Register a relying party, or bring an existing registration up to date; no ``secret`` makes a public client.

    ``id_token_alg`` defaults to RS256, as OpenID Connect Registration 1.0 does and most libraries expect.

    Raises:
        OidcError: ``client.invalid``: an identifier, secret or URI that cannot be accepted, with the reason.
    """
    _check(client_id, secret, id_token_alg)
    if not redirect_uris:
        raise _invalid("至少登记一个返回地址", "register at least one redirect URI")
    for uri in (*redirect_uris, *post_logout_uris, *filter(None, [backchannel_logout_uri])):
        check_uri(uri)
    row = tx.get(ClientRow, client_id) or ClientRow(client_id=client_id, created_at=now)
    row.secret_sha256 = hashlib.sha256(secret.encode()).hexdigest() if secret else ""
    row.name_zh, row.name_en = name_zh[:200], name_en[:200]
    row.redirect_uris, row.post_logout_uris = list(redirect_uris), list(post_logout_uris)
    row.backchannel_logout_uri, row.required_acr = backchannel_logout_uri, required_acr
    row.id_token_alg, row.refreshes, row.introspects = id_token_alg, refreshes, introspects
    row.disabled_at = None
    tx.add(row)
    tx.flush()
    return _client(row)


def get(tx: Session, client_id: str) -> Client | None:
    """Give a registered client that is not disabled."""
    row = tx.get(ClientRow, client_id)
    return _client(row) if row is not None and row.disabled_at is None else None


def find(tx: Session) -> list[Client]:
    """Give every client that is not disabled, by identifier."""
    rows = tx.scalars(sa.select(ClientRow).where(ClientRow.disabled_at.is_(None)).order_by(ClientRow.client_id))
    return [_client(row) for row in rows]


def disable(tx: Session, client_id: str, now: datetime) -> None:
    """Take a client out of service; its tokens stop working with it."""
    row = tx.get(ClientRow, client_id)
    if row is not None:
        row.disabled_at = now


def secret_matches(client: Client | None, secret: str) -> bool:
    """Compare in constant time, and spend the same time for a client that does not exist or has no secret."""
    known = client.secret_sha256 if client is not None and client.secret_sha256 else _NOBODY
    same = hmac.compare_digest(hashlib.sha256(secret.encode()).hexdigest(), known)
    return same and client is not None and not client.public


def check_uri(uri: str) -> None:
    """Accept ``https`` URIs without user info, fragment or wildcard; no unroutable or link-local address.

    Raises:
        OidcError: ``client.invalid``, with the reason.
    """
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or len(uri) > URI_MAX:
        raise _invalid("URI 含有不允许的字符或过长", "the URI has characters that do not belong in one, or is too long")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _invalid("URI 无法解析", "the URI cannot be parsed") from error
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise _invalid("URI 必须以 https:// 开头", "the URI must begin with https://")
    if "#" in uri or "*" in uri or parts.username is not None:
        raise _invalid(
            "URI 不得含片段、通配符或用户信息", "the URI must have no fragment, wildcard or user information"
        )
    if not _reachable(parts.hostname):
        raise _invalid("URI 的地址不可用", "the URI's address is link-local, multicast or unspecified")


def _reachable(host: str) -> bool:
    """Refuse addresses where clouds keep their metadata services, and addresses that are nobody's."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (address.is_link_local or address.is_multicast or address.is_unspecified)


def _check(client_id: str, secret: str | None, id_token_alg: str) -> None:
    if not _CLIENT_ID.fullmatch(client_id):
        raise _invalid(
            "客户端标识只能含字母、数字和 . _ ~ -", "a client identifier has letters, digits and . _ ~ - only"
        )
    if secret is not None and (len(secret) < SECRET_MIN or not secret.isascii()):
        raise _invalid(
            f"客户端密钥至少 {SECRET_MIN} 个字符", f"a client secret has at least {SECRET_MIN} ASCII characters"
        )
    if id_token_alg not in ALGORITHMS:
        raise _invalid("不支持的签名算法", f"the signing algorithm must be one of {', '.join(ALGORITHMS)}")


def _invalid(zh: str, en: str) -> OidcError:
    return OidcError("client.invalid", zh, en)


def _client(row: ClientRow) -> Client:
    return Client(
        client_id=row.client_id,
        secret_sha256=row.secret_sha256,
        name_zh=row.name_zh,
        name_en=row.name_en,
        redirect_uris=tuple(row.redirect_uris),
        post_logout_uris=tuple(row.post_logout_uris),
        backchannel_logout_uri=row.backchannel_logout_uri,
        required_acr=row.required_acr,
        id_token_alg=row.id_token_alg,
        refreshes=row.refreshes,
        introspects=row.introspects,
    )
