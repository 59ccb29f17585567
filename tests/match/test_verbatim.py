"""The text of flat JSON is left out of the log and comes back byte for byte; nothing that reads events can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops.match.tenants import Engines
from secops.normalise import normalise
from secops.records import EVENT_ID, ORIGINAL, RAW, Event, EventId
from secops.store import frames
from secops.store.files import FileLog
from tests.match.conftest import Documents, rule

FLAT = orjson.dumps({"Channel": "Security", "EventID": 4625, "Message": 'a "quoted"\nline\\', "中": "文", "x": 1.5})
NOW = datetime(2026, 11, 24, tzinfo=UTC)

SCALARS = st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none())
FIELDS = st.dictionaries(st.text(max_size=4), st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), max_size=4)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    opened = FileLog(tmp_path / "log", writable=True, reserve_bytes=0, partitions=1)
    yield opened
    opened.close()


def read(body: bytes) -> Event:
    [event] = normalise([Record(body, NOW, "test", "127.0.0.1:1", "city", "json")])
    return event


def stored(event: Event) -> dict[str, Any]:
    return dict(orjson.loads(frames.to_line(event, short=True)))


def test_the_text_of_flat_json_is_stored_once(log: FileLog) -> None:
    event = read(FLAT)
    assert event[RAW] == FLAT.decode()
    assert stored(event)[RAW] is True
    log.append({0: [event]})
    [whole], [short] = log.read(0, 0, 1), log.read(0, 0, 1, whole=False)
    assert whole == event | {EVENT_ID: "0-0"}
    assert log.get([EventId(0, 0)]) == [whole]
    assert short == whole | {RAW: True}


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1}',  # a blank
        b'{"a":1,"a":2}',  # a name twice
        b'{"a":1e5}',  # a number written in another way
        b'{"a":"\\u0041"}',
        b'{"a":{"b":1}}',
        b'{"a":1}\n{"b":2}',
        b"{}",
        b'{"a":18446744073709551616}',
        b'{"event.original":true,"original":{"a":1}}',
        b"CEF:0|a|b|c|d|e|5|src=10.0.0.1",
    ],
)
def test_any_other_text_is_kept_as_it_came(text: bytes) -> None:
    event = read(text)
    assert stored(event)[RAW] == event[RAW]


@given(FIELDS, st.booleans())
def test_whatever_is_stored_is_read_as_it_was(fields: dict[str, Any], compact: bool) -> None:  # noqa: FBT001 - drawn
    try:
        text = orjson.dumps(fields, option=None if compact else orjson.OPT_INDENT_2).decode()
    except TypeError:  # what JSON cannot hold
        return
    event: Event = {RAW: text, ORIGINAL: orjson.loads(text), "x": "y"}
    [again] = frames.to_events([frames.to_line(event, short=True)], 0, 0)
    assert again == event | {EVENT_ID: "0-0"}


def test_what_json_cannot_hold_is_replaced_as_ever() -> None:
    event: Event = {RAW: '{"a":1}', ORIGINAL: {"a": 1}, "x": "\ud800"}
    assert stored(event) == {RAW: '{"a":1}', ORIGINAL: {"a": 1}, "x": "?"}


def test_rules_see_the_text_that_was_left_out(log: FileLog, load: Documents) -> None:
    rules = load(
        rule({"a": {"event.original|contains": '"EventID":4625'}, "condition": "a"}, 1, logsource={}),
        rule({"a": {"Channel": "Security"}, "condition": "a"}, 2, logsource={}),
        rule({"a": ["EventID"], "condition": "a"}, 3, logsource={}),  # the name of a field is no value
        rule({"a": ["quoted"], "condition": "a"}, 4, logsource={}),
    ).rules
    log.append({0: [read(FLAT), read(FLAT.replace(b"4625", b"4624"))]})
    short, whole = log.read(0, 0, 2, whole=False), log.read(0, 0, 2)
    engines = Engines(rules)
    found = engines.find(short)
    assert [(rules.index(hit.rule) + 1, hit.index) for hit in found] == [(1, 0), (2, 0), (4, 0), (2, 1), (4, 1)]
    assert found == engines.find(whole)
    assert engines.explain(found[0]) == {RAW: FLAT.decode()}
    assert engines.found([(hit.rule.id, hit.index) for hit in found], short) == found
