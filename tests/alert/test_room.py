"""What one tenant's people make uses up no other tenant's room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from secops.alert import maintenance, silences
from secops.alert.maintenance import Plan
from secops.alert.standing import MOST
from secops.alert.tables import MaintenanceRow, SilenceRow
from secops.db import Database
from secops.errors import UserError

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
STORED = {"reason": "x", "author": "north", "created_at": NOW, "starts_at": NOW, "ends_at": SOON, "tenant": "north"}


def silence(db: Database, tenant: str) -> int:
    with db.begin() as tx:
        return silences.add(
            tx, tenant=tenant, matching=["rule = r"], starts_at=NOW, ends_at=SOON, reason="x", author="x", now=NOW
        )


def announce(db: Database, tenant: str) -> int:
    plan = Plan(tenant=tenant, hosts=["h"], change="C-1", reason="x", starts_at=NOW, ends_at=SOON)
    with db.begin() as tx:
        return maintenance.add(tx, plan, author="x", now=NOW)


def test_silences_of_one_tenant_leave_room_for_the_others(db: Database) -> None:
    with db.begin() as tx:
        tx.add_all(SilenceRow(matchers=["rule = r"], **STORED) for _ in range(MOST))
    with pytest.raises(UserError, match="end some first"):
        silence(db, "north")
    assert silence(db, "south")
    assert silence(db, "")


def test_windows_of_one_tenant_leave_room_for_the_others(db: Database) -> None:
    more = {"hosts": ["h"], "change": "C", "repeat": "once", "days": [], "opens": "", "closes": ""}
    with db.begin() as tx:
        tx.add_all(MaintenanceRow(**more, **STORED) for _ in range(MOST))
    with pytest.raises(UserError, match="end some first"):
        announce(db, "north")
    assert announce(db, "south")
    assert announce(db, "")
