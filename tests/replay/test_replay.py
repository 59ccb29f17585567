"""Rules over history: the same hits as live, within a span, for some tenants, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops import rule_desk
from secops.errors import UserError
from secops.match.overrides import Overrides
from secops.match.rule import RuleSet
from secops.replay import Limits, Replay, replay, rule_with_feeders
from secops.rulebook import stats
from secops.wiring import Service
from tests.detecting.world import NOW, RULE, alerts, detecting, finish, service, store

HOUR = timedelta(hours=1)
COUNT = """
title: many squirrels
id: many-squirrels
level: high
correlation:
  type: event_count
  rules: [squirrel-rule]
  group-by: [host.name]
  timespan: 1h
  condition: {gte: 3}
"""
TEXT = RULE.format(title="squirrel", id="squirrel-rule", text="squirrel")


def line(number: int, word: str = "squirrel") -> str:
    moment = NOW + timedelta(seconds=number)
    return f"<38>{moment:%b %d %H:%M:%S} h{number % 3} app[1]: {word} {number}"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An hour of events, a tenth of them squirrels of two tenants."""
    with service(tmp_path_factory.mktemp("replay") / "var") as made:
        lines = [line(n, "squirrel" if n % 10 == 0 else "nothing") for n in range(3600)]
        store(made, lines[:1800], tenant="city")
        store(made, lines[1800:], tenant="county-a", first=1800)
        yield made


def rules_of(found: Service, text: str) -> tuple[RuleSet, frozenset[str]]:
    file = found.run_dir / "asked.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return rule_desk.rules_of_file(found, file)


def run(found: Service, text: str = TEXT, start: datetime = NOW, end: datetime = NOW + HOUR, **more: object) -> Replay:
    rules, only = rules_of(found, text)
    return replay(found, rules, start=start, end=end, only=only, **more)  # type: ignore[arg-type]


def test_a_rule_finds_over_the_log_what_it_would_have_found_live(found: Service) -> None:
    seen: list[tuple[int, int]] = []
    result = run(found, progress=lambda done, of: seen.append((done, of)))
    assert (result.events, result.hits, result.truncated) == (3600, 360, "")
    assert result.by_rule == {"squirrel-rule": 360}
    assert result.by_tenant == {"city": 180, "county-a": 180}
    assert result.by_host == {"h0": 120, "h1": 120, "h2": 120}
    assert result.by_hour == {"2026-11-24T08:00:00Z": 360}
    assert len(result.samples) == 20
    assert "squirrel" in result.samples[0].message
    assert result.samples[0].fields
    assert seen[-1][0] == seen[-1][1] > 0


def test_nothing_is_stored_by_a_replay(found: Service) -> None:
    run(found)
    assert alerts(found) == []
    with found.database.read() as tx:
        assert stats.all(tx) == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-100, 3700), st.integers(1, 3700))
def test_exactly_the_events_received_within_the_span_are_looked_at(found: Service, start: int, length: int) -> None:
    result = run(found, start=NOW + timedelta(seconds=start), end=NOW + timedelta(seconds=start + length))
    inside = range(max(start, 0), max(0, min(start + length, 3600)))
    assert result.events == len(inside)
    assert result.hits == sum(n % 10 == 0 for n in inside)


def test_only_the_tenants_asked_for_are_looked_at(found: Service) -> None:
    result = run(found, tenants=frozenset({"county-a"}))
    assert (result.events, result.by_tenant) == (1800, {"county-a": 180})
    assert run(found, tenants=frozenset()).events == 0


def test_exceptions_count_where_asked_for(found: Service) -> None:
    result = run(found, overrides=Overrides(off=frozenset({("city", "squirrel-rule")})))
    assert (result.hits, result.excepted) == (180, 180)


def test_a_limit_ends_it_and_is_named(found: Service) -> None:
    assert run(found, limits=Limits(events=2000)).truncated == "events"
    short = run(found, limits=Limits(seconds=0.0))
    assert short.truncated == "seconds"
    assert 0 < short.events < 3600


def test_it_can_be_stopped_from_outside(found: Service) -> None:
    def stop(_done: int, _of: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(found, progress=stop)


@pytest.mark.parametrize(
    ("start", "end"),
    [(NOW, NOW), (NOW + HOUR, NOW), (NOW.replace(tzinfo=None), NOW), (NOW - timedelta(days=9999), NOW)],
)
def test_a_span_that_is_none_is_refused(found: Service, start: datetime, end: datetime) -> None:
    with pytest.raises(UserError, match="span"):
        run(found, start=start, end=end)


def test_a_correlation_counts_over_hosts_and_partitions_and_its_feeders_are_not_reported(found: Service) -> None:
    both = f"{TEXT}---{COUNT}"
    rules, only = rules_of(found, both)
    assert only == {"squirrel-rule", "many-squirrels"}
    result = replay(found, rules, start=NOW, end=NOW + HOUR, only=frozenset({"many-squirrels"}))
    assert set(result.by_rule) == {"many-squirrels"}
    assert set(result.by_host) == {"h0", "h1", "h2"}


def test_live_and_replay_agree(tmp_path: Path) -> None:
    lines = [
        f"<38>{NOW + timedelta(seconds=n):%b %d %H:%M:%S} host{n % 5} sshd[{n}]: "
        f"Failed password for user{n % 7} from 203.0.113.{n % 4} port 4022 ssh2"
        for n in range(300)
    ]
    with service(tmp_path / "var") as made:
        store(made, lines)
        with detecting(made) as role:
            finish(role)
        result = replay(made, made.rules, start=NOW, end=NOW + HOUR)
        live = {rule for rule, _, _, _ in alerts(made)}
    assert live
    assert set(result.by_rule) == live


def test_a_rule_of_the_service_comes_with_what_feeds_it(found: Service) -> None:
    correlation = next(rule for rule in found.rules.rules if hasattr(rule.body, "rules"))
    needed = rule_with_feeders(found.rules, correlation)
    assert [rule.id for rule in needed.rules][-1] == correlation.id
    assert len(needed.rules) > 1
    with pytest.raises(UserError, match="No rule"):
        rule_desk.find(found, "no-such-rule")


@pytest.mark.parametrize("text", ["title: [broken", "", "title: x\nid: y\n"])
def test_a_file_without_a_rule_says_where_and_why(found: Service, text: str) -> None:
    with pytest.raises(UserError) as caught:
        rules_of(found, text)
    assert caught.value.zh


def test_a_correlation_may_refer_to_a_rule_of_the_service(found: Service) -> None:
    feeder = next(rule for rule in found.rules.rules if not hasattr(rule.body, "rules"))
    rules, only = rules_of(found, COUNT.replace("squirrel-rule", feeder.id))
    assert only == {"many-squirrels"}
    assert {rule.id for rule in rules.rules} == {feeder.id, "many-squirrels"}


def test_an_empty_log_gives_nothing(tmp_path: Path) -> None:
    with service(tmp_path / "var") as made:
        made.writable_log().close()
        assert run(made, start=datetime(2026, 1, 1, tzinfo=UTC)).events == 0
