"""Trails of clouds, Kubernetes and Keycloak: what a caller writes must not hide or forge the record of his call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.record import Record
from secops.normalise import normalise
from secops.normalise.parsers.keycloak import pairs
from tests.normalise.conftest import RECEIVED

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE = {"trace_name": "deleteTracker", "service_type": "CTS", "trace_rating": "normal", "source_ip": "203.0.113.9"}
SHAPES = (
    ("trace_name", "service_type", "trace_rating", "user", "request", "response", "source_ip", "code", "time"),
    ("eventName", "eventVersion", "acsRegion", "userIdentity", "requestParameters", "sourceIpAddress", "eventTime"),
    ("eventName", "eventRegion", "userIdentity", "errorCode", "apiErrorCode", "sourceIPAddress", "eventTime"),
    ("CloudAuditEvent", "eventName"),
    ("type", "data"),
    ("__topic__", "event"),
    ("event_type", "payload", "publisher_id", "timestamp"),
    ("oslo.message",),
    ("apiVersion", "kind", "verb", "user", "objectRef", "responseStatus", "sourceIPs", "stageTimestamp"),
    ("loggerName", "message", "hostName", "timestamp"),
    ("operationType", "resourcePath", "realmId", "authDetails", "time"),
    ("realmId", "type", "ipAddress", "details", "time"),
)
WORDS = ("audit.k8s.io/v1", "org.keycloak.events", "actiontrail_event", "cvm:CloudEvent:ApiCall", "403", "0", "a\x00b")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(WORDS)
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(("{}", "[]", '{"a":[{"b":1}]}', '{"realmId":', "[" * 500)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.sampled_from(SHAPES).flatmap(lambda keys: st.fixed_dictionaries(dict.fromkeys(keys, VALUES)))


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS)
def test_any_document_becomes_an_event_or_is_quarantined(document: dict[str, Any]) -> None:
    [event] = normalise([Record(orjson.dumps(document), RECEIVED, "http", "192.0.2.7:1", "city", "json")])
    assert event["organization.id"] == "city"
    assert event["@timestamp"][:1] == "2"


def test_a_request_nested_too_deeply_does_not_take_the_record_away(one: Callable[..., dict[str, Any]]) -> None:
    deep = '{"a":' * 40 + "1" + "}" * 40
    event = one(orjson.dumps(TRACE | {"request": deep, "user": '{"name":"liwei"}'}), "json")
    assert event["event.dataset"] == "huaweicloud.cts"
    assert event["event.action"] == "deleteTracker"
    assert event["original"]["request"] == deep


def test_a_request_with_too_many_fields_does_not_either(one: Callable[..., dict[str, Any]]) -> None:
    wide = orjson.dumps({str(number): number for number in range(2000)}).decode()
    event = one(orjson.dumps(TRACE | {"request": wide}), "json")
    assert event["event.action"] == "deleteTracker"
    assert event["source.ip"] == "203.0.113.9"


def test_what_a_visitor_typed_does_not_replace_what_keycloak_says() -> None:
    typed = 'x", type="LOGIN", ipAddress="10.0.0.1", error="'
    line = f'type="LOGIN_ERROR", realmId="gov", ipAddress="198.51.100.7", error="user_not_found", username="{typed}"'
    fields = pairs(line)
    assert (fields["type"], fields["ipAddress"], fields["error"]) == ("LOGIN_ERROR", "198.51.100.7", "user_not_found")


@given(st.text(alphabet='ab=", {}[]\\', max_size=200))
def test_pairs_end_and_are_bounded(text: str) -> None:
    fields = pairs(text)
    assert len(fields) <= 64
    assert sum(len(value) for value in fields.values()) <= len(text)


def test_the_address_that_the_api_server_saw_counts(one: Callable[..., dict[str, Any]]) -> None:
    event = one(
        orjson.dumps({"apiVersion": "audit.k8s.io/v1", "verb": "get", "sourceIPs": ["127.0.0.1", "203.0.113.9"]}),
        "json",
    )
    assert event["source.ip"] == "203.0.113.9"


def test_a_list_of_audit_events_becomes_its_events(read: Callable[..., list[dict[str, Any]]]) -> None:
    items = [{"apiVersion": "audit.k8s.io/v1", "kind": "Event", "verb": verb} for verb in ("get", "delete")]
    document = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
    assert [event["event.action"] for event in read(orjson.dumps(document), "json")] == ["get", "delete"]
    other = read(orjson.dumps({"kind": "EventList", "items": [{"a": 1}, {"b": 2}]}), "json")
    assert [event["event.dataset"] for event in other] == ["json.generic"]


def test_a_call_that_only_reads_is_said_to(one: Callable[..., dict[str, Any]]) -> None:
    call = {"eventName": "GenerateCredentialReport", "eventVersion": "1", "acsRegion": "cn-hangzhou", "eventRW": "Read"}
    assert one(orjson.dumps(call), "json")["event.type"] == ["access"]
    assert one(orjson.dumps(call | {"eventRW": "Write"}), "json")["event.type"] == ["change"]
