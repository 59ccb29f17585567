"""Decisions about rules: each is audited, has a reason, and outlives the rules' files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops import audit
from secops.db import Database, create_all
from secops.errors import UserError
from secops.migrations.metadata import METADATAS
from secops.rulebook import drafts, exceptions, generation, imports, stats, switches
from secops.rulebook.tables import ExceptionRow, VersionRow

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Count:
    hits: int = 0
    last_us: int = 0
    excepted: int = 0
    switched_off: int = 0


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def switch(db: Database, rule_id: str, tenant: str, *, enabled: bool, reason: str = "noisy") -> None:
    with db.begin() as tx:
        switches.set_enabled(tx, rule_id=rule_id, tenant=tenant, enabled=enabled, reason=reason, actor="wang", now=NOW)


def except_(db: Database, rule_id: str = "r1", expires_at: datetime | None = None, reason: str = "scanner") -> int:
    with db.begin() as tx:
        return exceptions.add(
            tx,
            rule_id=rule_id,
            tenant="county-a",
            condition="source.ip: 10.0.0.9",
            reason=reason,
            actor="wang",
            now=NOW,
            expires_at=expires_at,
        )


def test_a_rule_is_off_for_whom_it_was_switched_off_until_switched_on_again(db: Database) -> None:
    switch(db, "r1", "county-a", enabled=False)
    switch(db, "r2", "", enabled=False)
    switch(db, "r3", "county-b", enabled=False)
    switch(db, "r3", "county-b", enabled=True, reason="quiet now")
    with db.read() as tx:
        assert switches.off(tx) == {("county-a", "r1"), ("", "r2")}
        assert [(one.rule_id, one.enabled, one.reason) for one in switches.all(tx)] == [
            ("r1", False, "noisy"),
            ("r2", False, "noisy"),
            ("r3", True, "quiet now"),
        ]
        assert [one.tenant for one in switches.of(tx, "r1")] == ["county-a"]


def test_every_change_moves_the_generation_and_is_audited(db: Database) -> None:
    with db.read() as tx:
        assert generation.current(tx) == 0
    switch(db, "r1", "county-a", enabled=False)
    number = except_(db)
    with db.begin() as tx:
        exceptions.end(tx, number, actor="li", reason="gone", now=NOW)
    with db.read() as tx:
        assert generation.current(tx) == 3
        rows = audit.about(tx, ["rule:r1"])
        assert [(row.action, row.actor, row.reason, row.tenant) for row in rows] == [
            ("rule.disable", "wang", "noisy", "county-a"),
            ("rule.except", "wang", "scanner", "county-a"),
            ("rule.unexcept", "li", "gone", "county-a"),
        ]
        assert rows[1].detail["condition"] == "source.ip: 10.0.0.9"


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1001])
def test_nothing_is_decided_without_a_reason_that_can_be_read(db: Database, reason: str) -> None:
    with pytest.raises(UserError):
        switch(db, "r1", "", enabled=False, reason=reason)
    with pytest.raises(UserError):
        except_(db, reason=reason)
    with db.read() as tx:
        assert switches.all(tx) == []
        assert exceptions.all(tx) == []
        assert generation.current(tx) == 0


def test_an_exception_is_in_force_until_it_expires_or_is_ended(db: Database) -> None:
    lasting, passing, ended = except_(db), except_(db, expires_at=NOW + timedelta(days=1)), except_(db, "r2")
    with db.begin() as tx:
        exceptions.end(tx, ended, actor="li", reason="gone", now=NOW)
    with db.read() as tx:
        assert [one.id for one in exceptions.active(tx, NOW)] == [lasting, passing]
        assert [one.id for one in exceptions.active(tx, NOW + timedelta(days=1))] == [lasting]
        assert [one.id for one in exceptions.of(tx, "r1")] == [passing, lasting]
        gone = exceptions.get(tx, ended)
        assert (gone.ended_by, gone.end_reason, gone.active(NOW)) == ("li", "gone", False)
    with pytest.raises(UserError, match="in force"), db.begin() as tx:
        exceptions.end(tx, ended, actor="li", reason="again", now=NOW)


def test_exceptions_of_rules_that_are_gone_are_shown(db: Database) -> None:
    except_(db, "r1")
    lost = except_(db, "r-gone")
    with db.read() as tx:
        assert [one.id for one in exceptions.orphans(exceptions.active(tx, NOW), {"r1"})] == [lost]


@pytest.mark.parametrize(
    ("condition", "expires_at"), [("", None), ("x" * 20_000, None), ("a: b", NOW), ("a: b", NOW - timedelta(1))]
)
def test_an_exception_needs_a_condition_and_a_future(db: Database, condition: str, expires_at: datetime | None) -> None:
    with pytest.raises(UserError), db.begin() as tx:
        exceptions.add(
            tx, rule_id="r1", tenant="", condition=condition, reason="x", actor="w", now=NOW, expires_at=expires_at
        )


def test_statistics_add_up_and_keep_the_latest_hit(db: Database) -> None:
    early, late = us(NOW - timedelta(hours=2)), us(NOW - timedelta(hours=1))
    with db.begin() as tx:
        stats.add(tx, {("r1", "a"): Count(3, late), ("r1", "b"): Count(0, 0, 2, 1)}, NOW)
        stats.add_costs(tx, {"r1": (640, 1000)})
    with db.begin() as tx:
        stats.add(tx, {("r1", "a"): Count(2, early), ("r2", "a"): Count(1, us(NOW + timedelta(days=9)))}, NOW)
        stats.add_costs(tx, {"r1": (64, 100), "r3": (64, 5)})
    with db.read() as tx:
        found = stats.all(tx)
    assert (found["r1"].hits, found["r1"].by_tenant) == (5, {"a": 5, "b": 0})
    assert found["r1"].last_hit == NOW - timedelta(hours=1)
    assert (found["r1"].excepted, found["r1"].switched_off) == (2, 1)
    assert (found["r1"].evaluated, found["r1"].cpu_us) == (704, 1100)
    assert found["r2"].last_hit == NOW  # a clock that runs ahead does not make a rule match tomorrow
    assert (found["r3"].hits, found["r3"].evaluated) == (0, 64)
    seen = stats.visible(found["r1"], frozenset({"b"}))
    assert (seen.hits, seen.last_hit, seen.by_tenant) == (0, None, {"b": 0})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from(["r1", "r2"]), st.sampled_from(["a", "b"])),
            st.builds(Count, st.integers(0, 9), st.integers(1, 10**15), st.integers(0, 9), st.integers(0, 9)),
        ),
        max_size=6,
    )
)
def test_statistics_are_the_sum_of_what_was_counted(
    batches: list[dict[tuple[str, str], Count]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('sums') / 'own.db'}")
    create_all(database, METADATAS)
    try:
        for batch in batches:
            with database.begin() as tx:
                stats.add(tx, batch, NOW)
        with database.read() as tx:
            found = stats.all(tx)
    finally:
        database.close()
    for rule_id in ("r1", "r2"):
        counts = [one for batch in batches for (each, _), one in batch.items() if each == rule_id]
        stat = found.get(rule_id, stats.RuleStat())
        assert stat.hits == sum(one.hits for one in counts)
        assert stat.excepted == sum(one.excepted for one in counts)
        last = max((one.last_us for one in counts if one.hits), default=None)
        assert stat.last_hit == (None if last is None else EPOCH + timedelta(microseconds=last))


def test_every_text_of_a_rule_is_kept_and_the_published_one_is_its_file(db: Database, tmp_path: Path) -> None:
    folder = tmp_path / "console"
    with db.begin() as tx:
        drafts.save(tx, rule_id="r1", text="title: one\n", actor="wang", reason="new", now=NOW)
        second = drafts.save(tx, rule_id="r1", text="title: two\n", actor="li", reason="wider", now=NOW)
        assert drafts.running_version(tx, folder, "r1") is None
        path = drafts.publish(tx, folder, rule_id="r1", version=2, actor="li", reason="tested", now=NOW)
    assert second.version == 2
    assert path.read_text() == "title: two\n"
    with db.begin() as tx:
        assert drafts.running_version(tx, folder, "r1") == 2
        assert [one.text for one in drafts.versions(tx, "r1")] == ["title: two\n", "title: one\n"]
        assert [one.version for one in drafts.latest(tx)] == [2]
        drafts.publish(tx, folder, rule_id="r1", version=1, actor="li", reason="back", now=NOW)
        assert drafts.running_version(tx, folder, "r1") == 1
        path.write_text("title: by hand\n")
        assert drafts.running_version(tx, folder, "r1") == 0
        drafts.withdraw(tx, folder, rule_id="r1", actor="li", reason="useless", now=NOW)
    assert list(folder.iterdir()) == []
    with db.read() as tx:
        assert [row.action for row in audit.about(tx, ["rule:r1"])] == [
            "rule.draft",
            "rule.draft",
            "rule.publish",
            "rule.publish",
            "rule.withdraw",
        ]


@pytest.mark.parametrize("rule_id", ["", "../etc/passwd", "a/b", ".hidden", "a\0b", "x" * 200])
def test_an_id_never_leads_out_of_the_folder(db: Database, tmp_path: Path, rule_id: str) -> None:
    with pytest.raises(UserError), db.begin() as tx:
        drafts.save(tx, rule_id=rule_id, text="title: x", actor="w", reason="x", now=NOW)
    with pytest.raises(UserError):
        drafts.file_of(tmp_path, rule_id)


@pytest.mark.parametrize("text", ["x" * 1_000_001, "a\0b", "\ud800"])
def test_a_text_that_cannot_be_stored_is_refused(db: Database, text: str) -> None:
    with pytest.raises(UserError), db.begin() as tx:
        drafts.save(tx, rule_id="r1", text=text, actor="w", reason="x", now=NOW)


def test_versions_and_imports_cannot_be_rewritten(db: Database) -> None:
    with db.begin() as tx:
        drafts.save(tx, rule_id="r1", text="title: x", actor="w", reason="x", now=NOW)
        imports.record(tx, name="hq", tenant="", source="/rules", counts={"files": 2}, actor="w", now=NOW)
        imports.record(tx, name="hq", tenant="a", source="/rules", counts={"files": 3}, actor="w", now=NOW)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
        tx.execute(sa.update(VersionRow).values(text="other"))
    with db.read() as tx:
        assert [one.counts["files"] for one in imports.all(tx)] == [3, 2]
        assert [(one.name, one.tenant) for one in imports.current(tx)] == [("hq", "a")]
        assert [row.action for row in audit.about(tx, ["import:hq"])] == ["rule.import", "rule.import"]


def test_exceptions_of_one_tenant_leave_room_for_the_others(db: Database) -> None:
    stored = {"rule_id": "r1", "condition": "a: b", "reason": "x", "actor": "x", "created_at": NOW}
    with db.begin() as tx:
        rows = (ExceptionRow(tenant="county-a", **stored) for _ in range(exceptions.MAX_OF_RULE))
        tx.add_all(rows)
    with pytest.raises(UserError, match="exceptions in force"):
        except_(db)
    with db.begin() as tx:
        for tenant in ("county-b", ""):
            exceptions.add(
                tx, rule_id="r1", tenant=tenant, condition="a: b", reason="x", actor="x", now=NOW, expires_at=None
            )
