from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.alert import queries
from secops.alert.find import Filter, search
from secops.alert.group import BURIED_RULE, raise_alerts, raise_for_buried
from secops.alert.grouping import fingerprint
from secops.alert.tables import AlertEventRow, AlertRow
from secops.db import Database
from secops.outbox import Buried, OutboxRow
from secops.records import Alert, AlertStatus, Level, Match, RuleInfo

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
RULE = RuleInfo(
    id="ssh-brute-force",
    title="SSH brute force",
    title_zh="SSH 暴力破解",
    level=Level.HIGH,
    tags=("attack.t1110",),
    clauses=("8.1.5.4-f",),
    runbook="ssh.md",
    service="host-operations",
    window=timedelta(minutes=10),
    group_by=("source.ip",),
)
RULES = {RULE.id: RULE}


def match(
    minute: float = 0,
    ip: str = "10.0.0.1",
    *,
    tenant: str = "city",
    rule: str = RULE.id,
    event: str = "",
    count: int = 1,
) -> Match:
    ids = (event,) if event else ()
    return Match(
        tenant=tenant,
        rule_id=rule,
        at=NOW + timedelta(minutes=minute),
        event_ids=ids,
        group=(("source.ip", ip),),
        count=count,
    )


def raised(db: Database, *matches: Match, rules: dict[str, RuleInfo] = RULES, now: datetime = NOW) -> list[Alert]:
    with db.begin() as tx:
        return raise_alerts(tx, list(matches), rules, now)


def alerts(db: Database) -> list[Alert]:
    with db.read() as tx:
        return search(tx, Filter())


def test_five_matches_in_a_batch_are_one_alert_that_carries_the_rule(db: Database) -> None:
    (alert,) = raised(db, *(match(i, event=f"0-{i}") for i in range(5)))
    assert (alert.count, alert.event_ids) == (5, ("0-0", "0-1", "0-2", "0-3", "0-4"))
    assert (alert.first_seen, alert.last_seen) == (NOW, NOW + timedelta(minutes=4))
    assert (alert.title, alert.title_zh, alert.level, alert.service) == (
        RULE.title,
        RULE.title_zh,
        RULE.level,
        RULE.service,
    )
    assert (alert.tags, alert.clauses, alert.runbook, dict(alert.group)) == (
        RULE.tags,
        RULE.clauses,
        RULE.runbook,
        {"source.ip": "10.0.0.1"},
    )
    assert (alert.status, alert.created_at) == (AlertStatus.OPEN, NOW)


def test_a_new_alert_is_announced_once_and_a_joining_match_is_not(db: Database) -> None:
    (alert,) = raised(db, match())
    assert raised(db, match(5), match(12)) == []
    with db.read() as tx:
        assert [(row.kind, row.body) for row in tx.scalars(sa.select(OutboxRow))] == [
            ("Raised", {"alert_id": alert.id})
        ]
        assert [(e.kind, e.count) for e in queries.history(tx, alert.id)] == [("raised", 1), ("joined", 2)]
        assert queries.get(tx, alert.id).count == 3


def test_the_window_counts_from_the_last_match_and_its_edge_is_inside(db: Database) -> None:
    raised(db, match(0))
    assert raised(db, match(10)) == []
    assert len(raised(db, match(20.0001))) == 1


def test_one_batch_that_spans_more_than_a_window_is_two_alerts(db: Database) -> None:
    assert [a.count for a in raised(db, match(30), match(0), match(1), match(31), match(32))] == [2, 3]


def test_an_event_that_comes_late_joins_and_moves_the_beginning(db: Database) -> None:
    (alert,) = raised(db, match(0))
    assert raised(db, match(-5)) == []
    with db.read() as tx:
        assert queries.get(tx, alert.id).first_seen == NOW - timedelta(minutes=5)
    assert len(raised(db, match(-60))) == 1


def test_rule_tenant_and_group_values_each_make_an_alert_of_their_own(db: Database) -> None:
    found = raised(db, match(), match(ip="10.0.0.2"), match(tenant="water"), match(rule="other"))
    assert len({alert.fingerprint for alert in found}) == len(found) == 4


def test_a_match_joins_an_acknowledged_alert_but_not_a_closed_one(db: Database) -> None:
    (alert,) = raised(db, match())
    with db.begin() as tx:
        queries.acknowledge(tx, alert.id, actor="wang", now=NOW)
    assert raised(db, match(1)) == []
    with db.begin() as tx:
        queries.close(tx, alert.id, actor="wang", reason="误报", now=NOW)
    assert len(raised(db, match(2))) == 1


def test_a_rule_that_feeds_a_correlation_only_raises_nothing(db: Database) -> None:
    assert raised(db, match(), rules={RULE.id: RuleInfo(id=RULE.id, title="x", level=Level.LOW, alert=False)}) == []
    assert alerts(db) == []


def test_a_rule_that_was_unloaded_meanwhile_still_raises(db: Database) -> None:
    (alert,) = raised(db, match(rule="gone"), rules={})
    assert (alert.title, alert.level) == ("gone", Level.MEDIUM)


def test_the_first_hundred_event_ids_are_kept_and_all_are_counted(db: Database) -> None:
    raised(db, *(match(event=f"0-{i}") for i in range(90)))
    raised(db, *(match(event=f"0-{i}", count=3) for i in range(80, 130)))
    (alert,) = alerts(db)
    assert alert.event_ids == tuple(f"0-{i}" for i in range(100))
    assert alert.count == 90 + 150


def test_hostile_group_values_are_stored_bounded_and_never_collide(db: Database) -> None:
    long = "x" * 100_000
    found = raised(db, match(ip=long), match(ip=long + "y"), match(ip="\ud800\x00'\"; DROP TABLE alerts"))
    assert len({alert.fingerprint for alert in found}) == 3
    assert max(len(alert.group["source.ip"]) for alert in alerts(db)) == 1000
    with db.read() as tx:
        assert all(queries.exhibits(tx, alert.id) for alert in found)


def test_group_order_does_not_matter_and_borders_between_values_do() -> None:
    assert fingerprint("r", "t", [("a", "1"), ("b", "2")]) == fingerprint("r", "t", [("b", "2"), ("a", "1")])
    assert fingerprint("r", "t", [("a", "1b")]) != fingerprint("r", "t", [("a1", "b")])
    assert fingerprint("rt", "", []) != fingerprint("r", "t", [])


def test_a_hundred_thousand_matches_are_one_row_and_few_statements(db: Database) -> None:
    said: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    (alert,) = raised(db, *(match(i / 100_000, event=f"0-{i}") for i in range(100_000)))
    assert alert.count == 100_000
    assert len(said) <= 8, said


def test_two_detectors_at_once_raise_one_alert(db: Database) -> None:
    together = threading.Barrier(2)

    def detect() -> None:
        together.wait(10)
        raised(db, match())

    threads = [threading.Thread(target=detect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [alert.count for alert in alerts(db)] == [2]


def test_a_buried_message_raises_an_alert_on_the_service_itself(db: Database) -> None:
    for number in (7, 8):
        with db.begin() as tx:
            raise_for_buried(tx, Buried(outbox_id=number, kind="Raised", error="ValueError()"), NOW)
    (alert,) = alerts(db)
    assert (alert.rule_id, alert.tenant, alert.count) == (BURIED_RULE.id, "city", 2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 90), st.sampled_from("ab")), max_size=12), min_size=1, max_size=5
    )
)
def test_no_match_is_lost_and_alerts_of_one_batch_lie_further_apart_than_the_window(
    db: Database, batches: list[list[tuple[int, str]]]
) -> None:
    with db.begin() as tx:
        tx.execute(sa.update(AlertRow).values(status="closed"))
    before = {alert.id for alert in alerts(db)}
    fresh = [alert for batch in batches for alert in raised(db, *(match(minute, ip) for minute, ip in batch))]
    with db.read() as tx:
        found = tx.scalars(sa.select(AlertRow).where(AlertRow.status != "closed")).all()
        assert sum(row.count for row in found) == sum(len(batch) for batch in batches)
        joined = sa.select(sa.func.sum(AlertEventRow.count)).where(
            AlertEventRow.alert_id.in_([row.id for row in found])
        )
        assert (tx.scalar(joined) or 0) == sum(row.count for row in found)
    assert {row.id for row in found} == {alert.id for alert in fresh}
    assert not before & {alert.id for alert in fresh}
    if len(batches) == 1:
        assert len(found) == _runs_of(batches[0])


def _runs_of(batch: list[tuple[int, str]]) -> int:
    runs = 0
    for ip in "ab":
        minutes = sorted(minute for minute, each in batch if each == ip)
        runs += sum(
            not any(earlier != minute and 0 < minute - earlier <= 10 for earlier in minutes) for minute in set(minutes)
        )
    return runs
