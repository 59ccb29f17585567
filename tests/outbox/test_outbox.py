from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from secops import audit
from secops.alert.find import Filter, search
from secops.alert.group import BURIED_RULE, raise_for_buried
from secops.db import Database
from secops.outbox import LEASE, MAX_ATTEMPTS, Buried, OutboxRow, Raised, SessionEnded, drain, publish

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Broken(Exception):
    """What a handler of these tests raises."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(db: Database, *numbers: int, now: datetime = NOW) -> None:
    with db.begin() as tx:
        for number in numbers:
            publish(tx, Raised(alert_id=number), now)


def rows(db: Database) -> list[OutboxRow]:
    with db.read() as tx:
        return list(tx.scalars(sa.select(OutboxRow).order_by(OutboxRow.id)))


def breaks(tx: Session, message: Raised, now: datetime) -> None:
    raise Broken(f"message {message.alert_id}")


def notes(into: list[int]) -> Callable[[Session, Raised, datetime], None]:
    def note(tx: Session, message: Raised, now: datetime) -> None:
        into.append(message.alert_id)

    return note


def test_messages_are_handled_in_order_once_and_marked(db: Database, clock: Clock) -> None:
    put(db, 1, 2, 3)
    seen: list[int] = []
    assert drain(db, {Raised: [notes(seen)]}, clock) == 3
    assert drain(db, {Raised: [notes(seen)]}, clock) == 0
    assert seen == [1, 2, 3]
    assert all(row.done_at == NOW and row.attempts == 1 for row in rows(db))


def test_a_message_of_a_transaction_that_failed_was_never_there(db: Database, clock: Clock) -> None:
    with pytest.raises(Broken), db.begin() as tx:
        publish(tx, Raised(alert_id=1), NOW)
        raise Broken
    assert drain(db, {Raised: [breaks]}, clock) == 0


def test_the_limit_leaves_the_rest_for_the_next_round(db: Database, clock: Clock) -> None:
    put(db, 1, 2, 3)
    seen: list[int] = []
    assert [drain(db, {Raised: [notes(seen)]}, clock, limit=2) for _ in range(3)] == [2, 1, 0]


def test_what_a_failing_handler_wrote_is_undone_with_everything_before_it(db: Database, clock: Clock) -> None:
    def writes(tx: Session, message: Raised, now: datetime) -> None:
        audit.record(tx, at=now, actor="x", action="a.b")

    put(db, 1)
    assert drain(db, {Raised: [writes, breaks]}, clock) == 1
    with db.read() as tx:
        assert audit.after(tx, 0, 10) == []
    clock.move(seconds=2)
    assert drain(db, {Raised: [writes]}, clock) == 1
    with db.read() as tx:
        assert [row.action for row in audit.after(tx, 0, 10)] == ["a.b"]


def test_a_failed_message_waits_longer_each_time_and_does_not_stop_the_others(db: Database, clock: Clock) -> None:
    put(db, 13, 1)
    seen: list[int] = []

    def unlucky(tx: Session, message: Raised, now: datetime) -> None:
        if message.alert_id == 13:
            raise Broken
        seen.append(message.alert_id)

    assert drain(db, {Raised: [unlucky]}, clock) == 2
    assert seen == [1]
    waits = []
    for _ in range(3):
        row = rows(db)[0]
        waits.append((row.due_at - clock.now).total_seconds())
        clock.now = row.due_at - timedelta(microseconds=1)
        assert drain(db, {Raised: [unlucky]}, clock) == 0
        clock.now = row.due_at
        assert drain(db, {Raised: [unlucky]}, clock) == 1
    assert waits == [2, 4, 8]
    assert "Broken" in rows(db)[0].error


def _exhaust(db: Database, clock: Clock, handlers: dict[type, list[Any]]) -> int:
    tried = 0
    for _ in range(MAX_ATTEMPTS * 4):
        tried += drain(db, handlers, clock)
        clock.move(minutes=5)
    return tried


def test_after_the_last_attempt_it_is_buried_and_the_service_alerts_on_itself(db: Database, clock: Clock) -> None:
    put(db, 1)
    assert _exhaust(db, clock, {Raised: [breaks], Buried: [raise_for_buried]}) == 2 * MAX_ATTEMPTS + 2
    first = rows(db)[0]
    assert first.dead_at is not None
    assert (first.done_at, first.attempts) == (None, MAX_ATTEMPTS)
    # The alert's own announcement fails as well and is buried; that joins the alert, so it ends there.
    assert [(row.kind, row.done_at is None) for row in rows(db)] == [("Raised", True), ("Buried", False)] * 2
    with db.read() as tx:
        (alert,) = search(tx, Filter())
    assert (alert.rule_id, dict(alert.group), alert.count) == (BURIED_RULE.id, {"secops.outbox.kind": "Raised"}, 2)


def test_a_burial_that_fails_itself_ends(db: Database, clock: Clock) -> None:
    put(db, 1)
    _exhaust(db, clock, {Raised: [breaks], Buried: [breaks]})
    assert [row.kind for row in rows(db)] == ["Raised", "Buried"]
    assert all(row.dead_at is not None for row in rows(db))


@pytest.mark.parametrize(
    ("kind", "body"), [("FromAnotherVersion", {}), ("Raised", {"alert_id": 1, "colour": "red"}), ("Raised", {})]
)
def test_a_message_this_version_cannot_read_is_buried_and_holds_nobody_up(
    db: Database, clock: Clock, kind: str, body: dict[str, Any]
) -> None:
    with db.begin() as tx:
        tx.add(OutboxRow(kind=kind, body=body, created_at=NOW, due_at=NOW))
    put(db, 7)
    seen: list[int] = []
    buried: list[Buried] = []
    _exhaust(db, clock, {Raised: [notes(seen)], Buried: [lambda _tx, message, _now: buried.append(message)]})
    assert seen == [7]
    assert [message.kind for message in buried] == [kind]


def test_a_worker_for_some_kinds_leaves_the_others_but_buries_what_nobody_knows(db: Database, clock: Clock) -> None:
    put(db, 1)
    with db.begin() as tx:
        publish(tx, SessionEnded(session_id="s", account_id="a"), NOW)
        tx.add(OutboxRow(kind="FromAnotherVersion", body={}, created_at=NOW, due_at=NOW))
    for _ in range(MAX_ATTEMPTS * 2):
        drain(db, {}, clock, kinds={Raised})
        clock.move(minutes=5)
    known, other, unknown, _ = rows(db)
    assert (known.done_at is not None, other.attempts, unknown.dead_at is not None) == (True, 0, True)


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def test_a_worker_that_died_gives_its_message_back_when_the_lease_is_over(db: Database, clock: Clock) -> None:
    def dies(tx: Session, message: Raised, now: datetime) -> None:
        raise Killed

    put(db, 1)
    with pytest.raises(Killed):
        drain(db, {Raised: [dies]}, clock)
    seen: list[int] = []
    clock.now = NOW + LEASE - timedelta(microseconds=1)
    assert drain(db, {Raised: [notes(seen)]}, clock) == 0
    clock.now = NOW + LEASE
    assert drain(db, {Raised: [notes(seen)]}, clock) == 1
    assert seen == [1]


def test_a_message_that_kills_its_worker_every_time_is_buried_too(db: Database, clock: Clock) -> None:
    def dies(tx: Session, message: Raised, now: datetime) -> None:
        raise Killed

    put(db, 1)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            drain(db, {Raised: [dies]}, clock)
        clock.move(hours=1)
    assert drain(db, {Raised: [dies]}, clock) == 2  # the burial, and its announcement
    assert rows(db)[0].dead_at is not None
    assert [row.kind for row in rows(db)] == ["Raised", "Buried"]


def test_a_slow_worker_that_fails_after_another_succeeded_changes_nothing(db: Database, clock: Clock) -> None:
    seen: list[int] = []

    def slow_effect(message: Raised, now: datetime) -> None:
        clock.move(seconds=LEASE.total_seconds() + 1)
        assert drain(db, {Raised: [notes(seen)]}, clock, limit=1) == 1
        raise Broken

    put(db, 1)
    drain(db, {Raised: [notes(seen)]}, clock, limit=1, effects={Raised: [slow_effect]})
    (row,) = rows(db)
    assert (row.done_at, row.dead_at, row.error) == (clock.now, None, "")
    assert seen == [1]


def test_a_slow_worker_that_succeeds_after_another_did_does_nothing_twice(db: Database, clock: Clock) -> None:
    seen: list[int] = []

    def slow_effect(message: Raised, now: datetime) -> None:
        clock.move(seconds=LEASE.total_seconds() + 1)
        assert drain(db, {Raised: [notes(seen)]}, clock, limit=1) == 1

    put(db, 1)
    drain(db, {Raised: [notes(seen)]}, clock, limit=1, effects={Raised: [slow_effect]})
    assert seen == [1]


def test_an_effect_runs_before_the_transaction_and_its_failure_is_tried_again(db: Database, clock: Clock) -> None:
    seen: list[int] = []
    calls: list[int] = []

    def reaches_outside(message: Raised, now: datetime) -> None:
        put(db, 99, now=NOW + timedelta(days=1))  # would wait for ever if the outbox held the write lock
        calls.append(message.alert_id)
        if len(calls) == 1:
            raise Broken

    put(db, 1)
    effects = {Raised: [reaches_outside]}
    drain(db, {Raised: [notes(seen)]}, clock, effects=effects)
    assert (calls, seen) == ([1], [])
    clock.move(seconds=2)
    drain(db, {Raised: [notes(seen)]}, clock, effects=effects)
    assert (calls, seen) == ([1, 1], [1])


def test_two_workers_at_once_handle_each_message_once(db: Database, clock: Clock) -> None:
    put(db, *range(60))
    together = threading.Barrier(2)
    failures: list[BaseException] = []

    def marks(tx: Session, message: Raised, now: datetime) -> None:
        audit.record(tx, at=now, actor="w", action="message.handled", target=str(message.alert_id))

    def work() -> None:
        together.wait(10)
        try:
            while drain(db, {Raised: [marks]}, clock, limit=5):
                pass
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    with db.read() as tx:
        assert sorted(int(row.target) for row in audit.after(tx, 0, 1000)) == list(range(60))
        assert audit.broken_links(tx) == []
    assert all(row.done_at and row.attempts == 1 for row in rows(db))


def test_an_idle_outbox_takes_no_write_lock(db: Database, clock: Clock) -> None:
    put(db, 1, now=NOW + timedelta(hours=1))
    said: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    assert drain(db, {}, clock) == 0
    assert not [text for text in said if text.startswith(("BEGIN IMMEDIATE", "UPDATE", "INSERT"))]
