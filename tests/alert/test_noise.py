from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from secops.alert import noise, queries, silences
from secops.alert.controls import Controls
from secops.alert.group import raise_alerts
from secops.alert.noise import NoiseRow
from secops.alert.queries import Disposition
from secops.db import Database
from secops.records import Alert, Level, Match, RuleInfo

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
RULES = {
    name: RuleInfo(id=name, title=name.title(), title_zh=f"规则{name}", level=Level.MEDIUM) for name in ("loud", "calm")
}


def raised(
    db: Database, rule: str, ip: str, at: datetime, *, tenant: str = "city", count: int = 1, storm: int = 0
) -> Alert:
    match = Match(
        tenant=tenant, rule_id=rule, at=at, event_ids=(), group=(("source.ip", ip), ("at", str(at))), count=count
    )
    with db.begin() as tx:
        return raise_alerts(tx, [match], RULES, at, Controls(storm_alerts=storm))[0]


def closed(db: Database, alert: Alert, after: timedelta, disposition: Disposition) -> None:
    with db.begin() as tx:
        queries.close(tx, alert.id, actor="w", reason="r", now=alert.created_at + after, disposition=disposition)


def reported(
    db: Database, tenants: frozenset[str] | None = None, start: datetime = START, end: datetime = END
) -> list[NoiseRow]:
    with db.read() as tx:
        return noise.report(tx, tenants=tenants, start=start, end=end)


def test_a_rule_is_told_with_its_figures_and_the_noisiest_comes_first(db: Database) -> None:
    for number in range(6):
        alert = raised(db, "loud", "10.0.0.1" if number < 5 else "10.0.0.2", START + timedelta(hours=number), count=3)
        if number < 3:
            closed(db, alert, timedelta(minutes=10 * (number + 1)), Disposition.FALSE_POSITIVE)
        elif number < 5:
            closed(db, alert, timedelta(minutes=100), Disposition.BENIGN if number == 3 else Disposition.TRUE_POSITIVE)
    raised(db, "calm", "10.0.0.9", START)
    with db.begin() as tx:
        silences.add(
            tx,
            tenant="",
            matching=["rule = calm"],
            starts_at=START,
            ends_at=START + timedelta(days=9),
            reason="r",
            author="a",
            now=START,
        )
    raised(db, "calm", "10.0.0.9", START + timedelta(days=2))
    loud, calm = reported(db)
    assert (loud.rule_id, loud.title_zh, loud.alerts, loud.events) == ("loud", "规则loud", 6, 18)
    assert (loud.closed, loud.false_positive, loud.benign, loud.wrong) == (5, 3, 1, 0.8)
    assert loud.time_to_close == timedelta(minutes=30)
    assert loud.top[0] == ("source.ip", "10.0.0.1", 5)
    assert loud.share == pytest.approx(0.75)
    assert (calm.alerts, calm.muted, calm.time_to_close, calm.wrong) == (2, 1, None, 0)
    assert "10.0.0.1" in loud.suggestions[0].zh
    assert "exception" in loud.suggestions[0].en
    assert calm.suggestions == ()


def test_the_span_is_half_open_and_other_tenants_are_left_out(db: Database) -> None:
    raised(db, "loud", "a", START)
    raised(db, "loud", "b", END)
    raised(db, "loud", "c", START, tenant="north")
    assert [row.alerts for row in reported(db)] == [2]
    assert [row.alerts for row in reported(db, frozenset({"north"}))] == [1]
    assert reported(db, frozenset()) == []
    assert reported(db, start=END, end=END + timedelta(days=1))[0].alerts == 1


def test_days_without_alerts_are_there(db: Database) -> None:
    raised(db, "loud", "a", START + timedelta(hours=1))
    raised(db, "loud", "b", START + timedelta(days=2))
    with db.read() as tx:
        days = noise.by_day(tx, tenants=None, start=START, end=START + timedelta(days=4))
        assert [number for _, number in days] == [1, 0, 1, 0]
        assert noise.by_day(tx, tenants=frozenset({"x"}), start=START, end=START + timedelta(days=1)) == [(START, 0)]
        assert sum(number for _, number in noise.by_day(tx, tenants=None, start=START, end=END, rule_id="calm")) == 0


def row(**changes: object) -> NoiseRow:
    plain: dict[str, object] = {
        "rule_id": "r", "title": "R", "title_zh": "规则", "events": 100, "alerts": 60, "muted": 0, "storms": 0, "closed": 0, "false_positive": 0, "benign": 0, "time_to_close": None, "top": (), "share": 0.1,
    }  # fmt: skip
    return NoiseRow(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (row(), ""),
        (row(closed=4, false_positive=4), ""),  # too few to say
        (row(closed=10, false_positive=4), ""),
        (row(closed=10, false_positive=3, benign=2), "tighten"),
        (row(closed=10, false_positive=9, top=(("user.name", "backup", 40),)), "exception"),
        (row(closed=10, false_positive=9, top=(("user.name", "backup", 20),)), "tighten"),
        (row(storms=2), "storms"),
        (row(share=0.4), "40% of all alerts"),
        (row(share=0.4, alerts=9), ""),
    ],
)
def test_suggestions_follow_from_the_figures(given: NoiseRow, word: str) -> None:
    said = noise.advise(given, 60)
    assert (word in said[0].en) if word else said == []


def test_a_storm_is_suggested_about(db: Database) -> None:
    for number in range(4):
        raised_ = raised(db, "loud", str(number), START, storm=2) if number < 3 else None
        assert raised_ is None or raised_.storm is (number == 2)
    assert [row.storms for row in reported(db)] == [1]
