from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from secops.store.kafka_client import Place
from secops.store.kafka_topics import DAY_MS, _settings, keep_at_least
from secops.store.retention import Retention

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kafka")]


def kept(place: Place) -> int:
    return int(_settings(AdminClient(place.properties()), place, place.topic)["retention.ms"]) // DAY_MS


def test_the_topic_keeps_events_as_long_as_any_tenant_asks_and_is_never_made_shorter(place: Place) -> None:
    assert kept(place) == 200
    assert not keep_at_least(place, Retention(184).longest)
    assert kept(place) == 200, "what was set longer stays so"
    assert keep_at_least(place, Retention(184, {"a": 365, "b": 190}).longest)
    assert kept(place) == 365
    assert not keep_at_least(place, Retention(184, {"a": 365}).longest)
    assert not keep_at_least(place, Retention(184).longest)
    assert kept(place) == 365, "shorter is a person's act"


def test_days_count_from_the_brokers_clock(place: Place) -> None:
    settings = _settings(AdminClient(place.properties()), place, place.topic)
    assert settings["message.timestamp.type"] == "LogAppendTime"
