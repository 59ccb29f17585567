"""What the embedded log promises (tests/store/test_log.py), of Kafka; and what only Kafka can do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import wait_until

from secops.records import EventId
from secops.store import frames
from secops.store.kafka import KafkaLog
from secops.store.kafka_client import Place
from secops.store.kafka_topics import TopicUnfit, make_topics
from secops.store.log import LogBusy

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kafka")]
Opened = Callable[..., KafkaLog]


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"message": f"event {number}", "number": number, **fields}


def numbers(log: KafkaLog, partition: int, limit: int = 7) -> list[int]:
    found: list[int] = []
    offset = 0
    while events := log.read(partition, offset, limit):
        found += [stored["number"] for stored in events]
        offset = EventId.parse(events[-1]["event.id"]).offset + 1
    return found


def test_what_is_appended_is_read_in_order_with_ids(opened: Opened) -> None:
    log = opened("a")
    log.append({0: [event(1), event(2)], 3: [event(3)]}, {"file": [5, "x"]})
    log.append({0: [event(4)]})
    assert [stored["event.id"] for stored in log.read(0, 0, 10)] == ["0-0", "0-1", "0-3"], "a mark lies between"
    assert numbers(log, 0) == [1, 2, 4]
    assert numbers(log, 3) == [3]
    assert [log.end(partition) for partition in range(4)] == [4, 0, 0, 1]
    assert log.positions() == {"file": [5, "x"]}
    assert log.read(0, 4, 10) == []
    assert log.read(9, 0, 10) == []


def test_end_is_one_past_the_last_event_whatever_lies_behind_it(opened: Opened, place: Place) -> None:
    log = opened("a")
    log.append({0: [event(1)]})
    assert opened().end(0) == 1
    unfinished = Producer({**place.client, "transactional.id": "stranger", "log_level": 0})
    unfinished.init_transactions(10)
    for _ in range(30):
        unfinished.begin_transaction()
        for number in range(3):
            unfinished.produce(place.topic, orjson.dumps(event(number)), partition=0)
        unfinished.flush(10)
        unfinished.abort_transaction(10)
    assert opened().end(0) == 1, "thirty batches taken back count for nothing"
    log.append({0: [event(2)]})
    reader = opened()
    assert reader.end(0) > 100
    assert numbers(reader, 0) == [1, 2]
    assert reader.get([EventId(0, 1), EventId(0, reader.end(0) - 1)])[0]["number"] == 2


def test_get_keeps_the_asked_order_and_leaves_out_what_is_not_there(opened: Opened) -> None:
    log = opened("a")
    log.append({1: [event(number) for number in range(2000)], 2: [event(7)]})
    wait_until(lambda: log.end(1) == 2000 and log.end(2) == 1, what="the batch to be seen")
    asked = [EventId(1, 1999), EventId(2, 0), EventId(1, 3), EventId(1, 2000), EventId(0, 0), EventId(1, 3)]
    assert [stored["event.id"] for stored in log.get([*asked, EventId(99, 0)])] == ["1-1999", "2-0", "1-3", "1-3"]
    log.append({1: [event(2000)]})
    wait_until(lambda: log.end(1) == 2002, what="the batch to be seen")
    assert [stored["number"] for stored in log.get([EventId(1, 2001), EventId(1, 1990)])] == [2000, 1990]


def test_event_id_is_never_stored(opened: Opened) -> None:
    log = opened("a")
    log.append({0: [event(1, **{"event.id": "9-9"})]})
    wait_until(lambda: log.end(0) == 1, what="the event to be seen")
    assert b"event.id" not in log.lines([EventId(0, 0)])[EventId(0, 0)]
    assert log.read(0, 0, 1)[0]["event.id"] == "0-0"


def test_reopened_log_goes_on_where_it_was(opened: Opened) -> None:
    for round_number in range(3):
        log = opened("a")
        log.append({2: [event(0), event(1)]}, {f"source {round_number}": round_number})
    reader = opened()
    assert reader.positions() == {"source 0": 0, "source 1": 1, "source 2": 2}
    assert opened("a").positions() == reader.positions()
    assert numbers(reader, 2) == [0, 1] * 3


def test_positions_alone_are_durable_and_each_writer_has_its_own(opened: Opened) -> None:
    log, other = opened("a"), opened("b")
    log.append({}, {"journal": "s=1"})
    other.append({}, {"journal": "t=9"})
    log.append({0: [event(1)]})
    log.append({}, {"journal": "s=2"})
    assert opened("a").positions() == {"journal": "s=2"}
    assert opened("b").positions() == {"journal": "t=9"}


def test_two_writers_interleave_and_each_partition_has_one_order(opened: Opened) -> None:
    writers = [opened("a"), opened("b")]
    for number in range(40):
        writers[number % 2].append({0: [event(number)]})
    assert numbers(opened(), 0) == list(range(40))


def test_a_writer_whose_name_was_taken_over_stores_nothing_more(opened: Opened) -> None:
    first = opened("a")
    first.append({0: [event(1)]})
    second = opened("a")
    with pytest.raises(LogBusy):
        first.append({0: [event(2)]}, {"s": 1})
    second.append({0: [event(3)]})
    assert numbers(opened(), 0) == [1, 3]
    assert second.positions() == {}


def test_reading_log_does_not_append(opened: Opened) -> None:
    with pytest.raises(PermissionError):
        opened().append({0: [event(1)]})
    with pytest.raises(ValueError, match="partition 4"):
        opened("a").append({4: [event(1)]})


def test_consumers_remember_their_offsets(opened: Opened) -> None:
    log = opened("a")
    assert log.committed("index", 1) == 0
    log.commit("index", 1, 17)
    log.commit("detect", 1, 3)
    reader = opened()
    assert (reader.committed("index", 1), reader.committed("detect", 1)) == (17, 3)
    for hostile in ("", "../x", "a/b", "A", "x" * 65):
        with pytest.raises(ValueError, match="consumer name"):
            log.commit(hostile, 0, 1)


def test_a_follower_sees_what_is_appended_while_it_reads_and_may_go_back(opened: Opened) -> None:
    log, reader = opened("a"), opened()
    assert reader.read(0, 0, 10) == []
    log.append({0: [event(n) for n in range(50)], 1: [event(n) for n in range(30)]})
    wait_until(lambda: numbers(reader, 0) == list(range(50)), what="the batch to be seen")
    assert numbers(reader, 1, 1000) == list(range(30))
    assert [stored["number"] for stored in reader.read(0, 20, 3)] == [20, 21, 22]
    assert [stored["number"] for stored in reader.read(0, 20, 3)] == [20, 21, 22]
    assert [stored["number"] for stored in reader.read(0, 3, 2)] == [3, 4]
    assert [stored["number"] for stored in reader.read(0, 49, 2)] == [49]


def test_a_partition_that_nobody_reads_is_held_back_and_goes_on_later(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secops.store.kafka_follow.AHEAD_EVENTS", 500)
    log, reader = opened("a"), opened()
    for _ in range(10):
        log.append({0: [event(n) for n in range(400)], 1: [event(n) for n in range(400)]})
    assert reader.read(1, 0, 5)
    assert len(numbers(reader, 0, 100)) == 4000
    assert len(reader._follower._stretches[1].events) < 500 + 5000
    assert len(numbers(reader, 1, 100)) == 4000


def test_other_number_of_partitions_is_refused(place: Place) -> None:
    with pytest.raises(TopicUnfit, match="has 4 partitions"):
        make_topics(Place(place.topic, 8, place.client), replication=1, retention_days=200)


def test_a_topic_that_forgets_too_early_is_refused(place: Place) -> None:
    short = Place(f"{place.topic}-short", 1, place.client)
    with pytest.raises(TopicUnfit, match="less than six months"):
        make_topics(short, replication=1, retention_days=30)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), min_size=1, max_size=4))
def test_whatever_comes_is_stored_and_comes_back(opened: Opened, batch: list[dict[str, Any]]) -> None:
    log = opened("a")
    before = log.end(0)
    log.append({0: batch})
    wait_until(lambda: log.end(0) > before, what="the batch to be seen")
    found = log.read(0, before, 1000)
    expected = [orjson.loads(frames.to_line(stored)) for stored in batch]
    assert [{k: v for k, v in stored.items() if k != "event.id"} for stored in found] == expected
