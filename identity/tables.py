from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime, kept in UTC on SQLite (which has no time zones) and PostgreSQL; naive values are refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware datetime into what the database keeps."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("identity keeps aware datetimes only; this one has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn what the database kept into an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Identity's own tables; nothing outside of this package has a foreign key to them."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: sa.JSON}


class OrganizationRow(Base):
    """A node of the tree; ``path`` holds the ids from the root down, joined by slashes."""

    __tablename__ = "identity_organizations"

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    name_zh: Mapped[str] = mapped_column(sa.String(100))
    name_en: Mapped[str] = mapped_column(sa.String(100))
    parent_id: Mapped[str | None] = mapped_column(sa.ForeignKey("identity_organizations.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    path: Mapped[str] = mapped_column(sa.String(500), index=True)
    created_at: Mapped[datetime]


class AccountRow(Base):
    """A person; both factors are empty until an invitation or the set-up was completed."""

    __tablename__ = "identity_accounts"

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    username: Mapped[str] = mapped_column(sa.String(40), unique=True)
    display_name: Mapped[str] = mapped_column(sa.String(100))
    organization_id: Mapped[str] = mapped_column(sa.ForeignKey("identity_organizations.id"), index=True)
    status: Mapped[str] = mapped_column(sa.String(10))
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    password_hash: Mapped[str] = mapped_column(sa.String(300), default="")
    password_changed_at: Mapped[datetime | None]
    totp_sealed: Mapped[bytes] = mapped_column(sa.LargeBinary, default=b"")
    totp_last_step: Mapped[int] = mapped_column(sa.BigInteger, default=0)

    organization: Mapped[OrganizationRow] = relationship(lazy="joined", innerjoin=True)
    roles: Mapped[list[AccountRoleRow]] = relationship(lazy="selectin", cascade="all, delete-orphan")


class AccountRoleRow(Base):
    """One role of one account."""

    __tablename__ = "identity_account_roles"

    account_id: Mapped[str] = mapped_column(sa.ForeignKey("identity_accounts.id"), primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(30), primary_key=True)
    granted_by: Mapped[str] = mapped_column(sa.String(32))
    granted_at: Mapped[datetime]


class LinkRow(Base):
    """A one-time link (set-up or invitation); only the SHA-256 of its token is kept."""

    __tablename__ = "identity_links"

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    account_id: Mapped[str] = mapped_column(sa.String(32), index=True)  # "" for the set-up
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class SessionRow(Base):
    """A login; only the SHA-256 of its token is kept."""

    __tablename__ = "identity_sessions"
    __table_args__ = (sa.Index("ix_identity_sessions_live", "account_id", "ended_at"),)

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("identity_accounts.id"))
    auth_time: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    amr: Mapped[str] = mapped_column(sa.String(60))  # joined by spaces
    acr: Mapped[str] = mapped_column(sa.String(60))
    certificate_serial: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    source_ip: Mapped[str] = mapped_column(sa.String(64))
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str] = mapped_column(sa.String(40), default="")

    account: Mapped[AccountRow] = relationship(lazy="joined", innerjoin=True)


class CertificateBindingRow(Base):
    """A certificate that may log in as an account."""

    __tablename__ = "identity_certificate_bindings"

    fingerprint: Mapped[str] = mapped_column(sa.String(64), primary_key=True)  # SHA-256 over the DER, lower-case hex
    serial: Mapped[str] = mapped_column(sa.String(64), index=True)  # hex, as the CA wrote it
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("identity_accounts.id"), index=True)
    bound_at: Mapped[datetime]
    bound_by: Mapped[str] = mapped_column(sa.String(32))


class KnownPlaceRow(Base):
    """A network or device from which a person has logged in; an attacker elsewhere cannot lock him out of it."""

    __tablename__ = "identity_known_places"

    account_id: Mapped[str] = mapped_column(sa.ForeignKey("identity_accounts.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10), primary_key=True)  # network | device
    place: Mapped[str] = mapped_column(sa.String(64), primary_key=True)  # CIDR, or the SHA-256 of the device's cookie
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime] = mapped_column(index=True)


class ThrottleRow(Base):
    """Failures counted under one key; the key is hashed, because a name typed by a stranger may be a password."""

    __tablename__ = "identity_throttle"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    scope: Mapped[str] = mapped_column(sa.String(10))
    level: Mapped[float]  # failures less what has leaked away, as of last_failure_at
    last_failure_at: Mapped[datetime] = mapped_column(index=True)
    refused: Mapped[int] = mapped_column(default=0)  # attempts not looked at since the last failure
