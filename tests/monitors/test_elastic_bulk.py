from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
from typing import Any

import elasticsearch
import httpx
import orjson
import pytest
from elasticsearch import Elasticsearch, helpers
from hypothesis import given
from hypothesis import strategies as st

from monitors import bulk
from monitors.body import BodyError
from monitors.collector import Surroundings, build

TOKEN = "county-token-0123456789"
TOKENS = {hashlib.sha256(TOKEN.encode()).hexdigest(): "county"}
BASIC = ("anybody", TOKEN)
HEADER = {"authorization": "Basic " + base64.b64encode(":".join(BASIC).encode()).decode()}
LINE = b'{"create":{"_index":"logs"}}\n{"message":"one"}\n'


def listener(**settings: Any) -> Any:
    return build("elastic_bulk", {"port": 0, **settings}, Surroundings(tokens=lambda: TOKENS))


@pytest.fixture
def sink(new_sink: Any) -> Any:
    return new_sink()


def ask(
    running: Any, sink: Any, collector: Any, *requests: tuple[str, str, bytes, dict[str, str]]
) -> list[httpx.Response]:
    """Start the collector, send ``(method, path, body, headers)`` one after the other, and give the answers."""

    async def scenario() -> list[httpx.Response]:
        async with running(collector, sink), httpx.AsyncClient(trust_env=False, timeout=60) as client:
            base = "http://{}:{}".format(*collector.address)
            return [
                await client.request(m, base + path, content=body, headers=HEADER | h) for m, path, body, h in requests
            ]

    return asyncio.run(scenario())


def with_client(running: Any, sink: Any, collector: Any, use: Any, **options: Any) -> Any:
    """Start the collector and let ``use(client)`` work with the official client."""

    async def scenario() -> Any:
        async with running(collector, sink):
            with Elasticsearch("http://{}:{}".format(*collector.address), request_timeout=60, **options) as client:
                return await asyncio.to_thread(use, client)

    return asyncio.run(scenario())


@pytest.mark.parametrize("credentials", [{"basic_auth": BASIC}, {"api_key": ("id", TOKEN)}, {"bearer_auth": TOKEN}])
def test_the_official_client_sends_a_bulk(running: Any, sink: Any, credentials: dict[str, Any]) -> None:
    documents = [{"message": f"event {n}", "host": {"name": "web01"}, "n": n} for n in range(1200)]

    def use(client: Elasticsearch) -> Any:
        assert (client.info())["version"]["number"] == "8.19.0"
        return helpers.bulk(client, ({"_op_type": "create", "_index": "logs", **one} for one in documents))

    stored, errors = with_client(running, sink, listener(), use, http_compress=True, **credentials)
    assert (stored, errors) == (1200, [])
    assert [orjson.loads(raw) for raw in sink.raws] == documents
    assert {(one.tenant, one.collector, one.format) for one in sink.records} == {("county", "elastic_bulk", "json")}


def test_every_operation_has_its_status(running: Any, sink: Any) -> None:
    def use(client: Elasticsearch) -> Any:
        operations = [
            {"index": {"_index": "logs", "_id": "7"}},
            {"a": 1},
            {"update": {"_index": "logs", "_id": "7"}},
            {"doc": {"a": 2}},
            {"delete": {"_index": "logs", "_id": "7"}},
            {"create": {"_index": "logs"}},
            {"a": 3},
        ]
        one = client.index(index="logs", document={"a": 4}, op_type="create")
        return client.bulk(operations=operations), one

    collector = listener()
    answer, one = with_client(running, sink, collector, use, basic_auth=BASIC)
    assert answer["errors"] is True
    assert [(*item, item[next(iter(item))]["status"]) for item in answer["items"]] == [
        ("index", 201),
        ("update", 400),
        ("delete", 400),
        ("create", 201),
    ]
    assert answer["items"][0]["index"]["_id"] == "7"
    assert len(answer["items"][3]["create"]["_id"]) == 20
    assert one["result"] == "created"
    assert sink.raws == [b'{"a":4}', b'{"a":1}', b'{"a":3}']
    assert collector.counters.rejected["elastic_bulk"] == 2


def test_what_clients_do_when_they_start_lets_them_go_on(running: Any, sink: Any) -> None:
    def use(client: Elasticsearch) -> None:
        assert client.ping()
        assert (client.license.get())["license"]["status"] == "active"
        assert (client.cluster.health())["status"] == "green"
        assert not client.indices.exists_index_template(name="filebeat")
        assert (client.indices.put_index_template(name="filebeat", index_patterns=["f*"]))["acknowledged"]
        with pytest.raises(elasticsearch.NotFoundError):
            client.ilm.get_lifecycle(name="filebeat")
        assert (client.ilm.put_lifecycle(name="filebeat", policy={"phases": {}}))["acknowledged"]
        assert (client.ingest.put_pipeline(id="p", processors=[]))["acknowledged"]
        assert (client.indices.create_data_stream(name="logs-x"))["acknowledged"]
        assert client.indices.exists(index="logstash")
        assert (client.indices.create(index="logs"))["acknowledged"]
        with pytest.raises(elasticsearch.NotFoundError):
            client.search(index="logs")

    with_client(running, sink, listener(), use, basic_auth=BASIC)
    assert sink.records == []


def test_wrong_tokens_learn_nothing(running: Any, sink: Any) -> None:
    def use(client: Elasticsearch) -> None:
        with pytest.raises(elasticsearch.AuthenticationException):
            client.info()
        with pytest.raises(elasticsearch.AuthenticationException):
            client.bulk(operations=[{"create": {"_index": "x"}}, {}])

    collector = listener()
    with_client(running, sink, collector, use, basic_auth=("elastic", "wrong-password-1234567"))
    assert sink.records == []
    assert collector.counters.rejected["elastic_bulk"] == 2


def test_refusals_are_worded_as_elasticsearch_does(running: Any, sink: Any) -> None:
    collector = listener(max_body=4000, max_unpacked=10_000, max_messages=5)
    answers = ask(
        running,
        sink,
        collector,
        ("POST", "/_bulk", b"{}\n{}\n", {}),
        ("POST", "/_bulk", b'{"create":{}}\n', {}),
        ("POST", "/_bulk", b'{"create":[]}\n{}\n', {}),
        ("POST", "/_bulk", LINE * 6, {}),
        ("POST", "/_bulk", b"x" * 4001, {}),
        ("POST", "/_bulk", gzip.compress(b" " * 20_000), {"content-encoding": "gzip"}),
        ("POST", "/logs/_search", b"{}", {}),
        ("POST", "/logs/_doc", b"", {}),
        ("POST", "/_bulk", LINE, {"authorization": "Basic AAAAAAAAAAAAAAAAAAAAAAAA"}),
        ("POST", "/logs/_bulk?filter_path=errors,items.*.status", gzip.compress(LINE), {"content-encoding": "gzip"}),
    )
    assert [one.status_code for one in answers] == [400, 400, 400, 413, 413, 413, 404, 400, 401, 200]
    for one in answers[:-1]:
        assert one.json()["status"] == one.status_code
        assert one.json()["error"]["type"].endswith("exception")
    assert {one.headers["x-elastic-product"] for one in answers} == {"Elasticsearch"}
    assert "ApiKey" in answers[-2].headers["www-authenticate"]
    assert answers[-1].json()["items"] == [{"create": {"status": 201}}]
    assert answers[-1].json()["errors"] is False
    assert sink.raws == [b'{"message":"one"}']


def test_a_full_disk_and_too_much_tell_the_client_to_come_again(running: Any, sink: Any) -> None:
    sink.full = True
    (full,) = ask(running, sink, listener(), ("POST", "/_bulk", LINE, {}))
    assert (full.status_code, full.headers["retry-after"]) == (503, "30")
    sink.full = False
    first, second = ask(running, sink, listener(rate=0.5, burst=1), *[("POST", "/_bulk", LINE, {})] * 2)
    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["retry-after"]) >= 1
    assert len(sink.records) == 1


def test_a_sender_that_throws_away_what_is_refused_waits_for_its_answer(running: Any, sink: Any) -> None:
    async def scenario() -> bytes:
        collector = listener()
        sink.full = True
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.address)
            head = f"POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: {HEADER['authorization']}\r\nContent-Length: {len(LINE)}\r\n\r\n"
            writer.write(head.encode() + LINE)
            await sink.until(lambda: sink.attempts >= 2)
            assert sink.records == []
            sink.full = False
            status = await reader.readline()
            writer.close()
            return status

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200")
    assert sink.raws == [b'{"message":"one"}']


def test_what_is_no_json_is_stored_to_be_looked_at(running: Any, sink: Any) -> None:
    (answer,) = ask(running, sink, listener(max_message=480), ("POST", "/_bulk", LINE + b'{"index":{}}\n{"a":\n' + b'{"index":{}}\n' + b"x" * 600, {}))  # fmt: skip
    assert [next(iter(item.values()))["status"] for item in answer.json()["items"]] == [201] * 3
    assert sink.errors == ["", "", "oversized"]


documents = st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5), max_size=3).map(orjson.dumps)
operations = st.tuples(st.sampled_from(["index", "create", "update", "delete"]), documents)


@given(st.lists(operations, max_size=30), st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_every_operation_is_read_in_order(sent: list[tuple[str, bytes]], ending: bytes) -> None:
    body = b"".join(
        b'{"%s":{}}' % action.encode()
        + ending.replace(b"\n\n", b"\n")
        + (b"" if action == "delete" else source + ending)
        for action, source in sent
    )
    got = bulk.read(body, 30)
    assert [(one.action, one.source) for one in got] == [(a, b"" if a == "delete" else s) for a, s in sent]


@given(st.binary(max_size=300) | st.lists(st.sampled_from([b'{"index":{}}', b"{}", b"[", b""])).map(b"\n".join))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        assert len(bulk.read(body, 20)) <= 20
    except BodyError as error:
        assert error.status in {400, 413}
