"""Silences: made, ended early, listed; every act is audited, and an ended one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops.alert import matchers
from secops.alert.mute import Silence
from secops.alert.queries import subject_of, to_record
from secops.alert.standing import SHOWN, Kind
from secops.alert.tables import AlertRow, SilenceRow
from secops.alert.words import reason_needed, span_checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from secops.records import Alert

LONGEST: Final = timedelta(days=90)
PREVIEWED: Final = 5000
SAMPLES: Final = 20
KIND: Final = Kind(row=SilenceRow, code="silence", zh="静默", en="silence", audited=("matchers",))


def add(
    tx: Session,
    *,
    tenant: str,
    matching: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    author: str,
    now: datetime,
    source_ip: str = "",
) -> int:
    """Silence what all of ``matching`` (texts, see ``matchers``) hold of; ``tenant`` "" is every tenant. Gives its id.

    Raises:
        UserError: ``alert.matcher``, ``alert.span`` (not in the future, or longer than 90 days), ``alert.reason``, ``alert.many``.
    """
    read = matchers.read_all(matching)
    span_checked(starts_at, ends_at, now, LONGEST)
    row = SilenceRow(
        tenant=tenant,
        matchers=[str(one) for one in read],
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason_needed(reason),
        author=author[:200],
        created_at=now,
    )
    return KIND.add(tx, row, now=now, source_ip=source_ip)


def end(
    tx: Session,
    silence_id: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenants: frozenset[str] | None = None,
    source_ip: str = "",
) -> None:
    """End a silence now, or call one off that has not begun.

    Raises:
        UserError: ``silence.unknown``, ``silence.over``, ``alert.reason``.
    """
    row = KIND.get(tx, silence_id, tenants)
    KIND.end(tx, row, actor=actor, reason=reason, now=now, source_ip=source_ip)


def get(tx: Session, silence_id: int, *, tenants: frozenset[str] | None = None) -> SilenceRow:
    """Give a silence; ``tenants`` None sees all.

    Raises:
        UserError: ``silence.unknown``.
    """
    return KIND.get(tx, silence_id, tenants)


def active(tx: Session, now: datetime) -> list[Silence]:
    """Give the silences that hold at ``now``, for decisions."""
    return [decided_by(row) for row in KIND.active(tx, now)]


def all(tx: Session, *, tenants: frozenset[str] | None = None, limit: int = SHOWN) -> list[SilenceRow]:  # noqa: A001 - read as silences.all
    """Give silences, the newest first, expired ones included; ``tenants`` None sees all."""
    return KIND.all(tx, tenants, limit)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a silence would have muted."""

    alerts: int
    events: int
    looked_at: int  # alerts; the newest ``PREVIEWED`` when there were more
    samples: tuple[Alert, ...]


def preview(
    tx: Session, *, tenant: str, matching: Sequence[str], tenants: frozenset[str] | None, now: datetime
) -> Preview:
    """Hold the matchers against the alerts of the last 24 hours that the asker may see.

    Raises:
        UserError: ``alert.matcher``.
    """
    read = matchers.read_all(matching)
    query = sa.select(AlertRow).where(AlertRow.last_seen >= now - timedelta(days=1))
    if tenants is not None:
        query = query.where(AlertRow.tenant.in_(sorted(tenants)))
    if tenant:
        query = query.where(AlertRow.tenant == tenant)
    rows = tx.scalars(query.order_by(AlertRow.id.desc()).limit(PREVIEWED)).all()
    held = [row for row in rows if matchers.all_hold(read, subject_of(row))]
    return Preview(
        len(held), sum(row.count for row in held), len(rows), tuple(to_record(row) for row in held[:SAMPLES])
    )


def decided_by(row: SilenceRow) -> Silence:
    """Give the row as decisions see it."""
    return Silence(
        id=row.id,
        tenant=row.tenant,
        matchers=matchers.from_store(row.matchers),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        author=row.author,
    )
