"""Searches that people keep: their own, and those that they share with their tenant."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from secops import audit
from secops.db import Base
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 200  # of one person
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class SearchRow(Base):
    """One search as its address says it."""

    __tablename__ = "saved_searches"
    __table_args__ = (sa.Index("ix_saved_searches_owner", "owner"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_BIG, primary_key=True)
    owner: Mapped[str] = mapped_column(sa.String(100))  # account id
    author: Mapped[str] = mapped_column(sa.String(200))  # the owner's user name
    tenant: Mapped[str] = mapped_column(sa.String(100))
    name: Mapped[str] = mapped_column(sa.String(100))
    address: Mapped[str] = mapped_column(sa.String(4000))  # query string of the events page
    shared: Mapped[bool]
    created_at: Mapped[datetime]


def save(
    tx: Session, *, owner: str, author: str, tenant: str, name: str, address: str, shared: bool, now: datetime
) -> SearchRow:
    """Keep a search.

    Raises:
        UserError: it has no name, or the person keeps too many already.
    """
    _check_name(name)
    count = sa.select(sa.func.count()).select_from(SearchRow).where(SearchRow.owner == owner)
    if (tx.scalar(count) or 0) >= MOST:
        raise UserError(
            "search.many",
            f"每人最多保存 {MOST} 条搜索；请先删除不用的。",
            f"A person keeps at most {MOST} searches; delete some first.",
        )
    row = SearchRow(
        owner=owner,
        author=author,
        tenant=tenant,
        name=name[:100],
        address=address[:4000],
        shared=shared,
        created_at=now,
    )
    tx.add(row)
    _audit(tx, "search.saved", row, author, now)
    return row


def visible(tx: Session, *, owner: str, tenant: str) -> Sequence[SearchRow]:
    """A person's own searches and those that others of his tenant share, by name."""
    mine = sa.or_(SearchRow.owner == owner, sa.and_(SearchRow.shared, SearchRow.tenant == tenant))
    return tx.scalars(sa.select(SearchRow).where(mine).order_by(SearchRow.name, SearchRow.id).limit(2 * MOST)).all()


def rename(tx: Session, search_id: int, name: str, *, shared: bool, owner: str, now: datetime) -> None:
    """Name one's own search anew, and say whether it is shared.

    Raises:
        UserError: it is not there or somebody else's, or the name is empty.
    """
    _check_name(name)
    row = _own(tx, search_id, owner)
    row.name, row.shared = name[:100], shared
    _audit(tx, "search.renamed", row, row.author, now)


def delete(tx: Session, search_id: int, *, owner: str, now: datetime) -> None:
    """Delete one's own search.

    Raises:
        UserError: it is not there, or somebody else's.
    """
    row = _own(tx, search_id, owner)
    _audit(tx, "search.deleted", row, row.author, now)
    tx.delete(row)


def _own(tx: Session, search_id: int, owner: str) -> SearchRow:
    row = tx.get(SearchRow, search_id)
    if row is None or row.owner != owner:
        raise UserError(
            "search.unknown",
            "没有这条由您保存的搜索。",
            "You keep no such search; only who saved one may change it.",
        )
    return row


def _check_name(name: str) -> None:
    if not name.strip() or "\x00" in name:
        raise UserError("search.name", "请填写名称。", "Give the search a name.")


def _audit(tx: Session, action: str, row: SearchRow, actor: str, now: datetime) -> None:
    audit.record(
        tx, at=now, actor=actor, action=action, target=row.name, tenant=row.tenant, detail={"shared": row.shared}
    )
