from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secops.audit import AuditRow, broken_links
from secops.db import Database
from secops.errors import UserError
from secops.records import Alert, AlertStatus, Level, Ticket, TicketState
from secops.ticket import desk
from secops.ticket.calendar_file import load_calendar
from secops.ticket.clock import TargetState
from secops.ticket.policy import Policy, load_policy
from secops.ticket.services import Catalogue, load_catalogue
from secops.ticket.tables import TicketRow

RULES = Path(__file__).parents[2] / "rules"
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)  # a Tuesday, 10:00 in Shanghai
CALENDAR = load_calendar([RULES / "calendar"])
CATALOGUE = load_catalogue([RULES / "services"])
POLICY = load_policy([RULES / "ticket"], CATALOGUE)
UNTIL = (NOW + timedelta(hours=5)).isoformat()


def with_provider(name: str) -> Policy:
    service = replace(CATALOGUE.get("security-operations"), provider=name)
    return load_policy([RULES / "ticket"], Catalogue({**CATALOGUE.services, service.id: service}))


def alert(number: int = 1, **changes: Any) -> Alert:
    told: dict[str, Any] = {
        "id": number, "tenant": "water", "rule_id": "ssh-brute-force", "title": "SSH", "title_zh": "SSH 暴力破解", "level": Level.HIGH,
        "status": AlertStatus.OPEN, "fingerprint": "f", "first_seen": NOW, "last_seen": NOW, "created_at": NOW, "count": 5,
        "group": {}, "event_ids": ("0-1",),
    }  # fmt: skip
    return Alert(**(told | changes))


def opened(db: Database, policy: Policy = POLICY, **changes: Any) -> Ticket:
    with db.begin() as tx:
        ticket = desk.open_for_alert(tx, alert(**changes), policy, NOW)
    assert ticket is not None
    return ticket


def do(db: Database, ticket: Ticket | int, kind: str, minutes: int = 0, **data: Any) -> Ticket:
    number = ticket if isinstance(ticket, int) else ticket.id
    with db.begin() as tx:
        return desk.act(tx, number, kind, actor="wang", now=NOW + timedelta(minutes=minutes), data=data)


def test_an_alert_opens_a_ticket_at_the_service_with_a_running_clock(db: Database) -> None:
    ticket = opened(db)
    assert (ticket.tenant, ticket.title, ticket.service, ticket.priority) == (
        "water",
        "SSH 暴力破解",
        "security-operations",
        2,
    )
    assert (ticket.state, ticket.assignee, ticket.alert_id, ticket.opened_at) == (TicketState.NEW, "", 1, NOW)
    clock = desk.clock(ticket, CALENDAR, NOW + timedelta(minutes=20))
    answer = clock.target("answer")
    assert answer is not None
    assert (answer.due_at, answer.state, clock.warn) == (NOW + timedelta(minutes=30), TargetState.RUNNING, 50)


def test_the_services_provider_gets_it_at_once(db: Database) -> None:
    ticket = opened(db, with_provider("acme"))
    assert (ticket.assignee, ticket.state) == ("acme", TicketState.ASSIGNED)
    assert [e.kind for e in ticket.events] == ["opened", "assigned"]


def test_the_same_alert_opens_one_ticket_however_often_it_is_announced(db: Database) -> None:
    assert opened(db).id == opened(db).id
    with db.read() as tx:
        assert len(desk.find(tx)) == 1


def test_two_workers_at_once_open_one_ticket(db: Database) -> None:
    together, numbers = threading.Barrier(2), []

    def work() -> None:
        together.wait(10)
        numbers.append(opened(db).id)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(numbers) == 2
    assert len(set(numbers)) == 1
    with db.read() as tx:
        assert broken_links(tx) == []
        assert tx.scalar(sa.select(sa.func.count()).select_from(AuditRow)) == 1


def test_the_database_itself_refuses_a_second_ticket_of_an_alert(db: Database) -> None:
    opened(db)
    values = {
        "tenant": "t",
        "title": "t",
        "service": "s",
        "priority": 1,
        "state": "new",
        "opened_at": NOW,
        "alert_id": 1,
    }
    with pytest.raises(sa.exc.IntegrityError), db.begin() as tx:
        tx.execute(sa.insert(TicketRow).values(**values))


def test_an_alert_that_needs_no_ticket_opens_none(db: Database) -> None:
    with db.begin() as tx:
        assert desk.open_for_alert(tx, alert(level=Level.INFORMATIONAL), POLICY, NOW) is None
        assert desk.find(tx) == []


def test_a_life_from_opening_to_closing_is_kept_audited_and_measured(db: Database) -> None:
    ticket = opened(db)
    do(db, ticket, "assign", 1, assignee="acme")
    do(db, ticket, "answer", 10)
    do(db, ticket, "pause", 60, reason="等待备件", evidence="采购单 17", until=UNTIL)
    do(db, ticket, "resume", 120)
    do(db, ticket, "resolve", 180, resolution="已封禁来源地址")
    ticket = do(db, ticket, "close", 200)
    assert ticket.state is TicketState.CLOSED
    assert [e.kind for e in ticket.events] == [
        "opened",
        "assigned",
        "answered",
        "paused",
        "resumed",
        "resolved",
        "closed",
    ]
    restore = desk.clock(ticket, CALENDAR, NOW + timedelta(days=3)).target("restore")
    assert restore is not None
    assert (restore.elapsed, restore.state) == (timedelta(hours=2), TargetState.MET)
    with db.read() as tx:
        rows = tx.scalars(sa.select(AuditRow).order_by(AuditRow.id)).all()
        assert [row.action for row in rows] == [
            f"ticket.{verb}" for verb in ("open", "assign", "answer", "pause", "resume", "resolve", "close")
        ]
        assert {(row.target, row.tenant) for row in rows} == {(f"ticket:{ticket.id}", "water")}
        assert broken_links(tx) == []


def test_what_is_not_allowed_now_is_refused_and_leaves_nothing(db: Database) -> None:
    ticket = opened(db)
    with pytest.raises(UserError) as caught:
        do(db, ticket, "resolve", resolution="x")
    assert caught.value.code == "ticket.state"
    assert "新建" in caught.value.zh
    with db.read() as tx:
        assert len(desk.get(tx, ticket.id).events) == 1


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("comment", {}, "needs 'text'"),
        ("comment", {"text": " \x00 "}, "needs 'text'"),
        ("comment", {"text": "x" * 4001}, "4000 characters"),
        ("comment", {"text": ["a"]}, "must be a text"),
        ("comment", {"text": "a", "assignee": "b"}, "not a field"),
        ("pause", {"reason": "r", "until": UNTIL}, "needs 'evidence'"),
        ("pause", {"reason": "r", "evidence": "e"}, "needs 'until'"),
        ("pause", {"reason": "r", "evidence": "e", "until": "tomorrow"}, "RFC 3339"),
        ("pause", {"reason": "r", "evidence": "e", "until": "2026-11-24T20:00:00"}, "time zone"),
        ("pause", {"reason": "r", "evidence": "e", "until": NOW.isoformat()}, "within 120 hours"),
        ("pause", {"reason": "r", "evidence": "e", "until": "2027-11-24T20:00:00Z"}, "within 120 hours"),
        ("priority", {"priority": 5, "reason": "r"}, "1 to 4"),
        ("priority", {"priority": "²", "reason": "r"}, "1 to 4"),
        ("priority", {"priority": 2, "reason": "r"}, "already"),
        ("priority", {"priority": 1}, "needs 'reason'"),
        ("report", {"duty": "cac-report-4h", "reference": "1"}, "no statutory duty"),
        ("assign", {"assignee": ""}, "needs 'assignee'"),
    ],
)
def test_an_action_without_its_data_is_refused(db: Database, kind: str, data: dict[str, Any], reason: str) -> None:
    ticket = do(db, opened(db, with_provider("acme")), "answer")
    with pytest.raises(UserError, match=reason) as caught:
        do(db, ticket, kind, **data)
    assert caught.value.code == "ticket.data"
    with db.read() as tx:
        assert desk.get(tx, ticket.id) == ticket


def test_a_change_of_priority_is_kept_and_both_targets_are_seen(db: Database) -> None:
    ticket = do(db, opened(db), "priority", 10, priority=1, reason="影响扩大")
    assert (ticket.priority, ticket.events[-1].data) == (1, {"priority": 1, "from": 2, "reason": "影响扩大"})
    clock = desk.clock(ticket, CALENDAR, NOW + timedelta(minutes=11))
    assert {target.priority for target in clock.targets} == {1}
    assert {target.priority for target in clock.superseded} == {2}


def test_a_later_contract_does_not_move_a_running_deadline(db: Database, tmp_path: Path) -> None:
    ticket = opened(db)
    changed = (RULES / "services" / "response-tables.yaml").read_text(encoding="utf-8").replace("8 h", "80 h")
    (tmp_path / "t.yaml").write_text(changed, encoding="utf-8")
    later = load_policy([RULES / "ticket"], load_catalogue([RULES / "services", tmp_path]))
    assert str(later.catalogue.get(ticket.service).response.responses[2].restore) == "80 h"
    with db.read() as tx:
        restore = desk.clock(desk.get(tx, ticket.id), CALENDAR, NOW).target("restore")
    assert restore is not None
    assert restore.duration == timedelta(hours=8)


def test_a_statutory_report_runs_from_discovery_and_is_met_by_the_report(db: Database) -> None:
    ticket = opened(db, tags=("secops.incident.major",), created_at=NOW - timedelta(minutes=3))
    before = desk.clock(ticket, CALENDAR, NOW).target("cac-report-4h")
    assert before is not None
    assert before.due_at == NOW + timedelta(hours=4, minutes=-3)
    ticket = do(db, ticket, "report", 30, duty="cac-report-4h", reference="网信〔2026〕1号")
    after = desk.clock(ticket, CALENDAR, NOW + timedelta(days=1)).target("cac-report-4h")
    assert after is not None
    assert after.state is TargetState.MET


def test_an_act_never_comes_before_the_one_it_follows(db: Database) -> None:
    ticket = do(db, opened(db), "comment", 30, text="一")
    ticket = do(db, ticket, "comment", 10, text="二")
    assert ticket.events[-1].at == ticket.events[-2].at == NOW + timedelta(minutes=30)


def test_another_tenants_ticket_can_neither_be_seen_nor_counted_nor_touched(db: Database) -> None:
    mine, other = opened(db, number=1), opened(db, number=2, tenant="health")
    water = frozenset({"water"})
    with db.begin() as tx:
        assert [t.id for t in desk.find(tx, tenants=water)] == [mine.id]
        assert desk.counts(tx, tenants=water) == {(TicketState.NEW, 2): 1}
        with pytest.raises(UserError, match="that you may see"):
            desk.get(tx, other.id, tenants=water)
        with pytest.raises(UserError, match="that you may see"):
            desk.act(tx, other.id, "comment", actor="w", now=NOW, data={"text": "x"}, tenants=water)


def test_finding_pages_and_filters(db: Database) -> None:
    tickets = [opened(db, number=number) for number in range(1, 6)]
    do(db, tickets[0], "assign", assignee="acme")
    do(db, tickets[0], "resolve", resolution="done")
    with db.read() as tx:
        first = desk.find(tx, limit=3)
        rest = desk.find(tx, limit=3, before=first[-1].id)
        assert [t.id for t in first + rest] == [t.id for t in reversed(tickets)]
        assert all(t.events for t in first)
        assert [t.id for t in desk.find(tx, assignee="acme")] == [tickets[0].id]
        assert [t.id for t in desk.find(tx, state=TicketState.RESOLVED)] == [tickets[0].id]
        assert len(desk.find(tx, unfinished=True)) == 4
        assert desk.find(tx, service="service-desk") == []


def test_a_page_of_tickets_costs_two_queries(db: Database) -> None:
    for number in range(1, 9):
        opened(db, number=number)
    said: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    with db.read() as tx:
        assert len(desk.find(tx)) == 8
    assert sum(statement.startswith("SELECT") for statement in said) == 2


def test_a_ticket_opened_by_hand(db: Database) -> None:
    with db.begin() as tx:
        ticket = desk.open_manual(
            tx,
            CATALOGUE,
            tenant="city",
            title=" 打印机\x00坏了 ",
            service="service-desk",
            priority=4,
            actor="li",
            now=NOW,
        )
    assert (ticket.title, ticket.alert_id, ticket.service) == ("打印机坏了", None, "service-desk")
    for wrong in ({"title": "  "}, {"priority": 0}, {"service": "nope"}, {"title": "x" * 501}):
        given: dict[str, Any] = {
            "tenant": "city",
            "title": "x",
            "service": "service-desk",
            "priority": 4,
            "actor": "li",
            "now": NOW,
        }
        with pytest.raises(UserError), db.begin() as tx:
            desk.open_manual(tx, CATALOGUE, **(given | wrong))
    with db.read() as tx:
        assert len(desk.find(tx)) == 1


def test_the_events_refuse_to_be_changed(db: Database) -> None:
    opened(db)
    for statement in ("UPDATE ticket_events SET kind = 'x'", "DELETE FROM ticket_events"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
            tx.execute(sa.text(statement))


def test_exhibits_show_the_ticket_its_events_and_the_clocks_working(db: Database) -> None:
    ticket = do(db, opened(db), "comment", 5, text="看到了")
    with db.read() as tx:
        found = desk.exhibits(tx, ticket.id, calendar=CALENDAR, now=NOW + timedelta(hours=1))
    files = {exhibit.path.rsplit("/", 1)[1]: json.loads(exhibit.content) for exhibit in found}
    assert {exhibit.tenant for exhibit in found} == {"water"}
    assert files["ticket.json"]["opened_at"] == "2026-11-24T02:00:00Z"
    assert [e["kind"] for e in files["events.json"]] == ["opened", "comment"]
    assert files["clock.json"]["calendar_version"] == CALENDAR.version
    assert {t["name"]: t["state"] for t in files["clock.json"]["targets"]}["answer"] == "breached"
