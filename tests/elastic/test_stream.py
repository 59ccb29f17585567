"""The data stream: roll-over without a life-cycle module, expiry, what the documents look like to other programs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elastic_server import ElasticServer

from secops.errors import UserError
from secops.settings import Index as Settings
from secops.store.elasticsearch import ROLLOVER_CHECK_SECONDS, ElasticIndex, Layout
from secops.store.elasticsearch_open import open_elastic
from secops.store.elasticsearch_server import connect
from secops.store.index import Query

pytestmark = [pytest.mark.live, pytest.mark.process, pytest.mark.timeout(600)]

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def index(elastic_server: ElasticServer, clock: Clock) -> Iterator[ElasticIndex]:
    client = connect([elastic_server.url], seconds=60)
    layout = Layout(shards=2, replicas=0, rollover_size="1mb", rollover_age="1h")
    opened = ElasticIndex(
        client, f"t{secrets.token_hex(6)}", writable=True, refresh=True, layout=layout, clock=clock, page_seconds=1e9
    )
    yield opened
    opened.rebuild()
    opened.close()


def events(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "@timestamp": (START + timedelta(minutes=number)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "event.id": f"0-{number}",
            "organization.id": "city",
            "message": f"{number} {secrets.token_hex(600)}",
            "user.name": f"u{number % 3}",
            **more,
        }
        for number in range(first, first + count)
    ]


def test_before_the_first_event_everything_is_empty(index: ElasticIndex) -> None:
    for text in ("", "word", "user.name:x*", "NOT x", "event.id:/x/"):
        query = Query(text=text, tenants=frozenset({"city"}))
        page = index.search(query)
        assert (page.hits, page.total, page.total_exact, page.next) == ([], 0, True, None)
        assert index.facets(query, "user.name", 5) == []
        assert index.histogram(query, 5) == []
    assert index.position(3) == 0
    assert index.drop({0: 1}) == 0


def test_a_large_index_is_followed_by_a_new_one(index: ElasticIndex, clock: Clock) -> None:
    index.add(0, events(0, 3000))
    assert len(index._backing()) == 1
    clock.now += ROLLOVER_CHECK_SECONDS
    index._client.indices.flush(index=index._stream)
    index.add(0, events(3000, 10))
    assert len(index._backing()) == 2
    clock.now += ROLLOVER_CHECK_SECONDS
    index.add(0, events(3010, 10))
    assert len(index._backing()) == 2  # the new one is neither large nor old
    everything = Query(tenants=None)
    assert index.search(everything).total == 3020
    assert sum(count for _, count in index.facets(everything, "user.name", 9)) == 3020
    assert index.position(0) == 3020


def test_events_leave_the_index_when_the_log_has_none_of_them_left(index: ElasticIndex, clock: Clock) -> None:
    """By the retention of their tenants, which the log enforces: an index goes whole, and never before its last event."""
    index.add(0, events(0, 3000))
    index.add(1, [{**event, "event.id": f"1-{number}"} for number, event in enumerate(events(0, 100))])
    clock.now += ROLLOVER_CHECK_SECONDS
    index._client.indices.flush(index=index._stream)
    index.add(0, events(3000, 10))
    assert len(index._backing()) == 2
    index.add(0, events(3010, 10))  # the first that lie in the new one
    everything = Query(tenants=None)
    assert index.drop({0: 0, 1: 0}) == 0
    assert index.drop({0: 3010, 1: 99}) == 0, "one event of the other partition is still kept"
    assert index.drop({0: 3009, 1: 100}) == 0
    assert index.search(everything).total == 3120
    assert index.drop({0: 3010, 1: 100}) == 1
    assert index.search(everything).total == 10
    assert index.drop({0: 3020, 1: 100}) == 0, "the index that is written to stays"
    assert index.position(0) == 3020


def test_facets_are_exact_where_a_shard_holds_more_values_than_it_reports(
    index: ElasticIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secops.store.elasticsearch_find.MAX_TERMS", 10)
    stored = events(0, 1200)
    for number, event in enumerate(stored):
        event["user.name"] = f"u{number % 397}"
        event["message"] = "x"
    index.add(0, stored)
    found = index.facets(Query(tenants=None), "user.name", 12)
    assert found == [(f"u{number}", 4) for number in sorted(range(9), key=str)] + [("u10", 3), ("u100", 3), ("u101", 3)]


def test_other_programs_find_ecs_fields_in_the_documents(index: ElasticIndex) -> None:
    index.add(0, events(0, 1, **{"source.ip": "10.1.2.3", "original": {"EventID": 4625}, "strange": {"a": 1}}))
    answer = index._client.search(
        index=index._stream,
        query={
            "bool": {
                "filter": [
                    {"term": {"source.ip": "10.0.0.0/8"}},
                    {"term": {"user.name": "u0"}},
                    {"term": {"original.EventID": "4625"}},
                    {"range": {"@timestamp": {"gte": START.isoformat()}}},
                ]
            }
        },
    )
    (hit,) = answer["hits"]["hits"]
    assert hit["_id"] == "0-0"
    assert hit["_source"]["original"] == {"EventID": 4625}
    assert not [name for name in hit["_source"] if name.startswith(("text.", "folded.", "number."))]


def test_what_the_server_refuses_is_kept_whole_and_found(index: ElasticIndex) -> None:
    index.add(0, events(0, 1))
    index._client.indices.put_mapping(index=index._stream, properties={"folded.strange": {"type": "long"}})
    original = index._writer.create
    twisted: list[str] = []

    def twist(documents: Any) -> Any:
        """Spoil a document once, as a mapping that somebody changed by hand would."""
        if not twisted:
            twisted.append("done")
            documents = [each._replace(body=each.body[:-1] + b',"folded.strange":"no number"}') for each in documents]
        return original(documents)

    index._writer.create = twist  # type: ignore[method-assign]
    stored = events(1, 2, message="twisted words")
    index.add(0, stored)
    for text, hits in (("twisted", 2), ("NOT twisted", 1), ("user.name:u1", 1), ("message:*wist*", 2), ("", 3)):
        page = index.search(Query(text=text, tenants=frozenset({"city"})))
        assert (page.total, len(page.hits)) == (hits, hits), text
    assert dict(index.facets(Query(text="twisted", tenants=None), "user.name", 9)) == {"u1": 1, "u2": 1}
    assert index.search(Query(text="twisted", tenants=frozenset({"east"}))).total == 0


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "index.url"),
        ({"url": "https://user:secret@es.example:9200"}, "index.url"),
        ({"url": "es.example"}, "index.url"),
        ({"url": "https://es.example:9200,http://10.1.2.3:9200", "credentials": "user:secret"}, "index.url"),
        ({"url": "https://es.example:9200", "ca_file": "/nonexistent.pem"}, "index.ca_file"),
        ({"url": "https://es.example:9200", "credentials_file": "/nonexistent"}, "index.credentials_file"),
        ({"url": "https://es.example:9200", "credentials": "secret"}, "index.credentials"),
    ],
)
def test_half_a_configuration_is_refused_without_showing_secrets(said: dict[str, Any], code: str) -> None:
    with pytest.raises(UserError) as refused:
        open_elastic(Settings(engine="elasticsearch", **said), writable=False)
    assert refused.value.code == code
    assert "secret" not in refused.value.zh + refused.value.en
