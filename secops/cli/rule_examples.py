"""Runs the examples that rules carry, through normalisation and detection, as real input would go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from monitors.record import FORMATS, Record
from secops.match.detector import Detector
from secops.match.rule import Correlation, RuleSet
from secops.normalise import normalise
from secops.records import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from secops.match.rule import Rule
    from secops.records import Event

TENANT = "city"
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

    A correlation's example is a list of lines that must give exactly one match; the other rules of the set run too,
    since correlations need them.
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


def example_events(sample: Sequence[Mapping[str, Any]]) -> list[Event]:
    """The normalised events of an example.

    Raises:
        ValueError: a line is neither ``{format, raw}`` nor ``{format: json, event}``.
    """
    events = normalise([_record(line) for line in sample])
    for number, event in enumerate(events):
        event[EVENT_ID] = f"0-{number}"
    return events


def _record(line: Mapping[str, Any]) -> Record:
    kind = line.get("format")
    if kind not in FORMATS or ("raw" in line) == ("event" in line) or set(line) - {"format", "raw", "event"}:
        raise ValueError(f"an example line is {{format, raw}} or {{format, event}}; format is one of {sorted(FORMATS)}")
    raw = str(line["raw"]).encode() if "raw" in line else orjson.dumps(line["event"])
    return Record(raw, NOW, "example", "192.0.2.1:514", TENANT, kind)


def _needed(rule: Rule, by_id: Mapping[str, Rule]) -> RuleSet:
    """The rule and what it refers to, directly or through other correlations, referred-to ones first."""
    found: dict[str, Rule] = {}

    def visit(each: Rule) -> None:
        for name in each.body.rules if isinstance(each.body, Correlation) else ():
            visit(by_id[name])
        found[each.id] = each

    visit(rule)
    return RuleSet(tuple(found.values()))


def _run(rule: Rule, ruleset: RuleSet, sample: Sequence[Mapping[str, Any]], *, wanted: bool) -> str:
    """Why the example fails; "" when it does what it should."""
    try:
        events = example_events(sample)
    except ValueError as error:
        return str(error)
    detector = Detector(ruleset)
    hits = detector.engine.find(events)
    if isinstance(rule.body, Correlation):
        count = sum(match.rule_id == rule.id for match in detector.correlate(hits, events))
        if count != wanted:
            return f"gives {count} matches instead of {int(wanted)}"
        return ""
    matched = any(hit.rule.id == rule.id for hit in hits)
    return "" if matched == wanted else "does not match" if wanted else "matches"


def samples_of(rules: Iterable[Rule]) -> int:
    """How many examples the rules carry."""
    return sum(len(rule.examples.match) + len(rule.examples.no_match) for rule in rules)
