from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops.normalise import normalise
from secops.normalise.parsers import otlp, shipped

BEAT = {"agent": {"type": "filebeat"}, "host": {"name": "web01"}, "@timestamp": "2026-11-24T08:59:58.000Z"}
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SSHD = "Failed password for root from 203.0.113.9 port 51522 ssh2"


@pytest.mark.parametrize(
    ("line", "program"),
    [
        (f"Nov 24 16:59:57 web01 sshd[812]: {SSHD}", ""),
        (f"<38>Nov 24 16:59:57 web01 sshd[812]: {SSHD}", ""),
        (f"<38>1 2026-11-24T16:59:57+08:00 web01 sshd 812 - - {SSHD}", ""),
        (f"2026-11-24T16:59:57.000001+08:00 web01 sshd[812]: {SSHD}", ""),
        (SSHD, "sshd"),
    ],
)
def test_a_carried_line_says_what_it_says_by_itself(one: Any, line: str, program: str) -> None:
    alone = one(line if not program else f"<38>Nov 24 16:59:57 web01 {program}[812]: {line}", "line")
    document = {**BEAT, "message": line, **({"process": {"name": program}} if program else {})}
    log = {"body": line, "attributes": {"process.name": program} if program else {}}
    for raw in (document, {"resource": {"host.name": "web01"}, "scope": {}, "logRecord": log}):
        event = one(orjson.dumps(raw), "json", collector="elastic_bulk")
        for field in ("event.dataset", "event.action", "event.outcome", "user.name", "source.ip", "host.name"):
            assert event[field] == alone[field], field


def test_a_sender_does_not_become_another_by_what_a_line_says(one: Any) -> None:
    document = {
        **BEAT,
        "message": '{"organization": {"id": "other"}, "event": {"dataset": "secops.audit", "id": "0-1"}}',
    }
    event = one(orjson.dumps(document), "json", collector="elastic_bulk")
    assert event["organization.id"] == "city"
    assert event["event.dataset"] == "json.generic"
    assert "event.id" not in event
    assert event["event.original"] == orjson.dumps(document).decode()


def test_a_document_in_a_document_in_a_document_is_bounded(one: Any) -> None:
    document: dict[str, Any] = {**BEAT, "message": "x"}
    while len(text := orjson.dumps(document).decode()) < 400_000:
        document = {**BEAT, "message": text}
    assert one(text, "json")["event.kind"] == "event"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 62) | st.text(max_size=12) | st.just(SSHD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*sorted(shipped._MARKS), "message", "log", "host", "original"]), values, max_size=6
    )
)
def test_any_document_of_an_agent_becomes_an_event(document: dict[str, Any]) -> None:
    (event,) = normalise([Record(orjson.dumps(document), AT, "otlp", "192.0.2.7:514", "city", "json")])
    assert event["event.kind"] in {"event", "metric"}
    assert all(isinstance(event[field], str) for field in ("host.name", "message", "@timestamp", "event.dataset"))


@given(
    st.dictionaries(
        st.sampled_from(["host.name", "process.name", "k8s.node.name", "message", "tags"]), values, max_size=4
    ),
    st.dictionaries(
        st.sampled_from(["body", "attributes", "severityNumber", "severityText", "timeUnixNano", "traceId", "spanId"]),
        values,
        max_size=6,
    ),
)
def test_any_record_becomes_an_event(resource: dict[str, Any], log: dict[str, Any]) -> None:
    document = {"resource": resource, "scope": resource, "logRecord": log}
    assert otlp.claims(document)
    (event,) = normalise([Record(orjson.dumps(document), AT, "otlp", "192.0.2.7:514", "city", "json")])
    assert event["event.kind"] in {"event", "metric"}
    assert all(isinstance(event[field], str) for field in ("host.name", "message", "@timestamp", "event.dataset"))
