"""Tables of the OpenID Provider. Secrets, codes and tokens are stored as SHA-256 only; signing keys are sealed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base

if TYPE_CHECKING:
    from identity.oidc.clients import Client


class ClientRow(Base):
    """A registered relying party."""

    __tablename__ = "oidc_clients"

    client_id: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(sa.String(64), default="")  # "" for a public client
    name_zh: Mapped[str] = mapped_column(sa.String(200))
    name_en: Mapped[str] = mapped_column(sa.String(200))
    redirect_uris: Mapped[list[str]] = mapped_column(sa.JSON)
    post_logout_uris: Mapped[list[str]] = mapped_column(sa.JSON)
    backchannel_logout_uri: Mapped[str] = mapped_column(sa.String(2000), default="")
    required_acr: Mapped[str] = mapped_column(sa.String(50), default="")
    id_token_alg: Mapped[str] = mapped_column(sa.String(10))
    refreshes: Mapped[bool] = mapped_column(default=False)
    introspects: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class CodeRow(Base):
    """An authorization code: usable once, by one client, for one redirect URI, with one verifier."""

    __tablename__ = "oidc_codes"

    code_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.String(100))
    account_id: Mapped[str] = mapped_column(sa.String(64))
    session_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    redirect_uri: Mapped[str] = mapped_column(sa.String(2000))
    scope: Mapped[str] = mapped_column(sa.String(200))
    nonce: Mapped[str] = mapped_column(sa.String(500))
    code_challenge: Mapped[str] = mapped_column(sa.String(128))
    claims: Mapped[dict[str, Any]] = mapped_column(sa.JSON)  # the ID token's claims about the person and the login
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    session_expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    def get_redirect_uri(self) -> str:
        """Give the redirect URI the code was sent to (asked by Authlib)."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Give the scope that was granted (asked by Authlib)."""
        return self.scope


class TokenRow(Base):
    """An access or refresh token; ``family`` is the code it descends from, so that one act revokes all of them."""

    __tablename__ = "oidc_tokens"

    token_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))  # access, refresh
    family: Mapped[str] = mapped_column(sa.String(64), index=True)
    client_id: Mapped[str] = mapped_column(sa.String(100))
    account_id: Mapped[str] = mapped_column(sa.String(64))
    session_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    scope: Mapped[str] = mapped_column(sa.String(200))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    session_expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # a refresh token that was exchanged; seen again, the family is revoked
    revoked_at: Mapped[datetime | None]

    def get_scope(self) -> str:
        """Give the scope that was granted (asked by Authlib)."""
        return self.scope

    def check_client(self, client: Client) -> bool:
        """Tell whether the token is this client's (asked by Authlib)."""
        return self.client_id == client.client_id


class ClientSessionRow(Base):
    """Which client was told of which login: whom to tell when it ends."""

    __tablename__ = "oidc_client_sessions"

    session_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


class KeyRow(Base):
    """A signing key: published from ``created_at``, signs from ``active_from``, verifies until ``expires_at``."""

    __tablename__ = "oidc_keys"

    kid: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(sa.String(10), index=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    sealed_private: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime]
    active_from: Mapped[datetime]
    expires_at: Mapped[datetime | None]
