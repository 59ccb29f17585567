"""Tokens with which a tenant's senders push events; only their SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops import audit
from secops.db import Base
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


class SourceTokenRow(Base):
    """One token of one tenant."""

    __tablename__ = "source_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    name: Mapped[str] = mapped_column(sa.String(100))
    token_sha256: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(200))
    revoked_at: Mapped[datetime | None]


def create_token(tx: Session, *, tenant: str, name: str, actor: str, now: datetime) -> str:
    """Make a token for ``tenant`` and give it; it cannot be read again."""
    token = "sk_" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    tx.add(SourceTokenRow(tenant=tenant, name=name[:100], token_sha256=digest, created_at=now, created_by=actor))
    audit.record(tx, at=now, actor=actor, action="source.token_created", target=name, tenant=tenant)
    return token


def revoke_token(tx: Session, token_id: int, *, actor: str, now: datetime) -> None:
    """End a token; senders that use it are refused from the next reload on (a second).

    Raises:
        UserError: there is no such token.
    """
    row = tx.get(SourceTokenRow, token_id)
    if row is None:
        raise UserError(
            "source.unknown",
            f"没有编号为 {token_id} 的令牌；用 secops source list 查看。",
            f"No token {token_id}; see secops source list.",
        )
    row.revoked_at = row.revoked_at or now
    audit.record(tx, at=now, actor=actor, action="source.token_revoked", target=row.name, tenant=row.tenant)


def tokens(tx: Session) -> Sequence[SourceTokenRow]:
    """Give every token, newest first."""
    return tx.scalars(sa.select(SourceTokenRow).order_by(SourceTokenRow.id.desc())).all()


def tenants_by_token(tx: Session) -> dict[str, str]:
    """Give the tenant of each live token's SHA-256 (hexadecimal)."""
    live = sa.select(SourceTokenRow.token_sha256, SourceTokenRow.tenant).where(SourceTokenRow.revoked_at.is_(None))
    return {row.token_sha256: row.tenant for row in tx.execute(live)}
