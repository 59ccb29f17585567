from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from secops import audit
from secops.audit import AuditRow
from secops.db import Database

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def write(db: Database, number: int = 5) -> list[int]:
    with db.begin() as tx:
        return [
            audit.record(
                tx, at=NOW + timedelta(seconds=i), actor=f"王{i}", action="ticket.close", target=f"ticket:{i}",
                tenant="city", reason="好", source_ip="::1", detail={"b": i, "a": ["x", None]},
            )
            for i in range(number)
        ]  # fmt: skip


def unlock(db: Database) -> None:
    """Do what somebody with the database's password can do: take the triggers away."""
    with db.begin() as tx:
        if db.engine.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                tx.execute(sa.text(f"DROP TRIGGER audit_no_{verb}"))
        else:
            tx.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER ALL"))


def broken(db: Database) -> list[int]:
    with db.read() as tx:
        return audit.broken_links(tx)


def test_a_whole_chain_has_no_broken_link_and_starts_at_the_beginning(db: Database) -> None:
    ids = write(db)
    assert broken(db) == []
    with db.read() as tx:
        found = audit.after(tx, 0, 100)
        assert [row.id for row in found] == ids
        assert found[0].previous == audit.GENESIS
        assert [row.previous for row in found[1:]] == [row.hash for row in found[:-1]]
        assert [row.id for row in audit.after(tx, ids[1], 2)] == ids[2:4]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "UPDATE audit SET actor = actor WHERE id = 1"],
)
def test_rows_refuse_to_be_changed_or_deleted(db: Database, statement: str) -> None:
    write(db)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
        tx.execute(sa.text(statement))
    assert broken(db) == []


def test_a_table_cannot_be_emptied_behind_the_triggers_back(db: Database) -> None:
    # SQLite's truncate optimisation must not skip the trigger
    statement = "DELETE FROM audit WHERE 1" if db.engine.dialect.name == "sqlite" else "TRUNCATE audit"
    write(db)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
        tx.execute(sa.text(statement))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", NOW - timedelta(days=1)),
        ("actor", "nobody"),
        ("action", "ticket.open"),
        ("outcome", "failure"),
        ("target", "ticket:9"),
        ("tenant", "water"),
        ("reason", ""),
        ("source_ip", "::2"),
        ("detail", {"b": 2, "a": ["x"]}),
        ("previous", "f" * 64),
        ("hash", "f" * 64),
    ],
)
def test_a_row_changed_with_the_triggers_away_shows(db: Database, column: str, value: Any) -> None:
    ids = write(db)
    unlock(db)
    with db.begin() as tx:
        tx.execute(sa.update(AuditRow).where(AuditRow.id == ids[2]).values({column: value}))
    assert broken(db)[0] == ids[2]


def test_a_row_taken_out_or_two_swapped_shows_where(db: Database) -> None:
    ids = write(db)
    unlock(db)
    with db.begin() as tx:
        tx.execute(sa.delete(AuditRow).where(AuditRow.id == ids[1]))
    assert broken(db) == [ids[2]]


def test_a_row_rewritten_with_a_fitting_hash_of_its_own_still_shows_in_the_next(db: Database) -> None:
    ids = write(db)
    unlock(db)
    with db.begin() as tx:
        row = tx.get_one(AuditRow, ids[1])
        row.actor = "nobody"
        row.hash = audit.digest(row)
    assert broken(db) == [ids[2]]


def test_details_are_hashed_by_value_whatever_the_database_does_to_their_order(db: Database) -> None:
    with db.begin() as tx:
        audit.record(tx, at=NOW, actor="a", action="a.b", detail={"z": 1.5, "a": {"y": True, "b": None}, "中": "文"})
    assert broken(db) == []


def test_long_and_odd_texts_are_kept_bounded_and_do_not_break_the_chain(db: Database) -> None:
    with db.begin() as tx:
        audit.record(
            tx, at=NOW, actor="x" * 999, action="login.failed", outcome="failure", target="名" * 999,
            reason="\u202e" * 999, source_ip="1" * 99, detail={"name": "😀" * 500},
        )  # fmt: skip
    assert broken(db) == []


@pytest.mark.parametrize("hostile", ["a\x00b", "\ud800"])
def test_a_text_no_database_takes_cannot_stop_an_audited_act(db: Database, hostile: str) -> None:
    with db.begin() as tx:
        audit.record(
            tx,
            at=NOW,
            actor=hostile,
            action="login.failed",
            target=hostile,
            reason=hostile,
            detail={"name": hostile, hostile: [hostile]},
        )
    assert broken(db) == []


def test_times_in_another_zone_do_not_break_the_chain(db: Database) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only here

    with db.begin() as tx:
        audit.record(tx, at=NOW.astimezone(ZoneInfo("Asia/Shanghai")), actor="a", action="a.b")
    assert broken(db) == []


def test_an_act_undone_leaves_no_row_and_no_gap_in_the_chain(db: Database) -> None:
    write(db, 2)
    with pytest.raises(ZeroDivisionError), db.begin() as tx:
        audit.record(tx, at=NOW, actor="a", action="a.b")
        raise ZeroDivisionError
    write(db, 1)
    assert broken(db) == []


def test_writers_at_once_make_one_chain(db: Database) -> None:
    together = threading.Barrier(3)

    def work() -> None:
        together.wait(10)
        for _ in range(10):
            with db.begin() as tx:
                audit.record(tx, at=NOW, actor="a", action="a.b")
                audit.record(tx, at=NOW, actor="a", action="a.c")

    writers = [threading.Thread(target=work) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert broken(db) == []
    with db.read() as tx:
        assert len(audit.after(tx, 0, 1000)) == 60


def test_a_check_that_finds_the_chain_broken_says_so_in_the_trail_and_heals_nothing(db: Database) -> None:
    write(db)
    unlock(db)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE audit SET actor = 'nobody' WHERE id = 2"))
    found = broken(db)
    assert found
    with db.begin() as tx:
        audit.report_broken(tx, [], at=NOW, actor="auditor")
        audit.report_broken(tx, found, at=NOW, actor="auditor")
    with db.read() as tx:
        row = audit.last(tx, "audit.verify")
        assert row is not None
        assert (row.actor, row.outcome, row.detail) == ("auditor", "failure", {"rows": found})
    assert broken(db) == found
