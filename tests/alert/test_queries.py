from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from secops.alert import queries
from secops.alert.find import Filter, search
from secops.alert.group import raise_alerts
from secops.alert.queries import Disposition
from secops.audit import AuditRow
from secops.db import Database
from secops.errors import UserError
from secops.records import Alert, AlertStatus, Level, Match, RuleInfo

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def seed(db: Database, number: int, *, tenant: str = "city", level: Level = Level.HIGH) -> list[Alert]:
    rules = {f"r{level}": RuleInfo(id=f"r{level}", title="t", title_zh="题", level=level)}
    group = [(("n", f"{tenant}{i}"),) for i in range(number)]
    matches = [Match(tenant=tenant, rule_id=f"r{level}", at=NOW, event_ids=("0-1",), group=g) for g in group]
    with db.begin() as tx:
        return raise_alerts(tx, matches, rules, NOW)


def test_pages_are_newest_first_without_gap_or_repeat(db: Database) -> None:
    seed(db, 7)
    seen: list[int] = []
    with db.read() as tx:
        while page := search(tx, Filter(), limit=3, before=seen[-1] if seen else None):
            seen += [alert.id for alert in page]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 7


def test_another_tenants_alert_can_neither_be_seen_nor_counted_nor_touched(db: Database) -> None:
    (mine,) = seed(db, 1, tenant="water")
    (other,) = seed(db, 1, tenant="health")
    water = frozenset({"water"})
    with db.begin() as tx:
        assert [alert.id for alert in search(tx, Filter(tenants=water))] == [mine.id]
        assert queries.counts(tx, tenants=water) == {(AlertStatus.OPEN, Level.HIGH): 1}
        assert search(tx, Filter(tenants=frozenset())) == []
        for attempt in (
            lambda: queries.get(tx, other.id, tenants=water),
            lambda: queries.acknowledge(tx, other.id, actor="a", now=NOW, tenants=water),
            lambda: queries.close(tx, other.id, actor="a", reason="r", now=NOW, tenants=water),
        ):
            with pytest.raises(UserError, match="that you may see"):
                attempt()


def test_filters_narrow_by_status_level_and_rule(db: Database) -> None:
    (high,) = seed(db, 1)
    seed(db, 2, level=Level.LOW)
    with db.begin() as tx:
        queries.acknowledge(tx, high.id, actor="wang", now=NOW)
        assert [a.id for a in search(tx, Filter(status=AlertStatus.ACKNOWLEDGED))] == [high.id]
        assert len(search(tx, Filter(level=Level.LOW))) == 2
        assert [a.id for a in search(tx, Filter(rule_id="rhigh"))] == [high.id]
        assert queries.counts(tx) == {(AlertStatus.ACKNOWLEDGED, Level.HIGH): 1, (AlertStatus.OPEN, Level.LOW): 2}


def test_acknowledging_and_closing_leave_history_and_audit(db: Database) -> None:
    (alert,) = seed(db, 1)
    with db.begin() as tx:
        queries.acknowledge(tx, alert.id, actor="wang", now=NOW, source_ip="10.1.1.1")
        later = NOW + timedelta(minutes=1)
        closed = queries.close(
            tx, alert.id, actor="wang", reason=" 规则过宽\x00 ", now=later, disposition=Disposition.FALSE_POSITIVE
        )
    assert (closed.status, closed.disposition, closed.resolution) == (AlertStatus.CLOSED, "false_positive", "规则过宽")
    with db.read() as tx:
        kinds = [(event.kind, event.actor, event.reason) for event in queries.history(tx, alert.id)]
        assert kinds[1:] == [("acknowledged", "wang", ""), ("closed", "wang", "规则过宽")]
        rows = tx.scalars(sa.select(AuditRow).order_by(AuditRow.id)).all()
        assert [(r.action, r.target, r.actor) for r in rows] == [
            ("alert.acknowledge", f"alert:{alert.id}", "wang"),
            ("alert.close", f"alert:{alert.id}", "wang"),
        ]
        assert rows[1].detail == {"disposition": "false_positive"}


def test_what_cannot_be_done_says_why_and_leaves_nothing(db: Database) -> None:
    (alert,) = seed(db, 1)
    with db.begin() as tx:
        with pytest.raises(UserError, match="needs a reason"):
            queries.close(tx, alert.id, actor="wang", reason=" \x00", now=NOW)
        queries.close(tx, alert.id, actor="wang", reason="done", now=NOW)
        for attempt in (queries.acknowledge, queries.close):
            with pytest.raises(UserError) as caught:
                attempt(tx, alert.id, actor="wang", reason="again", now=NOW)
            assert caught.value.code == "alert.status"
        with pytest.raises(UserError, match="no alert 999"):
            queries.get(tx, 999)
        assert [event.kind for event in queries.history(tx, alert.id)] == ["raised", "closed"]


def test_the_history_refuses_to_be_changed(db: Database) -> None:
    seed(db, 1)
    for statement in ("UPDATE alert_events SET kind = 'x'", "DELETE FROM alert_events"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
            tx.execute(sa.text(statement))


def test_exhibits_are_the_alert_and_its_history(db: Database) -> None:
    (alert,) = seed(db, 1)
    with db.read() as tx:
        files = {exhibit.path: json.loads(exhibit.content) for exhibit in queries.exhibits(tx, alert.id)}
    whole = files[f"alerts/{alert.id}/alert.json"]
    assert (whole["rule_id"], whole["first_seen"], whole["event_ids"]) == ("rhigh", "2026-11-24T08:00:00Z", ["0-1"])
    assert [line["kind"] for line in files[f"alerts/{alert.id}/history.json"]] == ["raised"]
