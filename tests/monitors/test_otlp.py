from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from monitors import otlp
from monitors.body import BodyError
from monitors.collector import Surroundings, build

TOKEN = "county-token-0123456789"
TOKENS = {hashlib.sha256(TOKEN.encode()).hexdigest(): "county"}
BEARER = {"authorization": f"Bearer {TOKEN}"}
AT = 1_795_507_200_000_000_000


def listener(**settings: Any) -> Any:
    return build("otlp", {"port": 0, **settings}, Surroundings(tokens=lambda: TOKENS))


@pytest.fixture
def sink(new_sink: Any) -> Any:
    return new_sink()


def request_of(*bodies: Any, **resource: str) -> ExportLogsServiceRequest:
    """A request of one resource and scope with a record for each text."""
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    for key, value in resource.items():
        logs.resource.attributes.add(key=key).value.string_value = value
    scope = logs.scope_logs.add()
    scope.scope.name = "app"
    for body in bodies:
        scope.log_records.add(time_unix_nano=AT).body.string_value = body
    return request


def post(running: Any, sink: Any, collector: Any, *requests: tuple[bytes, str, dict[str, str]]) -> list[httpx.Response]:
    async def scenario() -> list[httpx.Response]:
        async with running(collector, sink), httpx.AsyncClient(trust_env=False, timeout=60) as client:
            url = "http://{}:{}/v1/logs".format(*collector.address)
            return [
                await client.post(url, content=body, headers={**BEARER, "content-type": kind, **headers})
                for body, kind, headers in requests
            ]

    return asyncio.run(scenario())


@contextmanager
def provider(endpoint: str, compression: Compression) -> Iterator[LoggerProvider]:
    """An application's logging as OpenTelemetry's SDK does it."""
    exporter = OTLPLogExporter(endpoint=endpoint, headers=BEARER, compression=compression, timeout=60)
    made = LoggerProvider(resource=Resource({"service.name": "shop", "host.name": "web01"}), shutdown_on_exit=False)
    made.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=5000))
    try:
        yield made
    finally:
        made.shutdown()


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
def test_the_real_sdk_sends_and_everything_is_stored(running: Any, sink: Any, compression: Compression) -> None:
    def send(endpoint: str) -> None:
        with provider(endpoint, compression) as made:
            logger = made.get_logger("shop.orders", "1.2")
            for n in range(1000):
                logger.emit(
                    LogRecord(
                        timestamp=AT + n,
                        severity_number=SeverityNumber.ERROR,
                        severity_text="ERROR",
                        body={"text": f"order {n}", "parts": [n, 1.5, True, None, b"\x00\xff"]},
                        attributes={"user.name": "li", "n": n},
                    )
                )

    async def scenario() -> None:
        collector = listener()
        async with running(collector, sink):
            await asyncio.to_thread(send, "http://{}:{}/v1/logs".format(*collector.address))

    asyncio.run(scenario())
    documents = [orjson.loads(raw) for raw in sink.raws]
    assert sorted(document["logRecord"]["attributes"]["n"] for document in documents) == list(range(1000))
    first = next(one for one in documents if one["logRecord"]["attributes"]["n"] == 0)
    assert first["resource"] == {"service.name": "shop", "host.name": "web01"}
    assert first["scope"] == {"name": "shop.orders", "version": "1.2"}
    log = first["logRecord"]
    assert log["body"] == {"text": "order 0", "parts": [0, 1.5, True, None, "AP8="]}
    assert (log["timeUnixNano"], log["severityNumber"], log["severityText"]) == (AT, 17, "ERROR")
    assert {(one.tenant, one.collector, one.format, one.error) for one in sink.records} == {
        ("county", "otlp", "json", "")
    }


def test_protobuf_and_json_say_the_same(running: Any, sink: Any) -> None:
    request = request_of("hello", **{"host.name": "web01"})
    log = request.resource_logs[0].scope_logs[0].log_records[0]
    log.trace_id, log.span_id, log.severity_number = bytes(range(16)), bytes(range(8)), 9
    log.attributes.add(key="n").value.int_value = -5
    log.attributes.add(key="list").value.array_value.values.add().kvlist_value.values.add(
        key="a"
    ).value.double_value = 0.5
    written = {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "web01"}}]},
                "scopeLogs": [
                    {
                        "scope": {"name": "app", "version": ""},
                        "logRecords": [
                            {
                                "timeUnixNano": str(AT),
                                "severityNumber": 9,
                                "body": {"stringValue": "hello"},
                                "traceId": bytes(range(16)).hex(),
                                "spanId": bytes(range(8)).hex(),
                                "attributes": [
                                    {"key": "n", "value": {"intValue": "-5"}},
                                    {
                                        "key": "list",
                                        "value": {
                                            "arrayValue": {
                                                "values": [
                                                    {
                                                        "kvlistValue": {
                                                            "values": [{"key": "a", "value": {"doubleValue": 0.5}}]
                                                        }
                                                    }
                                                ]
                                            }
                                        },
                                    },
                                ],
                            }
                        ],
                    }
                ],
            }
        ]
    }
    proto, plain = post(
        running,
        sink,
        listener(),
        (gzip.compress(request.SerializeToString()), otlp.PROTOBUF, {"content-encoding": "gzip"}),
        (orjson.dumps(written), "application/json; charset=utf-8", {}),
    )
    assert (proto.status_code, proto.content, proto.headers["content-type"]) == (200, b"", otlp.PROTOBUF)
    assert (plain.status_code, plain.json()) == (200, {})
    from_proto, from_json = (orjson.loads(raw) for raw in sink.raws)
    assert from_proto["resource"] == from_json["resource"]
    assert from_proto["scope"] == from_json["scope"]
    assert {k: v for k, v in from_proto["logRecord"].items() if v} == {
        k: v for k, v in from_json["logRecord"].items() if v
    }


def test_a_record_that_cannot_be_read_is_kept_and_told_as_a_partial_success(running: Any, sink: Any) -> None:
    good, bad = request_of("hello").SerializeToString(), b"\x0a\x05\x12\x03\x12\x01\xff"
    deep = {"stringValue": "x"}
    for _ in range(70):
        deep = {"arrayValue": {"values": [deep]}}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": deep}, {"body": {"stringValue": "good"}}]}]}]}
    collector = listener()
    proto, plain = post(running, sink, collector, (good + bad, otlp.PROTOBUF, {}), (orjson.dumps(logs), otlp.JSON, {}))
    said = ExportLogsServiceResponse.FromString(proto.content).partial_success
    assert (proto.status_code, said.rejected_log_records) == (200, 1)
    assert "quarantine" in said.error_message
    assert plain.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert sorted(sink.errors) == ["", "", "malformed", "malformed"]
    assert collector.counters.rejected["otlp"] == 2


def test_refusals_carry_a_status_in_the_senders_own_form(running: Any, sink: Any) -> None:
    hello = request_of("hello").SerializeToString()
    answers = post(
        running,
        sink,
        listener(max_messages=3, max_message=480),
        (hello, otlp.PROTOBUF, {"authorization": "Bearer wrong-token-0123456"}),
        (hello, "text/plain", {}),
        (b"\x0a\xff", otlp.PROTOBUF, {}),
        (b"[", otlp.JSON, {}),
        (b"[]", otlp.JSON, {}),
        (request_of(*"abcd").SerializeToString(), otlp.PROTOBUF, {}),
        (request_of("a", big="x" * 500).SerializeToString(), otlp.PROTOBUF, {}),
    )
    assert [one.status_code for one in answers] == [401, 415, 400, 400, 400, 413, 413]
    for one in (answers[0], answers[2], answers[5]):
        assert "/" in Status.FromString(one.content).message
    assert "/" in answers[3].json()["message"]
    assert sink.records == []


def test_a_full_disk_and_too_much_tell_the_sender_when_to_come_again(running: Any, sink: Any) -> None:
    hello = (request_of("hello").SerializeToString(), otlp.PROTOBUF, {})
    sink.full = True
    (full,) = post(running, sink, listener(), hello)
    sink.full = False
    first, second = post(running, sink, listener(rate=0.5, burst=1), hello, hello)
    assert (full.status_code, first.status_code, second.status_code) == (503, 200, 429)
    assert int(full.headers["retry-after"]) == 30
    assert int(second.headers["retry-after"]) >= 1


@given(st.binary(max_size=200), st.sampled_from([otlp.read_protobuf, otlp.read_json]))
def test_any_body_is_read_or_refused(body: bytes, read: Any) -> None:
    try:
        read(body, most=10, longest=500)
    except BodyError as error:
        assert error.status in {400, 413}


@given(st.lists(st.text(max_size=8), max_size=8), st.data())
def test_a_damaged_request_is_read_or_refused(texts: list[str], data: st.DataObject) -> None:
    body = bytearray(request_of(*texts).SerializeToString())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        logs = otlp.read_protobuf(bytes(body), most=10, longest=500)
    except BodyError as error:
        assert error.status in {400, 413}
    else:
        assert len(logs.documents) + len(logs.damaged) <= 10


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceLogs",
                    "scopeLogs",
                    "logRecords",
                    "resource",
                    "scope",
                    "attributes",
                    "body",
                    "key",
                    "value",
                    "values",
                    "arrayValue",
                    "kvlistValue",
                    "stringValue",
                    "intValue",
                    "timeUnixNano",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read_or_refused(inner: Any) -> None:
    for body in (
        inner,
        {"resourceLogs": [{"resource": inner, "scopeLogs": [{"logRecords": [{"body": inner, "attributes": inner}]}]}]},
    ):
        try:
            otlp.read_json(orjson.dumps(body), most=10, longest=5000)
        except BodyError as error:
            assert error.status in {400, 413}
