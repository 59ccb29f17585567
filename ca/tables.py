"""The authority's records. Nothing here is ever changed: what happens to a certificate later is a row elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
APPEND_ONLY = {"append_only": True}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime in UTC; naive ones are refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse naive datetimes; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the authority's records; pass an aware one")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class CaBase(DeclarativeBase):
    """The authority's own tables."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: sa.JSON}


metadata = CaBase.metadata

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class CertificateRecord(CaBase):
    """What is about to be signed; committed before the signature exists, so that a crash leaves something to revoke."""

    __tablename__ = "ca_certificates"
    __table_args__ = {"info": APPEND_ONLY, "sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    serial: Mapped[str] = mapped_column(sa.String(40), unique=True)  # 32 lower-case hexadecimal digits
    profile: Mapped[str] = mapped_column(sa.String(30))
    common_name: Mapped[str] = mapped_column(sa.String(64))
    organization: Mapped[str] = mapped_column(sa.String(64))
    account_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    issuer_sha256: Mapped[str] = mapped_column(sa.String(64))  # of the issuer's SubjectPublicKeyInfo
    key_sha256: Mapped[str] = mapped_column(sa.String(64), index=True)  # of the SubjectPublicKeyInfo
    subject_sha256: Mapped[str] = mapped_column(sa.String(64))  # of the DER subject name
    not_before: Mapped[datetime]
    not_after: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(index=True)
    requested_by: Mapped[str] = mapped_column(sa.String(200))
    approved_by: Mapped[str] = mapped_column(sa.String(200))
    tbs: Mapped[bytes] = mapped_column(sa.LargeBinary)  # DER TBSCertificate, exactly what gets signed


class SignedCertificate(CaBase):
    """The certificate that came of a record; its absence means that a signature may exist which was never given out."""

    __tablename__ = "ca_signed"
    __table_args__ = {"info": APPEND_ONLY}  # noqa: RUF012 - SQLAlchemy's own protocol

    certificate_id: Mapped[int] = mapped_column(
        _Id, sa.ForeignKey("ca_certificates.id"), primary_key=True, autoincrement=False
    )
    signed_at: Mapped[datetime]
    fingerprint_sha256: Mapped[str] = mapped_column(sa.String(64), index=True)
    der: Mapped[bytes] = mapped_column(sa.LargeBinary)


class Revocation(CaBase):
    """A revocation; final."""

    __tablename__ = "ca_revocations"
    __table_args__ = {"info": APPEND_ONLY, "sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    certificate_id: Mapped[int] = mapped_column(_Id, sa.ForeignKey("ca_certificates.id"), unique=True)
    revoked_at: Mapped[datetime] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(sa.String(30))  # CRLReason of RFC 5280 section 5.3.1
    actor: Mapped[str] = mapped_column(sa.String(200))


class CrlRecord(CaBase):
    """Every CRL that was signed; the number rises by one (RFC 5280 section 5.2.3)."""

    __tablename__ = "ca_crls"
    __table_args__ = {"info": APPEND_ONLY}  # noqa: RUF012 - SQLAlchemy's own protocol

    number: Mapped[int] = mapped_column(_Id, primary_key=True, autoincrement=False)
    issuer_sha256: Mapped[str] = mapped_column(sa.String(64))
    this_update: Mapped[datetime] = mapped_column(index=True)
    next_update: Mapped[datetime]
    last_revocation: Mapped[int] = mapped_column(_Id)  # the newest row of ca_revocations that it covers, 0 for none
    entries: Mapped[int]
    der: Mapped[bytes] = mapped_column(sa.LargeBinary)


class CaEvent(CaBase):
    """What the authority did or refused, and who asked: initialised, recorded, issued, refused, revoked, crl."""

    __tablename__ = "ca_events"
    __table_args__ = {"info": APPEND_ONLY, "sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(sa.String(30))
    serial: Mapped[str] = mapped_column(sa.String(40))
    actor: Mapped[str] = mapped_column(sa.String(200))
    detail: Mapped[str] = mapped_column(sa.String(1000))
