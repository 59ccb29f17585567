"""Files that people bring: who brought which, how it is read, and what became of it.

A file's id is the SHA-256 of its bytes, so the same file is never stored twice for a tenant. The file lies in the state folder's
``uploads`` until the ingest role has read it; how far that is lies in the event log itself, with the events (the source
``upload:<tenant>``), so that a role that ends in the middle neither loses nor repeats one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops import audit
from secops.db import Base
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.upload_files import Kept

FOLDER: Final = "uploads"
SAMPLES: Final = 20  # of what was refused
LONGEST_NAME: Final = 200
DEFAULT_ZONE: Final = "Asia/Shanghai"


class UploadState(StrEnum):
    """Where a file stands."""

    MAPPING = "mapping"  # a table whose columns nobody has named yet
    QUEUED = "queued"
    READING = "reading"
    DONE = "done"
    FAILED = "failed"  # what was read before is stored
    DISCARDED = "discarded"


class UploadRow(Base):
    """One file of one tenant."""

    __tablename__ = "uploads"
    __table_args__ = (sa.UniqueConstraint("tenant", "sha256"), sa.Index("ix_uploads_state", "machine", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str] = mapped_column(sa.String(LONGEST_NAME))
    kind: Mapped[str] = mapped_column(sa.String(10))
    size: Mapped[int] = mapped_column(sa.BigInteger)  # bytes
    actor: Mapped[str] = mapped_column(sa.String(200))
    machine: Mapped[str] = mapped_column(sa.String(200))  # where the file lies
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(10))
    layout: Mapped[dict[str, Any]]  # see ``Reading``
    sample: Mapped[dict[str, Any]]  # of a table: columns, rows
    read: Mapped[int] = mapped_column(sa.BigInteger)  # messages that were found
    stored: Mapped[int] = mapped_column(sa.BigInteger)  # records that are durable, those kept as unreadable among them
    unread: Mapped[int] = mapped_column(sa.BigInteger)  # kept as they stood, as nobody could read them
    refused: Mapped[int] = mapped_column(sa.BigInteger)  # of which nothing could be kept
    reasons: Mapped[dict[str, Any]]  # reason -> number, of the unread and the refused
    samples: Mapped[dict[str, Any]]  # {"first": [{file, at, error, note}]}
    finished_at: Mapped[datetime | None]
    error_zh: Mapped[str] = mapped_column(sa.String(500))
    error_en: Mapped[str] = mapped_column(sa.String(500))

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return file_of(self.tenant, self.sha256)


class UploadTemplateRow(Base):
    """How a tenant's tables with one set of columns are read."""

    __tablename__ = "upload_templates"

    tenant: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    columns_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    layout: Mapped[dict[str, Any]]
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a table is read: which column is what (``@timestamp``, ``host.name``, ``message``, … -> column), and its times' zone."""

    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str = DEFAULT_ZONE
    header: bool = True
    delimiter: str = ""
    kind: str = ""  # what every file in it must be; "": each is told by its content

    def as_json(self) -> dict[str, Any]:
        """For the database."""
        return {**asdict(self), "columns": dict(self.columns)}


@dataclass(slots=True)
class Counts:
    """What a file held, so far."""

    read: int = 0
    stored: int = 0
    unread: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def bad(self, about: Mapping[str, Any], *, kept: bool) -> None:
        """Count what is no message; ``about`` is {file, at, error, note, count}."""
        number = int(about["count"])
        self.read += number
        self.reasons[str(about["error"])] += number
        if kept:
            self.unread += number
        else:
            self.refused += number
        if len(self.samples) < SAMPLES:
            self.samples.append({name: str(about[name])[:300] for name in ("file", "at", "error", "note")})


def register(  # one row has these columns
    tx: Session,
    kept: Kept,
    *,
    tenant: str,
    name: str,
    told: Mapping[str, Any],
    reading: Reading | None,
    kind: str = "",
    actor: str,
    machine: str,
    source_ip: str = "",
    now: datetime,
) -> tuple[UploadRow, bool]:
    """Take a file that lies in the folder; ``told`` is {kind, columns, rows}. Gives its row, and whether it is new.

    A file that is there already is told, not doubled; one that failed or was discarded is queued again and goes on where it ended.
    A table without a ``reading`` waits for one, unless the tenant has read such columns before.
    """
    row = find(tx, tenant, kept.sha256)
    known = reading or _template(tx, tenant, told) or (None if told["kind"] == "csv" else Reading(kind=kind))
    state = UploadState.MAPPING if known is None else UploadState.QUEUED
    again = {UploadState.FAILED, UploadState.DISCARDED, *([UploadState.MAPPING] if known else [])}
    if row is not None and row.state not in again:
        return row, False
    if row is None:
        row = UploadRow(
            tenant=tenant, sha256=kept.sha256, read=0, stored=0, unread=0, refused=0, reasons={}, samples={}
        )
        tx.add(row)
    elif row.stored:
        known, state = None, UploadState.QUEUED  # it goes on as it began
    row.name, row.kind, row.size, row.actor, row.machine = clean_name(name), told["kind"], kept.size, actor, machine
    row.received_at, row.state, row.finished_at, row.error_zh, row.error_en = now, state, None, "", ""
    row.sample = {"columns": told["columns"], "rows": told["rows"]}
    row.layout = known.as_json() if known is not None else (row.layout or {})
    tx.flush()
    _record(tx, row, "upload.receive", by=(actor, source_ip), now=now, detail={"size": kept.size, "kind": row.kind})
    return row, True


def choose(tx: Session, row: UploadRow, reading: Reading, *, actor: str, source_ip: str = "", now: datetime) -> None:
    """Say how a table is read, and remember it for the tenant's next one with the same columns.

    Raises:
        UserError: the file does not wait for that, or a column is none of its own.
    """
    if row.state != UploadState.MAPPING:
        raise UserError(
            "upload.state", f"上传 {row.id} 不在等待列映射的状态。", f"Upload {row.id} does not wait for its columns."
        )
    check(reading, row.sample["columns"])
    row.layout, row.state = reading.as_json(), UploadState.QUEUED
    tx.merge(
        UploadTemplateRow(
            tenant=row.tenant, columns_sha256=_key(row.sample["columns"]), layout=row.layout, actor=actor, at=now
        )
    )
    _record(tx, row, "upload.map", by=(actor, source_ip), now=now, detail=dict(row.layout))


def check(reading: Reading, columns: Sequence[str]) -> None:
    """Find out whether a table with these columns can be read so.

    Raises:
        UserError: it cannot.
    """
    for target, column in reading.columns.items():
        if column not in columns:
            raise UserError(
                "upload.column",
                f"{target} 所选的列 {column!r} 不在表中；表中的列：{', '.join(columns)[:300]}",
                f"{target} is to be column {column!r}, which the table does not have; it has {', '.join(columns)[:300]}",
            )


def discard(tx: Session, row: UploadRow, *, actor: str, source_ip: str = "", now: datetime) -> None:
    """Give up a file that is not being read; what was stored of it stays.

    Raises:
        UserError: it is being read, or is done.
    """
    if row.state not in {UploadState.MAPPING, UploadState.QUEUED}:
        raise UserError(
            "upload.state",
            f"上传 {row.id} 正在读取或已结束，不能放弃。",
            f"Upload {row.id} is being read or is over; it cannot be discarded.",
        )
    row.state, row.finished_at = UploadState.DISCARDED, now
    _record(tx, row, "upload.discard", by=(actor, source_ip), now=now, detail={})


def begin(tx: Session, row_id: int) -> UploadRow | None:
    """Take a queued file to read; None when it was discarded meanwhile."""
    row = tx.get(UploadRow, row_id, with_for_update=True)
    if row is None or row.state not in {UploadState.QUEUED, UploadState.READING}:
        return None
    row.state = UploadState.READING
    return row


def note(tx: Session, row_id: int, counts: Counts) -> None:
    """Store how far the reading is, for people to see."""
    row = tx.get_one(UploadRow, row_id)
    row.read, row.stored, row.unread, row.refused = counts.read, counts.stored, counts.unread, counts.refused
    row.reasons, row.samples = dict(counts.reasons), {"first": counts.samples}


def finish(tx: Session, row_id: int, counts: Counts, *, error: tuple[str, str] | None, now: datetime) -> None:
    """Store what became of a file; ``error`` (Chinese, English) says why it was not read to its end."""
    note(tx, row_id, counts)
    row = tx.get_one(UploadRow, row_id)
    row.state, row.finished_at = UploadState.DONE if error is None else UploadState.FAILED, now
    row.error_zh, row.error_en = (text[:500] for text in error or ("", ""))
    detail = {
        "read": row.read,
        "stored": row.stored,
        "unread": row.unread,
        "refused": row.refused,
        "reasons": row.reasons,
    }
    _record(tx, row, "upload.finish", by=(row.actor, ""), now=now, detail=detail, failed=row.error_en)


def find(tx: Session, tenant: str, sha256: str) -> UploadRow | None:
    """The tenant's upload of the file, if there is one."""
    return tx.scalar(sa.select(UploadRow).where(UploadRow.tenant == tenant, UploadRow.sha256 == sha256))


def listed(tx: Session, tenants: frozenset[str] | None, limit: int) -> Sequence[UploadRow]:
    """The newest uploads of these tenants; None: of all."""
    query = sa.select(UploadRow).order_by(UploadRow.id.desc()).limit(limit)
    return tx.scalars(query if tenants is None else query.where(UploadRow.tenant.in_(tenants))).all()


def get(tx: Session, row_id: int, tenants: frozenset[str] | None) -> UploadRow:
    """One upload.

    Raises:
        UserError: there is none, or it is of another tenant: the two look alike.
    """
    row = tx.get(UploadRow, row_id)
    if row is None or (tenants is not None and row.tenant not in tenants):
        raise UserError("upload.unknown", f"没有编号为 {row_id} 的上传。", f"No upload {row_id}.")
    return row


def waiting(tx: Session, machine: str) -> dict[str, int]:
    """The oldest file of each tenant that is to be read on this machine: tenant -> id."""
    open_states = (UploadState.QUEUED, UploadState.READING)
    query = (
        sa.select(UploadRow.tenant, sa.func.min(UploadRow.id))
        .where(UploadRow.machine == machine, UploadRow.state.in_(open_states))
        .group_by(UploadRow.tenant)
    )
    return {row[0]: row[1] for row in tx.execute(query)}


def needed(tx: Session, machine: str) -> set[str]:
    """The names of the files that are still to be read on this machine."""
    states = (UploadState.MAPPING, UploadState.QUEUED, UploadState.READING)
    query = sa.select(UploadRow).where(UploadRow.machine == machine, UploadRow.state.in_(states))
    return {row.file for row in tx.scalars(query)}


def file_of(tenant: str, sha256: str) -> str:
    """The name under which a tenant's file lies in the folder; two tenants may bring the same one."""
    return f"{sha256}.{mark_of(tenant)}"


def mark_of(tenant: str) -> str:
    """What the names of a tenant's files in the folder bear."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:16]


def known_zone(name: str) -> str:
    """``name`` when it is a zone's.

    Raises:
        UserError: it is none.
    """
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(
            "upload.zone",
            f"没有时区 {name[:60]!r}；例如 Asia/Shanghai、UTC。",
            f"There is no zone {name[:60]!r}; name one such as Asia/Shanghai or UTC.",
        ) from None


def mark(tx: Session) -> int:
    """A number that changes when an upload comes, goes on or ends."""
    open_states = (UploadState.QUEUED, UploadState.READING)
    newest = tx.scalar(sa.select(sa.func.max(UploadRow.id))) or 0
    count, read = tx.execute(
        sa.select(sa.func.count(), sa.func.sum(UploadRow.read)).where(UploadRow.state.in_(open_states))
    ).one()
    return int(newest) * 1_000_003 + int(read or 0) * 101 + int(count)


def clean_name(name: str) -> str:
    """A file's name without its folders and without what steers a terminal or cannot be stored."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:LONGEST_NAME] or "unnamed"


def _template(tx: Session, tenant: str, told: Mapping[str, Any]) -> Reading | None:
    row = tx.get(UploadTemplateRow, (tenant, _key(told["columns"]))) if told["columns"] else None
    return Reading(**row.layout) if row is not None else None


def _key(columns: Sequence[str]) -> str:
    return hashlib.sha256(orjson.dumps(list(columns))).hexdigest()


def _record(
    tx: Session,
    row: UploadRow,
    action: str,
    *,
    by: tuple[str, str],
    now: datetime,
    detail: Mapping[str, Any],
    failed: str = "",
) -> None:
    """``by`` is who and from which address."""
    audit.record(
        tx,
        at=now,
        actor=by[0],
        action=action,
        outcome="failure" if failed else "success",
        target=f"upload:{row.id}",
        tenant=row.tenant,
        reason=failed,
        source_ip=by[1],
        detail={"name": row.name, "sha256": row.sha256, **detail},
    )
