"""A rule storm: one rule, thousands of alerts an hour. Bounded alerts, bounded time, nothing lost."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from secops.alert import queries, silences
from secops.alert.controls import Controls
from secops.alert.find import Filter, search, storm_parts
from secops.alert.group import raise_alerts
from secops.alert.tables import AlertEventRow, AlertRow
from secops.db import Database
from secops.outbox import OutboxRow
from secops.records import Alert, Level, Match, RuleInfo

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
LIMIT = 20
CONTROLS = Controls(storm_alerts=LIMIT)
RULES = {name: RuleInfo(id=name, title=name.title(), title_zh="扫描", level=Level.MEDIUM) for name in ("scan", "other")}


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def match(number: int, *, rule: str = "scan", tenant: str = "city", at: datetime = NOW) -> Match:
    return Match(
        tenant=tenant, rule_id=rule, at=at, event_ids=(f"0-{number}",), group=(("source.ip", address(number)),)
    )


def raised(db: Database, matches: list[Match], now: datetime = NOW, controls: Controls = CONTROLS) -> list[Alert]:
    with db.begin() as tx:
        return raise_alerts(tx, matches, RULES, now, controls)


def storms(db: Database) -> list[Alert]:
    with db.read() as tx:
        return [one for one in search(tx, Filter(), limit=500) if one.storm]


def test_thirty_thousand_matches_in_an_hour_are_few_alerts_in_bounded_time_and_every_one_is_found(db: Database) -> None:
    begun = time.perf_counter()
    for batch in range(60):
        at = NOW + timedelta(minutes=batch)
        raised(db, [match(batch * 500 + i, at=at) for i in range(500)], now=at)
    took = time.perf_counter() - begun
    with db.read() as tx:
        alerts = tx.scalar(sa.select(sa.func.count()).select_from(AlertRow))
        told = tx.scalar(sa.select(sa.func.count()).select_from(OutboxRow))
        parts = [
            part
            for row in tx.scalars(sa.select(AlertEventRow).where(AlertEventRow.kind == "storm"))
            for part in row.data["parts"]
        ]
        counted = tx.scalar(sa.select(sa.func.sum(AlertEventRow.count)))
    assert alerts == told == LIMIT + 1
    assert counted == 30_000
    assert {part["event_ids"][0] for part in parts} == {f"0-{i}" for i in range(LIMIT, 30_000)}
    (storm,) = storms(db)
    assert (storm.count, storm.title_zh, storm.runbook) == (30_000 - LIMIT, "规则风暴：扫描", "alert-noise.md")
    assert took < 30, f"{took:.1f} s"
    with db.read() as tx:
        for number in (5, 17_000, 29_999):
            (found,) = [one for one in search(tx, Filter(text=address(number))) if one.storm or one.count == 1][:1]
            assert number < LIMIT or [
                part["event_ids"]
                for part in storm_parts(tx, found.id, text=f'"{address(number)}"'.strip('"'))
                if part["group"]["source.ip"] == address(number)
            ] == [[f"0-{number}"]]


def test_one_batch_alone_can_make_a_storm(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    (storm,) = storms(db)
    assert storm.count == 5


def test_rules_and_tenants_do_not_use_up_each_others_room(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    raised(db, [match(1, rule="other"), match(2, tenant="north")])
    assert [(one.rule_id, one.tenant) for one in storms(db)] == [("scan", "city")]


def test_a_fingerprint_that_has_its_own_alert_goes_on_joining_it(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    raised(db, [match(0)])
    (storm,) = storms(db)
    assert storm.count == 5
    with db.read() as tx:
        assert max(one.count for one in search(tx, Filter(text=address(0))) if not one.storm) == 2


def test_invented_times_in_messages_make_no_more_alerts(db: Database) -> None:
    for day in range(LIMIT * 3):
        raised(db, [match(day, at=NOW - timedelta(days=400 * day))])
    assert len(storms(db)) == 1


def test_after_an_hour_alerts_stand_alone_again(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    later = NOW + timedelta(hours=1)
    raised(db, [match(900, at=later)], now=later)
    with db.read() as tx:
        assert [one.storm for one in search(tx, Filter(text=address(900)))] == [False]


def test_a_closed_storm_is_followed_by_another(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    (storm,) = storms(db)
    with db.begin() as tx:
        queries.close(tx, storm.id, actor="w", reason="规则已改", now=NOW)
    raised(db, [match(77)])
    assert [one.count for one in storms(db)] == [1, 5]


def test_silenced_alerts_leave_the_room_to_those_that_are_to_be_heard(db: Database) -> None:
    with db.begin() as tx:
        silences.add(
            tx,
            tenant="",
            matching=["source.ip ~ 10.0.*"],
            starts_at=NOW,
            ends_at=NOW + timedelta(hours=1),
            reason="r",
            author="a",
            now=NOW,
        )
    raised(db, [match(i) for i in range(LIMIT * 2)])
    (loud,) = raised(db, [match(1 << 17)])
    assert (loud.storm, loud.muted_kind) == (False, "")
    (storm,) = storms(db)
    assert (storm.muted_kind, storm.announced_at, storm.count) == ("silence", None, LIMIT)
    raised(db, [match(i) for i in range(LIMIT * 2, LIMIT * 3)])
    assert [one.count for one in storms(db)] == [LIMIT * 2]
    with db.read() as tx:
        assert [row.body["alert_id"] for row in tx.scalars(sa.select(OutboxRow))] == [loud.id]


def test_nought_switches_it_off(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT * 2)], controls=Controls())
    assert storms(db) == []


@pytest.mark.parametrize("text", ["10.0.0.24", "0-24"])
def test_parts_are_searched_and_paged(db: Database, text: str) -> None:
    for batch in range(3):
        raised(db, [match(i) for i in range(batch * 20, batch * 20 + 20)])
    (storm,) = storms(db)
    with db.read() as tx:
        assert [part["event_ids"] for part in storm_parts(tx, storm.id, text=text)] == [["0-24"]]
        first = storm_parts(tx, storm.id, limit=1)
        rest = storm_parts(tx, storm.id, before=first[-1]["line"])
        assert len(first) + len(rest) == storm.count == 40


def test_what_joined_goes_into_evidence(db: Database) -> None:
    raised(db, [match(i) for i in range(LIMIT + 5)])
    (storm,) = storms(db)
    with db.read() as tx:
        files = {exhibit.path: json.loads(exhibit.content) for exhibit in queries.exhibits(tx, storm.id)}
    joined = files[f"alerts/{storm.id}/joined.json"]
    assert [part["event_ids"] for part in joined] == [[f"0-{i}"] for i in range(LIMIT, LIMIT + 5)]
