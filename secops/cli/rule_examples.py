"""Runs the examples that rules carry, through normalisation and detection, as real input would go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from monitors.record import FORMATS, Record
from secops.match.correlations import read_duration
from secops.match.detector import Detector
from secops.match.rule import Correlation, Detection, RuleSet
from secops.match.source import RuleError
from secops.normalise import normalise
from secops.records import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secops.match.rule import Rule
    from secops.records import Event

TENANT = "city"
MAX_EVENTS: Final = 20_000
_LINE: Final = frozenset({"format", "raw", "event", "at", "times", "every"})
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # when examples are received: logs without a year are read against it


class Failure(NamedTuple):
    """An example that did not do what its rule says."""

    file: str
    line: int
    rule_id: str
    example: str  # match[0], no_match[2], ...
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule_id}: {self.example}: {self.reason}"


def run_examples(ruleset: RuleSet) -> list[Failure]:
    """Examples that fail: of ``match`` the rule must come out, of ``no_match`` it must not.

    The example of a correlation or a watch is a list of lines that must give exactly one match; the other rules of the
    set run too, since correlations need them.
    """
    failures: list[Failure] = []
    by_id = {rule.id: rule for rule in ruleset.rules}
    for rule in ruleset.rules:
        detector_rules = _needed(rule, by_id)
        for name, samples, wanted in (
            ("match", rule.examples.match, True),
            ("no_match", rule.examples.no_match, False),
        ):
            for number, sample in enumerate(samples):
                reason = _run(rule, detector_rules, sample, wanted=wanted)
                if reason:
                    failures.append(Failure(rule.info.source, rule.line, rule.id, f"{name}[{number}]", reason))
    return failures


def example_events(sample: Sequence[Mapping[str, Any]], tenant: str = TENANT) -> list[Event]:
    """The normalised events of an example.

    A line is ``{format, raw}`` or ``{format: json, event}``, with ``at`` (when it is received; by default ``NOW``) and,
    to stand for many, ``times`` and ``every`` (a span such as ``60s``); ``{at}`` and ``{n}`` in its texts are replaced.

    Raises:
        ValueError: a line is none of that.
    """
    records = [_record(line, at, number, tenant) for line in sample for number, at in enumerate(_moments(line))]
    if len(records) > MAX_EVENTS:
        raise ValueError(f"an example stands for {MAX_EVENTS} events at most")
    events = normalise(records)  # together: some messages are told in several lines
    for number, event in enumerate(events):
        event[EVENT_ID] = f"0-{number}"
    return events


def _moments(line: Mapping[str, Any]) -> list[datetime]:
    """When the events of a line are received."""
    times, every = line.get("times", 1), line.get("every", "1s")
    if not isinstance(times, int) or not 0 < times <= MAX_EVENTS:
        raise ValueError(f"times is a number from 1 to {MAX_EVENTS}")
    try:
        step = read_duration(every, 0)
    except RuleError as error:
        raise ValueError(f"every: {error}") from error
    start = _moment(line["at"]) if "at" in line else NOW
    return [start + step * number for number in range(times)]


def _moment(text: object) -> datetime:
    """An RFC 3339 time.

    Raises:
        ValueError: it is not one, or names no zone.
    """
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError(f"{text}: a time names its zone, as 2026-11-24T08:00:00Z")
    return moment


def _record(line: Mapping[str, Any], at: datetime, number: int, tenant: str) -> Record:
    kind = line.get("format")
    if kind not in FORMATS or ("raw" in line) == ("event" in line) or set(line) - _LINE:
        raise ValueError(f"an example line is {{format, raw}} or {{format, event}}; format is one of {sorted(FORMATS)}")
    raw = str(line["raw"]) if "raw" in line else orjson.dumps(line["event"]).decode()
    text = raw.replace("{at}", at.isoformat().replace("+00:00", "Z")).replace("{n}", str(number))
    return Record(text.encode(), at, "example", "192.0.2.1:514", tenant, kind)


def _needed(rule: Rule, by_id: Mapping[str, Rule]) -> RuleSet:
    """The rule and what it refers to, directly or through other correlations, referred-to ones first."""
    found: dict[str, Rule] = {}

    def visit(each: Rule) -> None:
        for name in each.body.rules if isinstance(each.body, Correlation) else ():
            visit(by_id[name])
        found[each.id] = each

    visit(rule)
    found[rule.id] = replace(rule, info=replace(rule.info, alert=True))  # also when it only feeds others
    return RuleSet(tuple(found.values()))


def _run(rule: Rule, ruleset: RuleSet, sample: Sequence[Mapping[str, Any]], *, wanted: bool) -> str:
    """Why the example fails; "" when it does what it should."""
    try:
        until = _moment(sample[-1]["until"]) if set(sample[-1]) == {"until"} else None
        events = example_events(sample if until is None else sample[:-1], next(iter(rule.info.tenants), TENANT))
    except ValueError as error:
        return str(error)
    detector = Detector(ruleset)
    if isinstance(rule.body, Detection):
        matched = any(hit.rule.id == rule.id for hit in detector.engine.find(events))
        return "" if matched == wanted else "does not match" if wanted else "matches"
    matches = detector.run(events)
    if until is not None:
        matches += detector.tick(until, read_to_end=True)
    count = sum(match.rule_id == rule.id for match in matches)
    return "" if count == wanted else f"gives {count} matches instead of {int(wanted)}"
