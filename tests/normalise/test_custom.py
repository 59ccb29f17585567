"""Parsers that tenants write: fields with their types, times, constants; what they may not; hostile files and messages."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.record import Record
from secops.errors import UserError
from secops.normalise import normalise
from secops.normalise.custom import LONGEST_MESSAGE, MOST_BYTES, PATTERNS, CustomParser, read_parser
from secops.normalise.custom_shelf import MOST_FILES, CustomShelf
from secops.normalise.schema import FIELDS, SENDERS_MAY_NOT_SET
from secops.records import Event

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
GATE = """
description: Gates of the car park
match: {collector: syslog, host: 'gate-*', program: gated}
timestamp: ['%Y/%m/%d %H:%M:%S', iso]
patterns:
  - '%{SLASHTIME:@timestamp} pass plate=%{NOTSPACE:original.plate} user=%{USER:user.name} from %{IP:source.ip}:%{INT:source.port} in %{NUMBER:original.ms} ms'
  - 'state (?:now )?%{WORD:event.action}'
constants:
  event.category: [network]
  event.outcome: success
"""


def parser(text: str, name: str = "gate.yml") -> CustomParser:
    return read_parser(text.encode(), Path(name))


def event(message: str, *parsers: CustomParser, host: str = "gate-1", tenant: str = "city") -> Event:
    raw = f"<38>1 2026-11-24T08:00:00Z {host} gated - - - {message}".encode()
    record = Record(raw, AT, "syslog", "192.0.2.1:1", tenant, "syslog")
    [made] = normalise([record], custom={"city": parsers})
    return made


def test_a_message_becomes_fields_of_their_types() -> None:
    found = event("2026/11/24 15:59:58 pass plate=京A12345 user=王五 from 10.0.0.9:4431 in 12.5 ms", parser(GATE))
    wanted: dict[str, Any] = {
        "event.dataset": "custom.gate",
        "event.module": "custom",
        "@timestamp": "2026-11-24T07:59:58.000000Z",
        "user.name": "王五",
        "source.ip": "10.0.0.9",
        "source.port": 4431,
        "original": {"plate": "京A12345", "ms": "12.5"},
        "event.category": ["network"],
        "event.outcome": "success",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert event("state now open", parser(GATE))["event.action"] == "open"


def test_what_is_not_claimed_or_does_not_fit_stays_whole_and_unparsed() -> None:
    for made in (
        event("something else", parser(GATE)),
        event("state open", parser(GATE), host="door-1"),
        event("state open", parser(GATE), tenant="north"),
        event("x" * LONGEST_MESSAGE + " state open", parser(GATE)),
    ):
        assert made["event.dataset"] == "syslog.generic"
        assert "event.action" not in made


def test_nobody_hides_from_a_rule_by_writing_a_parser() -> None:
    greedy = parser("patterns: ['%{GREEDYDATA:user.name}']", "greedy.yml")
    raw = b"<38>Nov 24 16:00:00 gw-01 sshd[2211]: Failed password for root from 203.0.113.9 port 4022 ssh2"
    records = [Record(raw, AT, "syslog", "192.0.2.1:1", "city", "syslog")]
    assert normalise(records, custom={"city": [greedy]}) == normalise(records)


@pytest.mark.parametrize(
    "field", sorted(SENDERS_MAY_NOT_SET | {"event.kind", "event.dataset", "nonsense", "original."})
)
def test_fields_that_are_not_the_tenants_are_refused(field: str) -> None:
    with pytest.raises(UserError, match=r"gate\.yml:1"):
        parser(f"patterns: ['%{{WORD:{field}}}']")
    with pytest.raises(UserError):
        parser(f"patterns: [x]\nconstants: {{{field}: y}}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("patterns: []", "1 to"),
        ("patterns: [" + "x, " * 30 + "]", "1 to"),
        ("patterns: ['(a)']", "write"),
        ("patterns: ['(?P<n>a)']", "write"),
        (r"patterns: ['(?:a)\1']", "cannot be used"),
        ("patterns: ['(?=a)']", "cannot be used"),
        ("patterns: ['[']", "cannot be used"),
        ("patterns: ['%{NOPE:user.name}']", "no pattern"),
        ("patterns: ['" + "x" * 3000 + "']", "at most"),
        ("patterns: ['(?:(?:(?:x{1000}){1000}){1000})']", "cannot be used"),
        ("patterns: [x]\ntimestamp: '%H:%M'", "time format"),
        ("patterns: [x]\ntimestamp: '%Q'", "time format"),
        ("patterns: [x]\nconstants: {source.ip: nowhere}", "does not fit"),
        ("patterns: [x]\nmore: y", "not known"),
        ("patterns: [[x]]", "text is expected"),
        ("a: &a [x]\nb: [*a, *a]", "not known"),
        ("", "empty"),
        ("{", "YAML"),
        ("[" * 5000, ""),
        ("#" * (MOST_BYTES + 1) + "\npatterns: [x]", ""),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        parser(text)
    assert why in refused.value.en


@given(st.text(max_size=400))
def test_no_text_is_a_fault_of_the_reader(text: str) -> None:
    try:
        made = parser(text)
    except UserError:
        return
    assert made.patterns


FRAGMENTS = st.sampled_from([*(f"%{{{name}:original.x{n}}}" for n, name in enumerate(PATTERNS)), "a*", ".*", " ", "(?:x|y)+", "\\d+"])  # fmt: skip


@settings(deadline=None)
@given(st.lists(FRAGMENTS, min_size=1, max_size=12).map("".join).filter(str.strip), st.text(max_size=300))
def test_any_pattern_over_any_message_gives_an_event(pattern: str, message: str) -> None:
    made = event(message.replace("\x00", ""), CustomParser("p", parser(f"patterns: [{pattern!r}]").patterns))
    assert made["event.original"]


@given(
    st.sampled_from(sorted(FIELDS.keys() - SENDERS_MAY_NOT_SET - {"event.kind", "event.module", "event.dataset"})),
    st.text(max_size=50),
)
def test_every_field_takes_any_text_or_leaves_it(field: str, text: str) -> None:
    made = event(f"v=<{text}>", CustomParser("p", parser(f"patterns: ['v=<%{{DATA:{field}}}>']").patterns))
    assert made["event.original"]


def test_patterns_that_blow_up_elsewhere_take_linear_time() -> None:
    evil = parser(
        "patterns: ['^(?:(?:a+)+)+$', '(?:a|a)*b', '%{DATA:user.name}%{DATA:host.name}%{DATA:file.name}z$']", "e.yml"
    )
    begun = time.perf_counter()
    event("a" * (LONGEST_MESSAGE - 1) + "!", evil)
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize(
    ("form", "text", "wanted"),
    [
        ("iso", "2026-11-24T15:00:00+08:00", "2026-11-24T07:00:00.000000Z"),
        ("bsd", "Nov 24 15:00:00", "2026-11-24T07:00:00.000000Z"),
        ("epoch", "1795503600", "2026-11-24T07:00:00.000000Z"),
        ("%d/%b/%Y:%H:%M:%S %z", "24/Nov/2026:15:00:00 +0800", "2026-11-24T07:00:00.000000Z"),
        ("%Y/%m/%d %H:%M:%S", "2026/13/45 99:00:00", "2026-11-24T08:00:00.000000Z"),
        ("%Y/%m/%d %H:%M:%S", "0001/01/01 00:00:00", "2026-11-24T08:00:00.000000Z"),
    ],
)
def test_times_are_read_by_their_format_or_left(form: str, text: str, wanted: str) -> None:
    made = event(f"at [{text}]", CustomParser("p", parser(f"timestamp: '{form}'\npatterns: ['at \\[%{{DATA:@timestamp}}\\]']").patterns, times=(form,)))  # fmt: skip
    assert made["@timestamp"] == wanted


def test_the_shelf_follows_its_folder_and_keeps_the_last_good_one(tmp_path: Path) -> None:
    shelf, own = CustomShelf(tmp_path / "parsers"), tmp_path / "parsers" / "city"
    assert not shelf.refresh()
    own.mkdir(parents=True)
    (own / "gate.yml").write_text(GATE)
    assert shelf.refresh()
    assert not shelf.refresh()
    assert [one.name for one in shelf.parsers["city"]] == ["gate"]
    (own / "gate.yml").write_text("patterns: ['(']")
    (own / "other.yml").write_text("patterns: [x]")
    assert shelf.refresh()
    assert [(bad.tenant, bad.file, bad.kept) for bad in shelf.broken] == [("city", "gate.yml", True)]
    assert event("state open", *shelf.parsers["city"])["event.action"] == "open"
    (own / "other.yml").unlink()
    assert shelf.refresh()
    assert len(shelf.broken) == 1, "it is still broken"
    (own / "gate.yml").unlink()
    assert shelf.refresh()
    assert (shelf.parsers, shelf.broken) == ({}, ())
    for number in range(MOST_FILES + 5):
        (own / f"n{number:02}.yml").write_text("patterns: [x]")
    shelf.refresh()
    assert len(shelf.parsers["city"]) == MOST_FILES
