"""The authority's books: what was recorded, signed and revoked. Functions over the caller's transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from ca.errors import CaError
from ca.requests import CertificateRow, CertificateState, State
from ca.tables import CaBase, CaEvent, CertificateRecord, Revocation, SignedCertificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from ca.settings import Settings

EventKind = Literal["initialised", "recorded", "issued", "refused", "revoked", "crl"]
REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "aACompromise",
)  # RFC 5280 section 5.3.1 without the two that can be taken back: a revocation is final here
_LOCK = 0x5EC0_0002  # PostgreSQL advisory lock: one writer of the books at a time
_SERIAL_DIGITS = 32


# Plain inserts, not objects: thousands are issued at once when a unit gets its certificates.
_RECORD, _SIGNED, _EVENT = (
    sa.insert(CaBase.metadata.tables[table.__tablename__]) for table in (CertificateRecord, SignedCertificate, CaEvent)
)


def normal_serial(text: str) -> str:
    """Give 32 lower-case hexadecimal digits for a serial as people and tools write it (``0A:1B``, ``0x0a1b``).

    Returns "" for what is no serial, which no record has.
    """
    digits = text.strip().lower().removeprefix("0x").replace(":", "").lstrip("0")
    if not digits or len(digits) > _SERIAL_DIGITS or not set(digits) <= set("0123456789abcdef"):
        return ""
    return digits.zfill(_SERIAL_DIGITS)


def lock(tx: Session) -> None:
    """Keep other writers out until the transaction ends; SQLite's BEGIN IMMEDIATE does so already."""
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


_NEWEST = sa.select(
    *(
        sa.select(sa.func.max(CaBase.metadata.tables[table].c[column])).scalar_subquery()
        for table, column in (
            ("ca_certificates", "recorded_at"),
            ("ca_revocations", "revoked_at"),
            ("ca_crls", "this_update"),
        )
    )
)


def check_clock(tx: Session, settings: Settings, now: datetime) -> None:
    """Refuse to go on when the clock stands behind the newest thing in the books.

    Raises:
        CaError: ``ca.clock``.
    """
    latest = max((at for at in tx.connection().execute(_NEWEST).one() if at is not None), default=now)
    if now < latest - timedelta(seconds=settings.clock_tolerance_seconds):
        raise CaError(
            "ca.clock",
            f"系统时钟 {now:%Y-%m-%d %H:%M:%S} 早于最近一条记录 {latest:%Y-%m-%d %H:%M:%S} (UTC)，拒绝签发；请校准时钟",
            f"the clock says {now:%Y-%m-%d %H:%M:%S}, before the newest record of {latest:%Y-%m-%d %H:%M:%S} (UTC); "
            "nothing is signed until the clock is set right",
        )


_RECORDS = CaBase.metadata.tables["ca_certificates"]
_HOLDERS = sa.select(_RECORDS.c.subject_sha256).where(_RECORDS.c.key_sha256 == sa.bindparam("key_sha256")).distinct()


def holders(tx: Session, key_sha256: str) -> Sequence[str]:
    """Give the subjects (hashes) in whose records a key stands."""
    return tx.connection().scalars(_HOLDERS, {"key_sha256": key_sha256}).all()


def event(tx: Session, kind: EventKind, *, serial: str, actor: str, detail: str, now: datetime) -> None:
    """Append to the authority's diary."""
    row = {"at": now, "kind": kind, "serial": serial, "actor": actor[:200], "detail": detail[:1000]}
    tx.connection().execute(_EVENT, row)


def record(tx: Session, row: Mapping[str, Any]) -> int:
    """Keep what is about to be signed (the columns of ``CertificateRecord``); gives its number."""
    [number] = tx.connection().execute(_RECORD, row).inserted_primary_key or [0]
    return int(number)


def by_serial(tx: Session, serial: str) -> CertificateRecord | None:
    """Find a record by its normal serial."""
    return tx.scalar(sa.select(CertificateRecord).where(CertificateRecord.serial == serial))


def publish(tx: Session, record_id: int, *, der: bytes, fingerprint: str, now: datetime) -> None:
    """Keep the certificate that came of a record."""
    row = {"certificate_id": record_id, "signed_at": now, "fingerprint_sha256": fingerprint, "der": der}
    tx.connection().execute(_SIGNED, row)


def revoke(tx: Session, serial: str, *, reason: str, actor: str, now: datetime) -> None:
    """Revoke a recorded certificate, signed or not; a second revocation changes nothing.

    Raises:
        CaError: ``ca.serial``, ``ca.reason``.
    """
    if reason not in REASONS:
        raise CaError(
            "ca.reason",
            f"未知的吊销原因 {reason!r}；可选：{', '.join(REASONS)}",
            f"unknown reason {reason!r}; use one of {', '.join(REASONS)}",
        )
    lock(tx)
    record = by_serial(tx, serial)
    if record is None:
        raise CaError(
            "ca.serial", "没有该序列号的证书", "there is no certificate of that serial; look it up with: secops ca list"
        )
    if tx.scalar(sa.select(Revocation.id).where(Revocation.certificate_id == record.id)) is None:
        tx.add(Revocation(certificate_id=record.id, revoked_at=now, reason=reason, actor=actor[:200]))
        event(tx, "revoked", serial=serial, actor=actor, detail=reason, now=now)


def _state() -> sa.Select[Any]:
    record, signed, revoked = (
        CaBase.metadata.tables[table.__tablename__] for table in (CertificateRecord, SignedCertificate, Revocation)
    )
    return (
        sa.select(
            record.c.account_id, record.c.not_after, signed.c.certificate_id, revoked.c.reason, revoked.c.revoked_at
        )
        .select_from(record)
        .outerjoin(signed, signed.c.certificate_id == record.c.id)
        .outerjoin(revoked, revoked.c.certificate_id == record.c.id)
        .where(record.c.serial == sa.bindparam("serial"))
    )


_STATE = _state()  # built once, of plain tables: it runs for every request of every session and for every OCSP request


def state(tx: Session, serial: str, now: datetime) -> CertificateState:
    """Say what holds for a normal serial; a record whose signature was never published is unknown, or revoked."""
    row = tx.connection().execute(_STATE, {"serial": serial}).first()
    if row is None:
        return CertificateState(state="unknown", serial=serial)
    account_id, not_after, signed, reason, revoked_at = row
    if reason is not None:
        return CertificateState(
            state="revoked", serial=serial, reason=reason, revoked_at=revoked_at, account_id=account_id
        )
    found: State = "unknown" if signed is None else _living_state(not_after, now)
    return CertificateState(state=found, serial=serial, account_id=account_id)


def _living_state(not_after: datetime, now: datetime) -> State:
    return "good" if now <= not_after else "expired"


def find(
    tx: Session, *, account_id: str | None, search: str, limit: int, after: str, now: datetime
) -> list[CertificateRow]:
    """List certificates, newest first."""
    statement = (
        sa.select(CertificateRecord, SignedCertificate.fingerprint_sha256, Revocation)
        .outerjoin(SignedCertificate, SignedCertificate.certificate_id == CertificateRecord.id)
        .outerjoin(Revocation, Revocation.certificate_id == CertificateRecord.id)
        .order_by(CertificateRecord.id.desc())
        .limit(max(1, min(limit, 500)))
    )
    if account_id is not None:
        statement = statement.where(CertificateRecord.account_id == account_id)
    if search:
        columns = (CertificateRecord.common_name, CertificateRecord.organization, CertificateRecord.serial)
        statement = statement.where(sa.or_(*(column.icontains(search[:100], autoescape=True) for column in columns)))
    if after:
        edge = sa.select(CertificateRecord.id).where(CertificateRecord.serial == normal_serial(after)).scalar_subquery()
        statement = statement.where(CertificateRecord.id < edge)
    return [_row(*row, now=now) for row in tx.execute(statement)]


def _row(
    record: CertificateRecord, fingerprint: str | None, revocation: Revocation | None, *, now: datetime
) -> CertificateRow:
    state = "revoked" if revocation else "unsigned" if fingerprint is None else _living_state(record.not_after, now)
    return CertificateRow(
        serial=record.serial,
        profile=record.profile,
        common_name=record.common_name,
        organization=record.organization,
        account_id=record.account_id,
        not_before=record.not_before,
        not_after=record.not_after,
        recorded_at=record.recorded_at,
        requested_by=record.requested_by,
        approved_by=record.approved_by,
        state=state,
        reason=revocation.reason if revocation else "",
        revoked_at=revocation.revoked_at if revocation else None,
        fingerprint_sha256=fingerprint or "",
    )
