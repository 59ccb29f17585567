"""Which folders of rules were taken in, when, by whom, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from secops import audit
from secops.rulebook.tables import ImportRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One time that a folder was taken in."""

    id: int
    name: str
    tenant: str  # "": all
    source: str
    actor: str
    at: datetime
    counts: Mapping[str, int]  # files, rules, refused, added, changed, removed, skipped


def record(
    tx: Session, *, name: str, tenant: str, source: str, counts: Mapping[str, int], actor: str, now: datetime
) -> int:
    """Write down that a folder was taken in, audit it, and give the row's id."""
    row = ImportRow(name=name, tenant=tenant, source=source[:1000], actor=actor[:200], at=now, counts={**counts})
    tx.add(row)
    tx.flush()
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="rule.import",
        target=f"import:{name}",
        tenant=tenant,
        detail={"source": source[:1000], **counts},
    )
    return row.id


def all(tx: Session) -> list[Import]:  # noqa: A001 - read as imports.all(tx)
    """Give every import, the newest first."""
    return [_import(row) for row in tx.scalars(sa.select(ImportRow).order_by(ImportRow.id.desc()))]


def current(tx: Session) -> list[Import]:
    """Give the last import of each name, by name."""
    newest = sa.select(sa.func.max(ImportRow.id)).group_by(ImportRow.name)
    rows = tx.scalars(sa.select(ImportRow).where(ImportRow.id.in_(newest)).order_by(ImportRow.name))
    return [_import(row) for row in rows]


def _import(row: ImportRow) -> Import:
    return Import(
        id=row.id,
        name=row.name,
        tenant=row.tenant,
        source=row.source,
        actor=row.actor,
        at=row.at,
        counts=row.counts,
    )
