"""What a matcher process answers: the events that were hit, and how time passed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.match.engine import Found
from secops.match.tenants import Engines
from secops.records import EVENT_ID, INGESTED, TENANT
from secops.wiring import Service
from secops.worker.matcher import answer, compact, read_range
from secops.worker.prepared import make_ready
from tests.detecting.world import service, store, write_rule


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("matcher") / "var") as made:
        write_rule(made, "squirrel-rule", "squirrel")
        words = ["squirrel" if n % 10 == 0 else "nothing" for n in range(200)]
        store(made, [f"<38>Nov 24 08:00:00 h1 app[1]: {word} {n}" for n, word in enumerate(words)])
        yield made


@pytest.fixture(scope="module")
def engine(found: Service) -> Engines:
    return make_ready(found.settings).engine


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 199), st.integers(1, 200))
def test_the_answer_is_what_the_role_itself_would_find(
    found: Service, engine: Engines, offset: int, limit: int
) -> None:
    [partition] = [p for p in range(found.log.partitions) if found.log.end(p)]
    limit = min(limit, 200 - offset)
    said = answer(engine, found.log, partition, offset, limit)
    events = found.log.read(partition, offset, limit)
    assert (said["following"], said["count"]) == (offset + limit, len(events))
    hit = {said["events"][at][EVENT_ID] for rule_id, at in said["hits"] if rule_id == "squirrel-rule"}
    assert hit == {event[EVENT_ID] for event in events if "squirrel" in event["message"]}
    assert said["events"][-1][EVENT_ID] == events[-1][EVENT_ID]
    assert {each[INGESTED][:16] for each in said["events"]} == {event[INGESTED][:16] for event in events}
    assert all(said["events"][at]["message"] for _, at in said["hits"])


def test_a_range_that_the_log_does_not_hold_is_an_error(found: Service) -> None:
    with pytest.raises(LookupError):
        read_range(found.log, 0 if not found.log.end(0) else 1, 0, 10)


class Trimmed:
    """A log whose oldest events were deleted."""

    def read(self, _partition: int, offset: int, limit: int, **_options: bool) -> list[dict[str, str]]:
        first = max(offset, 70)
        return [{EVENT_ID: f"0-{n}"} for n in range(first, min(first + limit, 100))]


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [(0, 10, []), (60, 20, range(70, 80)), (0, 100, range(70, 100)), (80, 5, range(80, 85))],
)
def test_nothing_past_a_range_is_read_where_its_beginning_was_deleted(offset: int, limit: int, expected: range) -> None:
    events = read_range(Trimmed(), 0, offset, limit)  # type: ignore[arg-type]
    assert [event[EVENT_ID] for event in events] == [f"0-{n}" for n in expected]


def test_nothing_is_made_of_nothing() -> None:
    assert compact([], []) == ([], [])


def test_hits_of_one_event_share_it(found: Service) -> None:
    rule = next(rule for rule in found.rules.rules if rule.id == "squirrel-rule")
    events = [{EVENT_ID: f"0-{n}", INGESTED: "2026-11-24T08:00:00Z", TENANT: "city", "x": n} for n in range(4)]
    kept, hits = compact(events, [Found(rule, 1, {}), Found(rule, 1, {}), Found(rule, 2, {})])
    assert hits == [("squirrel-rule", 1), ("squirrel-rule", 1), ("squirrel-rule", 2)]
    assert [each.get("x") for each in kept] == [None, 1, 2, None]
