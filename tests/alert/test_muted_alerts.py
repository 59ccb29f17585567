"""Muted alerts in the database: stored with the reason, not announced, and announced once when the mute ends."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops import audit
from secops.alert import maintenance, queries, silences
from secops.alert.controls import Controls
from secops.alert.find import Filter, Order, search
from secops.alert.group import NO_CONTROLS, raise_alerts
from secops.alert.maintenance import Plan
from secops.alert.matchers import read
from secops.alert.mute import Inhibition
from secops.alert.schedule import Repeat
from secops.alert.severity import Entry, Weights
from secops.alert.tables import AlertRow
from secops.db import Database
from secops.errors import UserError
from secops.outbox import OutboxRow
from secops.records import Alert, AlertStatus, Level, Match, RuleInfo

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = {
    "scan": RuleInfo(
        id="scan", title="Scan", title_zh="扫描", level=Level.LOW, tags=("attack.t1595.002",), window=timedelta(days=1)
    ),
    "guess": RuleInfo(
        id="guess",
        title="Guessing",
        title_zh="猜测",
        level=Level.HIGH,
        tags=("attack.t1110",),
        window=timedelta(days=1),
    ),
    "in": RuleInfo(id="in", title="Inside", title_zh="进入", level=Level.CRITICAL, window=timedelta(days=1)),
}
INHIBIT = Controls(
    inhibitions=(
        Inhibition(
            name="inside",
            source=(read("rule = in"),),
            target=(read("rule = guess"),),
            equal=("source.ip",),
            within=2 * HOUR,
            zh="已进入",
            en="is in",
        ),
    )
)


def match(
    rule: str = "scan", ip: str = "10.0.0.1", *, at: datetime = NOW, tenant: str = "city", host: str = "web-01"
) -> Match:
    return Match(
        tenant=tenant,
        rule_id=rule,
        at=at,
        event_ids=("0-1",),
        group=(("source.ip", ip),),
        fields={"user_agent.original": "nmap"},
        about={"host.name": host, "destination.ip": "10.7.0.1"},
    )


def raised(db: Database, *matches: Match, now: datetime = NOW, controls: Controls = NO_CONTROLS) -> list[Alert]:
    with db.begin() as tx:
        return raise_alerts(tx, list(matches), RULES, now, controls)


def silence(db: Database, *matchers: str, hours: float = 2, tenant: str = "") -> int:
    with db.begin() as tx:
        return silences.add(
            tx,
            tenant=tenant,
            matching=matchers,
            starts_at=NOW,
            ends_at=NOW + hours * HOUR,
            reason="演练",
            author="wang",
            now=NOW,
        )


def announced(db: Database) -> list[int]:
    with db.read() as tx:
        return [row.body["alert_id"] for row in tx.scalars(sa.select(OutboxRow).order_by(OutboxRow.id))]


def kinds(db: Database, alert_id: int) -> list[str]:
    with db.read() as tx:
        return [line.kind for line in queries.history(tx, alert_id)]


def test_a_silenced_alert_is_stored_with_its_reason_and_not_announced(db: Database) -> None:
    number = silence(db, "rule = scan", "source.ip ~ 10.0.*")
    quiet, loud = raised(db, match(), match(ip="172.16.0.1"))
    assert (quiet.muted_kind, quiet.muted_by, quiet.announced_at) == ("silence", f"silence:{number}", None)
    assert "演练" in quiet.muted_zh
    assert (loud.muted_kind, loud.announced_at) == ("", NOW)
    assert announced(db) == [loud.id]
    assert kinds(db, quiet.id) == ["raised", "muted"]


def test_when_the_mute_ends_while_matches_go_on_it_is_announced_exactly_once(db: Database) -> None:
    silence(db, "rule = scan")
    (alert,) = raised(db, match())
    raised(db, match(at=NOW + HOUR), now=NOW + HOUR)
    assert announced(db) == []
    over = NOW + 2 * HOUR  # the end itself is outside
    for minutes in range(3):
        raised(db, match(at=over), now=over + timedelta(minutes=minutes))
    assert announced(db) == [alert.id]
    assert kinds(db, alert.id) == ["raised", "muted", "joined", "joined", "unmuted", "joined", "joined"]
    with db.read() as tx:
        shown = queries.get(tx, alert.id)
    assert (shown.muted_kind, shown.muted_zh, shown.announced_at) == ("", "", over)


def test_a_silence_made_later_takes_nothing_back(db: Database) -> None:
    (alert,) = raised(db, match())
    silence(db, "rule = scan")
    raised(db, match(), now=NOW + timedelta(minutes=1))
    with db.read() as tx:
        assert queries.get(tx, alert.id).muted_kind == ""
    assert announced(db) == [alert.id]


def test_the_reason_changes_with_what_mutes(db: Database) -> None:
    first = silence(db, "rule = scan", hours=1)
    second = silence(db, "source.ip = 10.0.0.1", hours=3)
    (alert,) = raised(db, match())
    assert alert.muted_by == f"silence:{first}"
    raised(db, match(), now=NOW + 1.5 * HOUR)
    with db.read() as tx:
        assert queries.get(tx, alert.id).muted_by == f"silence:{second}"
    assert kinds(db, alert.id) == ["raised", "muted", "joined", "muted"]
    assert announced(db) == []


def test_ending_a_silence_early_counts_at_once_and_is_kept_and_audited(db: Database) -> None:
    number = silence(db, "rule = scan")
    (alert,) = raised(db, match())
    later = NOW + timedelta(minutes=5)
    with db.begin() as tx:
        silences.end(tx, number, actor="li", reason="演练结束", now=later)
        with pytest.raises(UserError, match="over already"):
            silences.end(tx, number, actor="li", reason="again", now=later)
    raised(db, match(), now=later)
    assert announced(db) == [alert.id]
    with db.read() as tx:
        (kept,) = silences.all(tx)
        assert (kept.ends_at, kept.ended_by, kept.end_reason) == (later, "li", "演练结束")
        assert [row.action for row in audit.about(tx, [f"silence:{number}"])] == ["silence.add", "silence.end"]
        assert silences.active(tx, later) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reason": " "}, "alert.reason"),
        ({"ends_at": NOW}, "alert.span"),
        ({"ends_at": NOW + timedelta(days=91)}, "alert.span"),
        ({"starts_at": NOW - 3 * HOUR, "ends_at": NOW - HOUR}, "alert.span"),
        ({"matching": ["tenant = city"]}, "alert.matcher"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_and_nothing_is_left(
    db: Database, change: dict[str, object], code: str
) -> None:
    asked = {
        "tenant": "",
        "matching": ["rule = x"],
        "starts_at": NOW,
        "ends_at": NOW + HOUR,
        "reason": "r",
        "author": "a",
        "now": NOW,
    }
    with db.begin() as tx:
        with pytest.raises(UserError) as caught:
            silences.add(tx, **{**asked, **change})  # type: ignore[arg-type]
        assert caught.value.code == code
        assert silences.all(tx) == []


def test_a_preview_tells_what_would_have_been_muted_in_a_day(db: Database) -> None:
    raised(db, match(), match(ip="172.16.0.1"), match("guess"), match(tenant="north"))
    raised(db, match(ip="10.0.0.77", at=NOW - timedelta(days=2)))
    with db.read() as tx:
        found = silences.preview(tx, tenant="", matching=["rule = scan", "source.ip ~ 10.*"], tenants=None, now=NOW)
        assert (found.alerts, found.events, found.looked_at) == (2, 2, 4)
        assert {one.tenant for one in found.samples} == {"city", "north"}
        seen = frozenset({"north"})
        assert silences.preview(tx, tenant="", matching=["rule = scan"], tenants=seen, now=NOW).alerts == 1
        assert silences.preview(tx, tenant="city", matching=["rule = scan"], tenants=seen, now=NOW).alerts == 0
        with pytest.raises(UserError):
            silences.preview(tx, tenant="", matching=[], tenants=None, now=NOW)


def test_somebody_of_one_tenant_neither_sees_nor_ends_the_others_silences(db: Database) -> None:
    number = silence(db, "rule = scan", tenant="north")
    south = frozenset({"south"})
    with db.begin() as tx:
        assert silences.all(tx, tenants=south) == []
        with pytest.raises(UserError, match="that you may see"):
            silences.end(tx, number, actor="x", reason="r", now=NOW, tenants=south)
        assert [one.id for one in silences.all(tx, tenants=frozenset({"north"}))] == [number]


def test_a_maintenance_window_mutes_its_hosts_while_it_is_open(db: Database) -> None:
    plan = Plan(
        tenant="city",
        hosts=["web-*"],
        change="BG-2026-017",
        reason="升级",
        starts_at=NOW - HOUR,
        ends_at=NOW + timedelta(days=30),
        repeat=Repeat.WEEKLY,
        days=[2],
        opens="15:00",
        closes="17:00",
    )  # 24 November 2026 is a Tuesday, and 08:00 UTC is 16:00 in Shanghai
    with db.begin() as tx:
        number = maintenance.add(tx, plan, author="li", now=NOW)
    web, other = raised(db, match(), match(ip="10.0.0.2", host="db-01"))
    assert (web.muted_by, other.muted_by) == (f"maintenance:{number}", "")
    assert "BG-2026-017" in web.muted_en
    raised(db, match(), now=NOW + HOUR)
    assert announced(db) == [other.id, web.id]
    with db.begin() as tx:
        maintenance.end(tx, number, actor="li", reason="完成", now=NOW + HOUR)
        assert maintenance.active(tx, NOW + HOUR) == []
        assert [row.action for row in audit.about(tx, [f"maintenance:{number}"])] == [
            "maintenance.add",
            "maintenance.end",
        ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"change": " "}, "maintenance.change"),
        ({"repeat": Repeat.WEEKLY, "days": [8], "opens": "22:00", "closes": "23:00"}, "maintenance.days"),
        ({"repeat": Repeat.WEEKLY, "days": [], "opens": "22:00", "closes": "23:00"}, "maintenance.days"),
        ({"repeat": Repeat.MONTHLY, "days": [31], "opens": "25:00", "closes": "23:00"}, "maintenance.days"),
        ({"ends_at": NOW + timedelta(days=15)}, "alert.span"),
        ({"reason": ""}, "alert.reason"),
        ({"hosts": ["h"] * 101}, "maintenance.hosts"),
    ],
)
def test_a_window_that_cannot_be_is_refused(db: Database, change: dict[str, object], code: str) -> None:
    asked: dict[str, object] = {
        "tenant": "",
        "hosts": [],
        "change": "B",
        "reason": "r",
        "starts_at": NOW,
        "ends_at": NOW + HOUR,
    }
    with db.begin() as tx, pytest.raises(UserError) as caught:
        maintenance.add(tx, Plan(**{**asked, **change}), author="a", now=NOW)  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.mark.parametrize("together", [True, False])
def test_a_graver_alert_mutes_the_lesser_in_the_same_batch_or_a_later_one(db: Database, *, together: bool) -> None:
    guess, inside = match("guess"), match("in")
    if together:
        found = raised(db, guess, inside, match("guess", "10.0.0.9"), controls=INHIBIT)
    else:
        found = [
            *raised(db, inside, controls=INHIBIT),
            *raised(db, guess, match("guess", "10.0.0.9"), controls=INHIBIT),
        ]
    by_rule = {(one.rule_id, one.group["source.ip"]): one for one in found}
    source = by_rule["in", "10.0.0.1"]
    with db.read() as tx:
        quiet = queries.get(tx, by_rule["guess", "10.0.0.1"].id)
    assert quiet.muted_by == "inhibition:inside"
    assert f"#{source.id}" in quiet.muted_zh
    assert sorted(announced(db)) == sorted([source.id, by_rule["guess", "10.0.0.9"].id])


def test_closing_the_graver_alert_ends_the_inhibition(db: Database) -> None:
    inside, guess = raised(db, match("in"), match("guess"), controls=INHIBIT)
    with db.begin() as tx:
        queries.close(tx, inside.id, actor="w", reason="done", now=NOW)
    raised(db, match("guess"), now=NOW + timedelta(minutes=1), controls=INHIBIT)
    assert announced(db) == [inside.id, guess.id]


def test_an_alert_that_is_itself_muted_mutes_nothing(db: Database) -> None:
    silence(db, "rule = in")
    inside, guess = raised(db, match("in"), match("guess"), controls=INHIBIT)
    assert inside.muted_kind == "silence"
    assert announced(db) == [guess.id]


def test_severity_and_what_matched_are_stored_and_searched(db: Database) -> None:
    weights = Weights(assets=(Entry(zh="门户", en="portal", weight=2, hosts=("web-*",)),))
    (alert, other) = raised(db, match(), match(ip="10.0.0.2", host="db-01"), controls=Controls(weights=weights))
    assert (alert.level, alert.severity, other.severity) == (Level.LOW, Level.HIGH, Level.LOW)
    assert [one["zh"] for one in alert.severity_reasons] == ["规则级别：低", "门户：+2"]
    assert (dict(alert.fields), alert.hosts) == ({"user_agent.original": "nmap"}, ("web-01",))
    with db.read() as tx:

        def ids(**asked: object) -> list[int]:
            return [one.id for one in search(tx, Filter(**asked))]  # type: ignore[arg-type]

        assert ids(text="WEB-01") == ids(text="扫描 10.0.0.1") == ids(severity=Level.HIGH) == [alert.id]
        assert ids(text="100%") == ids(text="web_01") == ids(text="扫描 nothing") == []
        assert ids(tags=["attack.t1595"]) == ids(tenant="city") == [other.id, alert.id]
        assert ids(tags=["attack.t159"]) == ids(tags=["attack.t1595.00_"]) == ids(tenant="north") == []
        assert [one.id for one in search(tx, Filter(), order=Order.SEVERITY)] == [alert.id, other.id]
        assert [one.id for one in search(tx, Filter(), order=Order.SEVERITY, skip=1)] == [other.id]


def test_muted_alerts_can_be_told_apart_and_are_not_counted_as_open(db: Database) -> None:
    silence(db, "source.ip = 10.0.0.1")
    quiet, loud = raised(db, match(), match(ip="10.0.0.2"))
    with db.read() as tx:
        assert [one.id for one in search(tx, Filter(muted=True))] == [quiet.id]
        assert [one.id for one in search(tx, Filter(muted=False))] == [loud.id]
        assert queries.counts(tx) == {(AlertStatus.OPEN, Level.LOW): 1}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), max_size=3),
    moments=st.lists(st.integers(0, 30), min_size=1, max_size=8),
)
def test_an_alert_is_announced_once_at_the_first_match_that_nothing_mutes(
    db: Database, spans: list[tuple[int, int]], moments: list[int]
) -> None:
    with db.begin() as tx:
        tx.execute(sa.update(AlertRow).values(status="closed"))
        for row in silences.all(tx):
            row.ends_at = row.starts_at  # those of the example before
        for start, hours in spans:
            begin = NOW + start * HOUR
            silences.add(
                tx,
                tenant="",
                matching=["rule = scan"],
                starts_at=begin,
                ends_at=begin + hours * HOUR,
                reason="r",
                author="a",
                now=NOW,
            )
    before = len(announced(db))
    moments.sort()
    for hour in moments:
        raised(db, match(at=NOW), now=NOW + hour * HOUR)
    free = [hour for hour in moments if not any(start <= hour < start + hours for start, hours in spans)]
    assert len(announced(db)) - before == (1 if free else 0)
    with db.read() as tx:
        (alert,) = [one for one in search(tx, Filter()) if one.status is not AlertStatus.CLOSED]
    assert alert.announced_at == (NOW + free[0] * HOUR if free else None)
    assert alert.count == len(moments)


def test_thousands_of_targets_with_as_many_standing_alerts_and_silences_are_decided_in_bounded_time(
    db: Database,
) -> None:
    raised(db, *(match("in", f"10.1.{i >> 8}.{i & 255}") for i in range(1000)), controls=INHIBIT)
    with db.begin() as tx:
        for number in range(500):
            wanted = [f"rule = other-{number}", "source.ip ~ 10.*"]
            silences.add(
                tx, tenant="", matching=wanted, starts_at=NOW, ends_at=NOW + HOUR, reason="r", author="a", now=NOW
            )
    begun = time.process_time()
    found = raised(db, *(match("guess", f"10.1.{i >> 8}.{i & 255}") for i in range(3000)), controls=INHIBIT)
    assert time.process_time() - begun < 10, "a few seconds; looking at every pair would take minutes"
    assert len(found) == 3000
    with db.read() as tx:
        muted = sa.select(sa.func.count()).where(AlertRow.muted_kind == "inhibition")
        assert tx.scalar(muted) == 1000
