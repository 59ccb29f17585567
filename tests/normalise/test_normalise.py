from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitors.record import ERRORS, FORMATS, Record
from secops.normalise import normalise
from secops.normalise.parsers.syslog import structured_data
from secops.normalise.schema import FIELDS, MAX_RAW, MAX_VALUE

RECEIVED = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
ALWAYS = {
    *("@timestamp", "event.ingested", "organization.id", "event.kind", "event.module", "event.dataset"),
    *("event.original", "message", "host.name"),
}

pieces = st.sampled_from(
    [
        b"<13>",
        b"<34>1 ",
        b"Nov 24 16:00:00 ",
        b"2026-11-24T08:00:00Z ",
        b"sshd[1]: ",
        b"Failed password for ",
        b" from ",
        b"- ",
        b"[",
        b'x@1 k="',
        b'"]',
        b"\\",
        b'{"a":',
        b'"@timestamp":"',
        b"}",
        b"[[",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"\\u0000",
        b"pam_unix(sshd:auth): ",
        "用户".encode("gb18030"),
        "用户".encode(),
        b"message repeated 9 times: [ ",
        b"sudo: a : TTY=",
        b"COMMAND=",
        b"(root) CMD (",
        b"\n",
    ]
)
hostile = st.one_of(
    st.binary(max_size=200),
    st.lists(pieces, max_size=12).map(b"".join),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *list(FIELDS)[::9],
                    "Event",
                    "System",
                    "winlog",
                    "event_id",
                    "EventID",
                    "Channel",
                    "EventData",
                    "Data",
                    "MESSAGE",
                    "action",
                    "outcome",
                    "a",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.lists(
        st.tuples(
            hostile, st.sampled_from([*sorted(FORMATS), "unheard of"]), st.sampled_from(["", "", "", *sorted(ERRORS)])
        ),
        max_size=6,
    )
)
@example([(b"", "syslog", ""), (b"", "json", ""), (b"", "line", ""), (b"", "journal", "")])
def test_any_input_gives_at_least_one_storable_event_each(messages: list[tuple[bytes, str, str]]) -> None:
    records = [
        Record(raw, RECEIVED, "syslog", "192.0.2.7:514", "city", form, None, error) for raw, form, error in messages
    ]
    events = normalise(records)
    assert len(events) >= len(records)
    for event in events:
        assert set(event) >= ALWAYS
        assert "parser fault" not in event["message"]
        assert event["organization.id"] == "city" or event["event.dataset"] == "secops.audit"
        assert len(event["@timestamp"]) == 27
        orjson.dumps(event)
    assert normalise(records) == events


@given(json_values, st.sampled_from(["json", "journal", "audit", "probe"]))
def test_any_json_is_read_or_quarantined_without_a_fault(value: Any, form: str) -> None:
    try:
        raw = orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits
        return
    for event in normalise([Record(raw, RECEIVED, "http_push", "192.0.2.7:1", "city", form)]):
        assert "parser fault" not in event["message"]
        assert "\x00" not in event["message"]
        orjson.dumps(event)


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='=]"'), min_size=1, max_size=20)
values = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
elements = st.dictionaries(names, st.dictionaries(names, values, min_size=1, max_size=3), max_size=3)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


@given(elements, values.filter(lambda text: not text.startswith((" ", "["))))
def test_rfc5424_structured_data_round_trips(data: dict[str, dict[str, str]], message: str) -> None:
    written = "".join(
        f"[{name}{''.join(f' {key}={chr(34)}{escaped(value)}{chr(34)}' for key, value in parameters.items())}]"
        for name, parameters in data.items()
    )
    flat = {f"{name}.{key}": value for name, parameters in data.items() for key, value in parameters.items()}
    assert structured_data(f"{written} {message}") == (flat, message, True)


moments = st.integers(0, 10**15).map(
    lambda micros: RECEIVED - timedelta(microseconds=micros % (25 * 365 * 86_400 * 10**6))
)


@given(moments, st.integers(-14 * 60, 14 * 60), st.sampled_from(["host", "-"]), st.sampled_from(["app", "-"]))
def test_rfc5424_header_round_trips(moment: datetime, offset: int, host: str, program: str) -> None:
    stamp = moment.astimezone(UTC).replace(tzinfo=UTC)
    local = stamp.astimezone(timezone(timedelta(minutes=offset))).isoformat(timespec="microseconds")
    (event,) = normalise(
        [
            Record(
                f"<165>1 {local} {host} {program} 8 ID - text".encode(),
                RECEIVED,
                "syslog",
                "192.0.2.7:514",
                "city",
                "syslog",
            )
        ]
    )
    assert event["@timestamp"] == stamp.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert event["host.name"] == ("192.0.2.7" if host == "-" else host)
    assert event.get("process.name") == (None if program == "-" else program)
    assert event["message"] == "text"


@pytest.mark.parametrize(
    ("stamp", "received", "expected"),
    [
        ("Dec 31 23:59:59", datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), "2026-12-31T15:59:59.000000Z"),
        ("Jan  1 00:00:01", datetime(2026, 12, 31, 16, 0, 2, tzinfo=UTC), "2026-12-31T16:00:01.000000Z"),
        ("Jan  1 00:10:00", datetime(2026, 12, 31, 15, 50, 0, tzinfo=UTC), "2026-12-31T16:10:00.000000Z"),
        ("Feb 29 12:00:00", datetime(2027, 3, 1, 0, 0, 0, tzinfo=UTC), "2024-02-29T04:00:00.000000Z"),
    ],
)
def test_year_around_new_year(one: Any, stamp: str, received: datetime, expected: str) -> None:
    assert one(f"<13>{stamp} web01 app: x", received=received)["@timestamp"] == expected


def test_zone_is_a_setting() -> None:
    record = Record(b"<13>Nov 24 10:00:00 web01 app: x", RECEIVED, "syslog", "", "city", "syslog")
    (event,) = normalise([record], zone=ZoneInfo("Europe/Berlin"))
    assert event["@timestamp"] == "2026-11-24T09:00:00.000000Z"


@pytest.mark.parametrize("claimed", ["1970-01-01T00:00:00Z", "2026-11-25T09:00:01Z"])
def test_implausible_time_is_replaced_and_kept(one: Any, claimed: str) -> None:
    event = one(f"<13>1 {claimed} web01 app - - - x")
    assert event["@timestamp"] == event["event.ingested"] == "2026-11-24T09:00:00.000000Z"
    assert event["tags"] == ["clock_skew"]
    assert event["labels"]["claimed_time"].startswith(claimed[:19])


@pytest.mark.parametrize(
    ("raw", "form", "error", "expected"),
    [
        (b"<13>" + b"x" * MAX_RAW, "syslog", "", "oversized"),
        (b"<13>half", "syslog", "truncated", "truncated"),
        (bytes(range(256)), "syslog", "", "undecodable"),
        (b"\x00\x01\x02\x03", "line", "", "undecodable"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "json", "", "too_deep"),
        (b'{"a":' * 5000, "json", "", "too_deep"),
        (b"[" * 5000, "json", "", "too_deep"),
        (orjson.dumps({f"k{n}": n for n in range(1001)}), "json", "", "oversized"),
        (orjson.dumps({"a": [{"b": n} for n in range(1001)]}), "json", "", "oversized"),
        (b"[" + b"{}," * 10_000 + b"{}]", "json", "", "oversized"),
        (b"42", "json", "", "malformed"),
        (b"[1,2]", "json", "", "malformed"),
        (b"{}", "audit", "", "malformed"),
        (b"{}", "probe", "", "malformed"),
    ],
)
def test_quarantine(one: Any, raw: bytes, form: str, error: str, expected: str) -> None:
    event = one(raw, form, error=error)
    assert event["event.kind"] == "pipeline_error"
    assert event["event.dataset"] == "secops.pipeline"
    assert event["error.type"] == expected
    assert event["error.message"]
    assert set(event["original"]) == {"raw.sha256", "raw.length", "raw.base64"}
    assert event["original"]["raw.length"] == len(raw)
    assert len(event["event.original"]) <= 4 * 4096


def test_bad_message_does_not_touch_its_neighbours() -> None:
    good = Record(b"<13>Nov 24 16:00:00 web01 app: x", RECEIVED, "syslog", "", "city", "syslog")
    events = normalise([good, good._replace(raw=b"\x00\x01"), good])
    assert [event["event.kind"] for event in events] == ["event", "pipeline_error", "event"]
    assert events[0] == events[2]


def test_nobody_outside_chooses_tenant_or_identity(one: Any) -> None:
    for form in ("json", "line", "syslog"):
        document = {
            "organization.id": "other",
            "event": {"id": "0-0", "ingested": "x", "original": "x"},
            "agent": {"type": "x"},
            "log": {"source": {"address": "x"}},
        }
        event = one(orjson.dumps(document), form)
        assert event["organization.id"] == "city"
        assert "event.id" not in event
        assert event["event.ingested"] == "2026-11-24T09:00:00.000000Z"
        assert event["agent.type"] == "syslog"
        assert event["log.source.address"] == "192.0.2.7:514"


def test_repeated_message_counts_as_often_as_it_was_repeated(read: Any) -> None:
    events = read(
        "<38>Nov 24 16:00:00 web01 sshd[9]: message repeated 3 times: [ Failed password for root from 203.0.113.9 port 22 ssh2]"
    )
    assert [(event["event.action"], event["event.outcome"]) for event in events] == [("ssh_login", "failure")] * 3
    assert len(read("<38>Nov 24 16:00:00 web01 sshd[9]: message repeated 999999 times: [ x]")) == 20


def test_long_value_is_cut_and_the_whole_kept(one: Any) -> None:
    long = "x" * (MAX_VALUE + 1)
    event = one(orjson.dumps({"message": long, "data": long}), "json")
    assert len(event["original"]["data"]) == len(event["message"]) == MAX_VALUE
    assert event["tags"] == ["truncated_value"]
    assert long in event["event.original"]


def test_local_file_names_its_host_and_path(one: Any) -> None:
    event = one("something happened", "line", peer="web01:/var/log/app.log")
    assert (event["host.name"], event["log.file.path"]) == ("web01", "/var/log/app.log")


@pytest.mark.parametrize(
    "raw",
    [
        b"<13>1 2026-11-24T08:00:00Z h a - - " + b'[x y="' + b"\\\\" * 250_000,
        b"<13>1 2026-11-24T08:00:00Z h a - - " + b'[x k="v"' * 100_000,
        b"<13>1 2026-11-24T08:00:00Z h a - - [x" + b' k="v"' * 150_000,
        b"<38>Nov 24 16:00:00 h sshd[1]: Failed password for " + b" from " * 150_000,
        b"<38>Nov 24 16:00:00 h sshd[1]: pam_unix(sshd:auth): authentication failure;" + b" a=b" * 200_000,
        b"<38>Nov 24 16:00:00 h systemd[1]: Started " + b"a-" * 400_000,
        b"<78>Nov 24 16:00:00 h su[1]: (to " + b"x" * 900_000,
        b'1.2.3.4 - - [24/Nov/2026:16:10:00 +0800] "' + b'\\"' * 400_000,
        b"1.2.3.4 - " + b"a " * 400_000,
        b"2026/11/24 16:10:04 [error] 1#1: x, client: " + b', client: "' * 80_000,
        b"<13>" + b"45: " * 250_000,
        b'{"a":"' + b"\\ud800" * 150_000 + b'"}',
        b'{"a":[' + b"[]," * 300_000 + b"[]]}",
    ],
)
@pytest.mark.parametrize("form", ["syslog", "line", "json"])
def test_the_largest_hostile_message_takes_bounded_time(raw: bytes, form: str, read: Any) -> None:
    assert (
        min(_seconds(read, raw, form) for _ in range(3)) < 1.0
    )  # the best of three: a collection of garbage is not ours


def _seconds(read: Any, raw: bytes, form: str) -> float:
    started = time.process_time()
    assert read(raw, form)
    return time.process_time() - started


@pytest.mark.parametrize(
    "shape", ["{%s}", '{"audit_record":{%s}}', '{"a":[{%s}]}', '{"eventId":"E","eventVersion":1,%s}']
)
def test_a_long_name_above_many_fields_is_not_written_out_for_each_of_them(read: Any, shape: str) -> None:
    """A megabyte on the wire must not become a thousand in memory and in the log."""
    below = ",".join(f'"f{at}":1' for at in range(900))
    raw = shape % f'"{"K" * 900_000}":{{{below}}}'
    (event,) = read(raw, "json")
    assert event["event.kind"] == "pipeline_error"
    assert event["error.type"] == "oversized"
    assert len(orjson.dumps(event)) < 3 << 20
