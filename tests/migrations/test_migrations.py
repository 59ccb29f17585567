"""The migrations make exactly the tables that the code describes, on both databases, and can run again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from secops import audit, lease, migrations, progress, searches, source_health, source_quotas, sources, uploads
from secops.alert import queries, silences
from secops.alert.find import Filter, search
from secops.db import Database
from secops.migrations.metadata import METADATAS
from secops.records import Level
from secops.rulebook import drafts, switches
from secops.store import retention_rules
from secops.upload_files import Kept


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    found = Database(url)
    yield found
    found.close()


def test_the_migrated_schema_is_the_described_one(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.read() as tx:
        context = MigrationContext.configure(tx.connection(), opts={"compare_type": True})
        assert compare_metadata(context, list(METADATAS)) == []


def test_upgrading_twice_changes_nothing_and_keeps_what_is_there(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.begin() as tx:
        audit.record(tx, at=datetime(2026, 11, 24, tzinfo=UTC), actor="a", action="test.act")
    migrations.upgrade(empty)
    with empty.read() as tx:
        assert audit.broken_links(tx) == []
        assert len(audit.after(tx, 0, 10)) == 1


def test_append_only_tables_refuse_change_after_migrating(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.begin() as tx:
        audit.record(tx, at=datetime(2026, 11, 24, tzinfo=UTC), actor="a", action="test.act")
    for statement in ("UPDATE audit SET actor = 'b'", "DELETE FROM audit WHERE id > 0"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), empty.begin() as tx:
            tx.execute(sa.text(statement))
    tables = {table.name for metadata in METADATAS for table in metadata.sorted_tables if table.info.get("append_only")}
    assert {"audit", "alert_events", "ticket_events", "ca_certificates", "ca_revocations"} <= tables


def test_the_rulebook_comes_to_a_database_that_holds_alerts_and_state(empty: Database) -> None:
    """0001 -> 0002: what the version before had stays, and decisions about its rules can be stored."""
    migrations.upgrade(empty, "0001")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with empty.begin() as tx:
        audit.record(tx, at=now, actor="a", action="test.act", target="rule:r1")
        progress.save_state(tx, "detect", {"r1:x": b"\x00window"})
        progress.advance(tx, "detect", 3, 1234)
    migrations.upgrade(empty, "0002")
    with empty.begin() as tx:
        switches.set_enabled(tx, rule_id="r1", tenant="", enabled=False, reason="noisy", actor="a", now=now)
        drafts.save(tx, rule_id="r1", text="title: x", actor="a", reason="new", now=now)
    with empty.read() as tx:
        assert progress.state(tx, "detect") == {"r1:x": b"\x00window"}
        assert progress.cursor(tx, "detect", 3) == 1234
        assert [row.action for row in audit.about(tx, ["rule:r1"])] == ["test.act", "rule.disable", "rule.draft"]
        assert audit.broken_links(tx) == []
    for statement in ("UPDATE rule_versions SET text = 'b'", "DELETE FROM rule_versions"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), empty.begin() as tx:
            tx.execute(sa.text(statement))


def test_alerts_of_the_version_before_keep_what_they_say_and_gain_severity(empty: Database) -> None:
    """0002 -> 0003: stored alerts count as announced, weigh what their rule says, and are found by their words."""
    migrations.upgrade(empty, "0002")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    columns = "tenant, rule_id, title, title_zh, level, status, fingerprint, first_seen, last_seen, created_at, count, group_values, event_ids, tags, clauses, runbook, service, disposition, resolution"
    values = ", ".join(f":{name.strip()}" for name in columns.split(","))
    row = dict.fromkeys((name.strip() for name in columns.split(",")), "") | {
        "tenant": "city",
        "rule_id": "ssh",
        "title": "SSH Brute Force",
        "title_zh": "暴力破解",
        "level": "high",
        "count": 7,
        "group_values": '{"host.name": "Web-01", "source.ip": "10.0.0.1"}',
        "event_ids": '["0-1"]',
        "tags": '["attack.t1110"]',
        "clauses": "[]",
        **dict.fromkeys(
            ("first_seen", "last_seen", "created_at"),
            now if empty.engine.name != "sqlite" else "2026-11-24 00:00:00.000000",
        ),
    }
    with empty.begin() as tx:
        for number in range(1500):
            status = "closed" if number == 0 else "open"
            tx.execute(
                sa.text(f"INSERT INTO alerts ({columns}) VALUES ({values})"),
                row | {"status": status, "fingerprint": f"{number}"},
            )
        first = tx.scalar(sa.text("SELECT min(id) FROM alerts"))
        for kind, hour in (("raised", 0), ("closed", 2)):
            at = now.replace(hour=hour) if empty.engine.name != "sqlite" else f"2026-11-24 {hour:02}:00:00.000000"
            event = {"alert": first, "at": at, "kind": kind}
            tx.execute(
                sa.text(
                    "INSERT INTO alert_events (alert_id, at, kind, actor, count, reason, data) VALUES (:alert, :at, :kind, 'a', 0, '', '{}')"
                ),
                event,
            )
    migrations.upgrade(empty)
    with empty.begin() as tx:
        found = search(tx, Filter(text="web-01 暴力"), limit=500)
        assert len(found) == 500, "the newest of all that fit"
        assert {(one.severity, one.hosts, one.muted_kind, one.announced_at, one.storm) for one in found} == {
            (Level.HIGH, ("Web-01",), "", now, False)
        }
        closed = queries.get(tx, first)
        assert (closed.closed_at, closed.count, dict(closed.fields)) == (now.replace(hour=2), 7, {})
        assert [line.kind for line in queries.history(tx, first)] == ["raised", "closed"]
        silences.add(
            tx,
            tenant="",
            matching=["rule = ssh"],
            starts_at=now,
            ends_at=now.replace(hour=1),
            reason="r",
            author="a",
            now=now,
        )


def test_retention_comes_to_a_database_of_the_version_before(empty: Database) -> None:
    """0004 -> 0005: what was stored stays; decisions can be stored and not be changed."""
    migrations.upgrade(empty, "0004")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with empty.begin() as tx:
        audit.record(tx, at=now, actor="a", action="test.act", target="retention:a")
        progress.advance(tx, "detect", 1, 77)
    migrations.upgrade(empty)
    with empty.begin() as tx:
        retention_rules.decide(tx, tenant="a", days=365, reason="r", actor="a", now=now)
    with empty.read() as tx:
        assert progress.cursor(tx, "detect", 1) == 77
        assert retention_rules.retention(tx, 184).by_tenant == {"a": 365}
        assert audit.broken_links(tx) == []
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), empty.begin() as tx:
        tx.execute(sa.text("DELETE FROM retention_rules"))


def test_leases_come_to_a_database_with_cursors_and_state(empty: Database) -> None:
    """0005 -> 0006: how far detection has come stays, and a machine can take its turn."""
    migrations.upgrade(empty, "0005")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with empty.begin() as tx:
        progress.advance(tx, "detect", 1, 77)
        progress.save_state(tx, "detect", {"r": b"x"})
    migrations.upgrade(empty)
    with empty.begin() as tx:
        held = lease.take(tx, "detect", "a", now)
        assert held is not None
        lease.keep(tx, held, now)
        assert progress.cursor(tx, "detect", 1) == 77
        assert progress.state(tx, "detect") == {"r": b"x"}


def test_uploads_come_to_a_database_with_an_audit_trail(empty: Database) -> None:
    """0006 -> 0007: what people did stays, and a file that is brought is told from one that was there before."""
    migrations.upgrade(empty, "0006")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with empty.begin() as tx:
        audit.record(tx, at=now, actor="a", action="login.success")
    migrations.upgrade(empty)
    kept, told = Kept("ab" * 32, 7), {"kind": "json", "columns": [], "rows": []}
    for new in (True, False):
        with empty.begin() as tx:
            row, fresh = uploads.register(
                tx, kept, tenant="north", name="a", told=told, reading=None, actor="a", machine="m", now=now
            )
            assert (row.tenant, row.state, fresh) == ("north", "queued", new)
    with empty.read() as tx:
        assert uploads.waiting(tx, "m") == {"north": 1}
        assert audit.broken_links(tx) == []


def test_sources_quotas_and_searches_come_to_a_database_that_holds_tokens(empty: Database) -> None:
    """0003 -> 0004: tokens go on working; sources, quotas and searches can be stored beside them."""
    migrations.upgrade(empty, "0003")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with empty.begin() as tx:
        token = sources.create_token(tx, tenant="north", name="edge", actor="a", now=now)
    migrations.upgrade(empty)
    stamp = "2026-11-24T00:00:00.000000Z"
    window = source_health.Window(events=3, received=stamp, newest=stamp, oldest=stamp)
    with empty.begin() as tx:
        assert sources.tenants_by_token(tx) == {hashlib.sha256(token.encode()).hexdigest(): "north"}
        source_health.record(tx, {("north", "syslog", "web-1"): window, ("north", "syslog", "web-2"): window}, 5.0)
        source_quotas.set_quota(tx, "north", source_quotas.Quota(10, 10**12), actor="a", now=now)
        source_quotas.add_usage(tx, {"north": source_quotas.Usage(events=3, bytes=10**12)}, now.date())
        searches.save(tx, owner="o", author="a", tenant="north", name="n", address="q=x", shared=True, now=now)
    with empty.begin() as tx:
        source_health.record(tx, {("north", "syslog", "web-1"): window}, 5.0)
    with empty.read() as tx:
        assert {row.host: row.events for row in source_health.find(tx, tenants=None)} == {"web-1": 6, "web-2": 3}
        assert [row.bytes for row in source_quotas.usage_of(tx, now.date())] == [10**12]
        assert [row.name for row in searches.visible(tx, owner="other", tenant="north")] == ["n"]
        assert not searches.visible(tx, owner="other", tenant="city")
        assert audit.broken_links(tx) == []
