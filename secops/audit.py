"""The append-only audit trail: who did what to what, from where, with which outcome.

Each row carries the hash of the row before it, so a row taken out or changed by somebody with access to the file shows.
The rows also flow through the pipeline as events (dataset ``secops.audit``), so rules run over them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops.db import APPEND_ONLY, Base

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GENESIS = "0" * 64
_LOCK = 0x5EC0_0001  # PostgreSQL advisory lock: one writer of the chain at a time


class AuditRow(Base):
    """One audited act; never changed, never deleted."""

    __tablename__ = "audit"
    __table_args__ = {"info": APPEND_ONLY, "sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(200))
    action: Mapped[str] = mapped_column(sa.String(100), index=True)
    outcome: Mapped[str] = mapped_column(sa.String(10))
    target: Mapped[str] = mapped_column(sa.String(500), index=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    reason: Mapped[str] = mapped_column(sa.String(500))
    source_ip: Mapped[str] = mapped_column(sa.String(64))
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(sa.String(64))
    hash: Mapped[str] = mapped_column(sa.String(64))


def record(  # one row has these columns
    tx: Session,
    *,
    at: datetime,
    actor: str,
    action: str,
    outcome: Literal["success", "failure"] = "success",
    target: str = "",
    tenant: str = "",
    reason: str = "",
    source_ip: str = "",
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Append one act in the caller's write transaction and give its id.

    ``action`` is ``noun.verb`` (``login.failed``, ``certificate.revoke``). ``detail`` must hold no secrets.
    """
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    previous = tx.scalar(sa.select(AuditRow.hash).order_by(AuditRow.id.desc()).limit(1)) or GENESIS
    row = AuditRow(
        at=at,
        actor=_text(actor)[:200],
        action=action,
        outcome=outcome,
        target=_text(target)[:500],
        tenant=tenant,
        reason=_text(reason)[:500],
        source_ip=_text(source_ip)[:64],
        detail=_clean(dict(detail or {})),
        previous=previous,
    )
    row.hash = digest(row)
    tx.add(row)
    tx.flush()
    return row.id


def _text(text: str) -> str:
    """Replace NUL and lone surrogates, which databases refuse: a hostile user name must not stop the audit of its failure."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _clean(value: Any) -> Any:  # noqa: ANN401 - JSON data
    match value:
        case str():
            return _text(value)
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value


def digest(row: AuditRow) -> str:
    """Hash what the row says together with the hash before it."""
    said = [
        row.at.astimezone(UTC).isoformat(),
        row.actor,
        row.action,
        row.outcome,
        row.target,
        row.tenant,
        row.reason,
        row.source_ip,
    ]
    body = orjson.dumps([row.previous, *said, row.detail], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()


def after(tx: Session, last_id: int, limit: int) -> Sequence[AuditRow]:
    """Give up to ``limit`` rows written after ``last_id``, oldest first."""
    return tx.scalars(sa.select(AuditRow).where(AuditRow.id > last_id).order_by(AuditRow.id).limit(limit)).all()


def about(tx: Session, targets: Sequence[str]) -> Sequence[AuditRow]:
    """Give the rows about any of ``targets``, oldest first."""
    return tx.scalars(sa.select(AuditRow).where(AuditRow.target.in_(targets)).order_by(AuditRow.id)).all()


def last(tx: Session, action: str) -> AuditRow | None:
    """Give the newest row of ``action``."""
    return tx.scalar(sa.select(AuditRow).where(AuditRow.action == action).order_by(AuditRow.id.desc()).limit(1))


def as_dict(row: AuditRow) -> dict[str, Any]:
    """Give what the row says, for JSON; without the links of the chain."""
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "actor": row.actor,
        "action": row.action,
        "outcome": row.outcome,
        "target": row.target,
        "tenant": row.tenant,
        "reason": row.reason,
        "source_ip": row.source_ip,
        "detail": row.detail,
    }


def broken_links(tx: Session) -> list[int]:
    """Give the ids of rows whose hash or link does not hold, oldest first; empty when the chain is whole."""
    broken, previous = [], GENESIS
    for row in tx.scalars(sa.select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)):
        if row.previous != previous or row.hash != digest(row):
            broken.append(row.id)
        previous = row.hash
    return broken


def report_broken(tx: Session, broken: Sequence[int], *, at: datetime, actor: str) -> None:
    """Append that a check found the chain broken, so that rules see it as well as the person who checked."""
    if broken:
        record(
            tx,
            at=at,
            actor=actor,
            action="audit.verify",
            outcome="failure",
            target="audit",
            reason=f"{len(broken)} rows do not hold",
            detail={"rows": list(broken[:100])},
        )
