"""What people decided about rules, kept apart from the rules' files, so that an update of the files leaves it alone."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from secops.db import APPEND_ONLY, Base

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
RULE_ID = sa.String(200)
TENANT = sa.String(100)


class SwitchRow(Base):
    """Whether a rule runs for a tenant; no row means that it does. Tenant "" stands for all."""

    __tablename__ = "rule_switches"

    rule_id: Mapped[str] = mapped_column(RULE_ID, primary_key=True)
    tenant: Mapped[str] = mapped_column(TENANT, primary_key=True)
    enabled: Mapped[bool]
    reason: Mapped[str] = mapped_column(sa.String(1000))
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]


class ExceptionRow(Base):
    """Events that a rule is not to report; it ends by itself, by a person, or never."""

    __tablename__ = "rule_exceptions"
    __table_args__ = (
        sa.Index("ix_rule_exceptions_rule_id", "rule_id"),
        {"sqlite_autoincrement": True},  # an id that the audit trail names is never given out twice
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    rule_id: Mapped[str] = mapped_column(RULE_ID)
    tenant: Mapped[str] = mapped_column(TENANT)  # "": all
    condition: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.String(1000))
    actor: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(sa.String(200), default="")
    end_reason: Mapped[str] = mapped_column(sa.String(1000), default="")


class VersionRow(Base):
    """One text that a rule written in the console has had."""

    __tablename__ = "rule_versions"
    __table_args__ = (
        sa.UniqueConstraint("rule_id", "version"),
        {"info": APPEND_ONLY, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    rule_id: Mapped[str] = mapped_column(RULE_ID)
    version: Mapped[int]
    text: Mapped[str] = mapped_column(sa.Text)
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(sa.String(1000))


class ImportRow(Base):
    """One time that a folder of rules was taken in."""

    __tablename__ = "rule_imports"
    __table_args__ = (
        sa.Index("ix_rule_imports_name_id", "name", "id"),
        {"info": APPEND_ONLY, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    tenant: Mapped[str] = mapped_column(TENANT)  # "": all
    source: Mapped[str] = mapped_column(sa.String(1000))
    actor: Mapped[str] = mapped_column(sa.String(200))
    at: Mapped[datetime]
    counts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)  # files, rules, refused, added, changed, removed, skipped


class StatRow(Base):
    """How often a rule was met in a tenant's events, and when last."""

    __tablename__ = "rule_stats"

    rule_id: Mapped[str] = mapped_column(RULE_ID, primary_key=True)
    tenant: Mapped[str] = mapped_column(TENANT, primary_key=True)
    hits: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    excepted: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    switched_off: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    last_hit: Mapped[datetime | None]  # event time


class CostRow(Base):
    """What a rule's evaluation cost, reckoned from samples."""

    __tablename__ = "rule_costs"

    rule_id: Mapped[str] = mapped_column(RULE_ID, primary_key=True)
    evaluated: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    cpu_us: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class GenerationRow(Base):
    """Counts changes of switches and exceptions, so that the matcher sees with one look that there are any."""

    __tablename__ = "rule_generation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # always 1
    generation: Mapped[int] = mapped_column(sa.BigInteger)
