from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from secops.records import TicketEvent
from secops.ticket.calendar import Calendar, DayKind
from secops.ticket.clock import Clock, Target, TargetState, evaluate
from secops.ticket.targets import Duty, Hours, Response, ResponseTable, amount

SHANGHAI = ZoneInfo("Asia/Shanghai")
CN = Calendar({date(2026, 1, 4): DayKind.MAKEUP}, version="v1", official=frozenset({2025, 2026}))
DUTY = Duty(id="cac-4h", zh="报告", en="report", within=timedelta(hours=4), source="law")
TABLE = ResponseTable(
    responses={
        1: Response(
            hours=Hours.ALWAYS,
            answer=amount("15 min"),
            on_site=amount("1 h"),
            restore=amount("4 h"),
            update=amount("1 h"),
        ),
        2: Response(hours=Hours.ALWAYS, answer=amount("30 min"), on_site=amount("2 h"), restore=amount("8 h")),
        3: Response(hours=Hours.BUSINESS, answer=amount("1 h"), on_site=amount("4 h"), restore=amount("1 working day")),
        4: Response(hours=Hours.BUSINESS, answer=amount("4 h"), restore=amount("3 working days")),
    },
    longest_pause=timedelta(hours=120),
)
WITH_DUTY = ResponseTable(responses=TABLE.responses, longest_pause=TABLE.longest_pause, duties=(DUTY,))


def at(text: str) -> datetime:
    """Read a Shanghai time, in January 2026 when only a day and a time are given."""
    return datetime.fromisoformat(text if len(text) > 8 else f"2026-01-{text}").replace(tzinfo=SHANGHAI)


def event(when: str, kind: str, **data: Any) -> TicketEvent:
    if "until" in data:
        data["until"] = at(data["until"]).isoformat()
    return TicketEvent(at=at(when), kind=kind, actor="wang", data=data)


def clock(now: str, *events: TicketEvent, table: ResponseTable = TABLE, calendar: Calendar = CN) -> Clock:
    return evaluate(events, table, calendar, at(now))


def target(found: Clock, name: str) -> Target:
    one = found.target(name)
    assert one is not None
    return one


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


# Monday 2026-01-05 is an ordinary working day.


def test_a_new_ticket_runs_every_target_of_its_priority() -> None:
    found = clock("05T09:10", event("05T09:00", "opened", priority=1))
    assert [(t.name, t.due_at, t.state) for t in found.targets] == [
        ("answer", at("05T09:15"), TargetState.RUNNING),
        ("on_site", at("05T10:00"), TargetState.RUNNING),
        ("restore", at("05T13:00"), TargetState.RUNNING),
    ]
    assert (target(found, "answer").percent, target(found, "answer").warn, found.warn) == (66.67, 50, 50)
    assert found.next_due is found.targets[0]
    assert target(found, "restore").remaining == timedelta(hours=3, minutes=50)


def test_a_target_that_was_not_promised_does_not_exist() -> None:
    assert [t.name for t in clock("05T09:10", event("05T09:00", "opened", priority=4)).targets] == ["answer", "restore"]


@pytest.mark.parametrize(("now", "warn"), [("10:59", 0), ("11:00", 50), ("12:00", 75), ("12:36", 90), ("13:00", 100)])
def test_the_marks_are_reached_at_their_instant(now: str, warn: int) -> None:
    found = clock(f"05T{now}", event("05T09:00", "opened", priority=1))
    assert target(found, "restore").warn == warn


def test_due_itself_is_in_time_and_one_microsecond_later_is_late() -> None:
    opened = event("05T09:00", "opened", priority=1)
    in_time = TicketEvent(at=at("05T09:15"), kind="answered", actor="w")
    late = TicketEvent(at=at("05T09:15") + timedelta(microseconds=1), kind="answered", actor="w")
    assert target(clock("05T12:00", opened, in_time), "answer").state is TargetState.MET
    assert target(clock("05T12:00", opened, late), "answer").state is TargetState.BREACHED
    assert target(clock("05T09:15", opened), "answer").state is TargetState.RUNNING
    assert target(clock("05T09:16", opened), "answer").state is TargetState.BREACHED


def test_osticket_6847_a_lunch_break_moves_the_due_date_by_exactly_itself() -> None:
    found = clock("05T11:05", event("05T11:00", "opened", priority=3))
    assert target(found, "on_site").due_at == at("05T17:00")
    assert target(found, "restore").due_at == at("06T11:00")


def test_opened_in_the_lunch_break_starts_to_count_after_it() -> None:
    found = clock("05T13:59", event("05T12:30", "opened", priority=3))
    assert target(found, "answer").elapsed == hours(0)
    assert target(found, "answer").due_at == at("05T15:00")


def test_glpi_22678_no_deadline_falls_at_midnight_or_between_segments() -> None:
    for minute in range(0, 24 * 60, 7):
        opened = TicketEvent(
            at=at("05T00:00") + timedelta(minutes=minute), kind="opened", actor="w", data={"priority": 3}
        )
        for one in evaluate([opened], TABLE, CN, opened.at).targets:
            just_before = one.due_at - timedelta(microseconds=1)
            assert CN.working(just_before), (opened.at, one.due_at)


def test_a_made_up_sunday_counts_and_a_weekend_does_not() -> None:
    assert target(clock("04T09:00", event("04T08:00", "opened", priority=3)), "answer").due_at == at("04T09:30")
    assert target(clock("10T09:00", event("10T08:00", "opened", priority=3)), "answer").due_at == at("12T09:30")


def test_glpi_24481_a_pending_ticket_is_not_breached_however_long_the_granted_pause() -> None:
    events = (
        event("05T09:00", "opened", priority=2),
        event("05T09:10", "answered"),
        event("05T11:00", "paused", reason="等待备件", until="07T09:00"),
    )
    found = target(clock("06T23:00", *events), "restore")
    assert (found.state, found.elapsed, found.percent) == (TargetState.PAUSED, hours(2), 25.0)
    assert found.due_at == at("07T05:00")  # as if the pause ended now
    resumed = target(clock("07T09:00", *events, event("07T08:00", "resumed")), "restore")
    assert (resumed.state, resumed.elapsed, resumed.due_at) == (TargetState.RUNNING, hours(3), at("07T14:00"))


def test_what_was_late_before_the_pause_stays_late() -> None:
    events = (event("05T09:00", "opened", priority=2), event("05T18:00", "paused", until="06T18:00"))
    assert target(clock("05T20:00", *events), "restore").state is TargetState.BREACHED


def test_a_pause_never_stops_the_answer_or_the_visit() -> None:
    events = (event("05T09:00", "opened", priority=2), event("05T09:05", "paused", until="05T20:00"))
    found = clock("05T12:00", *events)
    assert target(found, "answer").state is TargetState.BREACHED
    assert target(found, "on_site").state is TargetState.BREACHED
    assert target(found, "restore").state is TargetState.PAUSED


def test_a_pause_ends_by_itself_at_its_limit() -> None:
    events = (event("05T09:00", "opened", priority=2), event("05T10:00", "paused", reason="等待用户", until="05T12:00"))
    found = clock("05T15:00", *events)
    restore = target(found, "restore")
    assert (restore.state, restore.elapsed, restore.due_at) == (TargetState.RUNNING, hours(4), at("05T19:00"))
    assert [(p.start, p.end, p.reason) for p in found.pauses] == [(at("05T10:00"), at("05T12:00"), "等待用户")]


def test_a_pause_without_a_limit_ends_at_the_longest_the_contract_allows() -> None:
    events = (event("05T09:00", "opened", priority=2), event("05T10:00", "paused"))
    assert target(clock("12T10:00", *events), "restore").due_at == at("10T10:00") + hours(7)


def test_frappe_2449_a_pause_never_moves_the_beginning() -> None:
    events = (
        event("05T09:00", "opened", priority=2),
        event("05T10:00", "paused", until="06T10:00"),
        event("05T13:00", "resumed"),
    )
    found = target(clock("05T14:00", *events), "restore")
    assert (found.started_at, found.due_at, found.elapsed) == (at("05T09:00"), at("05T20:00"), hours(2))


def test_glpi_15605_and_6902_a_change_of_priority_keeps_earlier_pauses_and_shows_both_targets() -> None:
    events = (
        event("05T09:00", "opened", priority=2),
        event("05T10:00", "paused", until="06T10:00"),
        event("05T13:00", "resumed"),
        event("05T13:30", "priority", priority=1, reason="影响扩大"),
    )
    found = clock("05T14:00", *events)
    assert found.priority == 1
    restore = target(found, "restore")
    assert (restore.priority, restore.elapsed, restore.due_at) == (1, hours(2), at("05T16:00"))
    (old,) = (t for t in found.superseded if t.name == "restore")
    assert (old.priority, old.elapsed, old.due_at, old.state) == (2, hours(1.5), at("05T20:00"), TargetState.SUPERSEDED)


def test_what_was_answered_before_the_change_is_judged_by_the_priority_of_that_moment() -> None:
    events = (
        event("05T09:00", "opened", priority=3),
        event("05T09:50", "answered"),
        event("05T10:00", "priority", priority=1, reason="升级"),
    )
    answer = target(clock("05T10:01", *events), "answer")
    assert (answer.priority, answer.state) == (3, TargetState.MET)


def test_lowering_the_priority_never_forgives_a_breach() -> None:
    events = (
        event("05T09:00", "opened", priority=1),
        event("05T14:00", "priority", priority=4, reason="降级"),
        event("05T15:00", "resolved"),
    )
    found = clock("05T16:00", *events)
    assert {(t.name, t.state) for t in found.superseded} == {
        (name, TargetState.BREACHED) for name in ("answer", "on_site", "restore")
    }
    assert target(found, "restore").state is TargetState.MET


def test_zammad_5177_the_update_promise_never_overrules_the_first_response() -> None:
    opened = event("05T09:00", "opened", priority=1)
    quiet = clock("05T09:14", opened, event("05T09:05", "comment", text="我们也看到了"))
    assert target(quiet, "answer").due_at == at("05T09:15")
    assert target(quiet, "answer").stopped_at is None
    assert quiet.target("update") is None
    later = clock("05T12:00", opened, event("05T09:10", "answered"), event("05T09:40", "comment"))
    assert (target(later, "answer").due_at, target(later, "answer").state) == (at("05T09:15"), TargetState.MET)
    assert (target(later, "update").due_at, target(later, "update").state) == (at("05T10:40"), TargetState.BREACHED)


def test_updates_are_counted_one_by_one_and_a_missed_one_is_remembered() -> None:
    events = (
        event("05T09:00", "opened", priority=1),
        event("05T09:10", "answered"),
        event("05T11:00", "comment"),
        event("05T11:30", "comment"),
    )
    running = target(clock("05T12:00", *events), "update")
    assert (running.missed, running.state, running.due_at) == (1, TargetState.RUNNING, at("05T12:30"))
    done = target(clock("05T18:00", *events, event("05T12:00", "resolved")), "update")
    assert (done.missed, done.state, done.stopped_at) == (1, TargetState.BREACHED, at("05T12:00"))


def test_between_resolution_and_reopening_nobody_owes_an_update() -> None:
    events = (
        event("05T09:00", "opened", priority=1),
        event("05T09:10", "answered"),
        event("05T09:40", "resolved"),
        event("06T09:00", "reopened", cause="not_fixed"),
    )
    update = target(clock("06T09:30", *events), "update")
    assert (update.missed, update.state, update.due_at) == (0, TargetState.RUNNING, at("06T10:00"))


def test_reopened_because_it_was_not_fixed_the_time_in_between_counts() -> None:
    events = (
        event("05T09:00", "opened", priority=2),
        event("05T10:00", "resolved"),
        event("05T13:00", "reopened", cause="not_fixed"),
    )
    found = target(clock("05T14:00", *events), "restore")
    assert (found.elapsed, found.due_at, found.stopped_at) == (hours(5), at("05T17:00"), None)


def test_reopened_because_it_came_back_the_time_in_between_is_left_out() -> None:
    events = (
        event("05T09:00", "opened", priority=2),
        event("05T10:00", "resolved"),
        event("05T13:00", "reopened", cause="recurred"),
    )
    found = target(clock("05T14:00", *events), "restore")
    assert (found.elapsed, found.due_at) == (hours(2), at("05T20:00"))


def test_a_fault_mended_from_afar_needs_no_visit() -> None:
    found = clock("06T10:00", event("05T09:00", "opened", priority=1), event("05T09:12", "resolved"))
    assert [(t.name, t.state) for t in found.targets][:3] == [
        ("answer", TargetState.MET),
        ("on_site", TargetState.MET),
        ("restore", TargetState.MET),
    ]
    assert found.next_due is None
    assert found.warn == 0


def test_a_statutory_duty_runs_on_wall_time_from_discovery_through_pause_weekend_and_resolution() -> None:
    events = (
        event("10T18:00", "opened", priority=3, discovered_at=at("10T17:00").isoformat()),  # a Saturday
        event("10T18:10", "answered"),
        event("10T18:20", "paused", until="12T18:00"),
    )
    duty = target(clock("10T20:59", *events, table=WITH_DUTY), "cac-4h")
    assert (duty.due_at, duty.state, duty.calendar, duty.warn) == (at("10T21:00"), TargetState.RUNNING, "wall", 90)
    assert target(clock("10T21:01", *events, table=WITH_DUTY), "cac-4h").state is TargetState.BREACHED
    solved = (*events, event("10T19:00", "resumed"), event("10T19:10", "resolved"))
    assert target(clock("10T21:01", *solved, table=WITH_DUTY), "cac-4h").state is TargetState.BREACHED
    reported = (*events, event("10T20:00", "reported", duty="cac-4h", reference="1"))
    assert target(clock("11T20:00", *reported, table=WITH_DUTY), "cac-4h").state is TargetState.MET
    other = (*events, event("10T20:00", "reported", duty="another", reference="1"))
    assert target(clock("11T20:00", *other, table=WITH_DUTY), "cac-4h").state is TargetState.BREACHED


def test_a_deadline_that_crosses_a_year_without_a_notice_is_marked_and_a_new_version_moves_it() -> None:
    opened = event("2026-12-31T16:00", "opened", priority=3)
    found = target(clock("2026-12-31T16:10", opened), "restore")
    assert found.provisional == (2027,)
    announced = Calendar({**CN.days, date(2027, 1, 1): DayKind.HOLIDAY}, version="v2", official=CN.official | {2027})
    settled = target(clock("2026-12-31T16:10", opened, calendar=announced), "restore")
    assert (settled.provisional, settled.due_at > found.due_at) == ((), True)
    always = clock("2026-12-31T23:00", event("2026-12-31T22:00", "opened", priority=1))
    assert target(always, "restore").provisional == ()  # 7x24 does not depend on the calendar


def test_what_happens_after_the_instant_is_not_looked_at() -> None:
    events = (event("05T09:00", "opened", priority=2), event("05T09:20", "answered"), event("05T12:00", "resolved"))
    assert clock("05T09:10", *events) == clock("05T09:10", events[0])


def test_events_that_do_not_begin_with_the_opening_are_refused() -> None:
    with pytest.raises(ValueError, match="begin with 'opened'"):
        clock("05T09:10", event("05T09:00", "answered"))
    with pytest.raises(ValueError, match="begin with 'opened'"):
        clock("05T08:00", event("05T09:00", "opened", priority=1))


def test_the_working_shows_every_counted_and_left_out_stretch() -> None:
    events = (
        event("05T09:00", "opened", priority=3),
        event("05T10:00", "paused", reason="等待", until="05T16:00"),
        event("05T15:00", "resumed"),
    )
    data = clock("05T16:00", *events).to_data()
    (restore,) = (t for t in data["targets"] if t["name"] == "restore")
    assert [(w["start"], w["counted_seconds"], w["left_out"]) for w in restore["working"]] == [
        ("2026-01-05T01:00:00Z", 3600.0, ""),
        ("2026-01-05T02:00:00Z", 0.0, "等待"),
        ("2026-01-05T07:00:00Z", 3600.0, ""),
    ]
    assert restore["elapsed_seconds"] == sum(w["counted_seconds"] for w in restore["working"])
    assert (data["calendar_version"], data["priority"], restore["due_at"]) == ("v1", 3, "2026-01-06T04:00:00Z")


def test_times_may_come_in_any_zone() -> None:
    local = clock("05T10:00", event("05T09:00", "opened", priority=3))
    opened = TicketEvent(at=at("05T09:00").astimezone(UTC), kind="opened", actor="wang", data={"priority": 3})
    assert evaluate([opened], TABLE, CN, at("05T10:00").astimezone(UTC)) == local
