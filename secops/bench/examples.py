"""Events made of the rules' own examples among ordinary ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from monitors.record import FORMATS, Record
from secops.bench.search import event
from secops.normalise import normalise
from secops.records import RAW, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from secops.match.rule import RuleSet
    from secops.records import Event

_RECEIVED: Final = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def example_events(ruleset: RuleSet) -> list[Event]:
    """Every example of every rule, those that match and those that do not, normalised."""
    records = [
        Record(_raw(line), _RECEIVED, "bench", "192.0.2.1:514", "city", line["format"])
        for rule in ruleset.rules
        for sample in (*rule.examples.match, *rule.examples.no_match)
        for line in sample
        if line.get("format") in FORMATS
    ]
    return normalise(records)


def _raw(line: Mapping[str, Any]) -> bytes:
    return str(line["raw"]).encode() if "raw" in line else orjson.dumps(line["event"])


def mixed(examples: list[Event], count: int) -> Iterator[Event]:
    """So many events, each tenth of them a rule's example and the others logins by SSH; no two are alike."""
    for number in range(count):
        usual = event(number)
        if number % 10:
            yield usual
            continue
        example = examples[number // 10 % len(examples)]
        yield {**example, RAW: f"{example.get(RAW, '')} #{number}", TIMESTAMP: usual[TIMESTAMP]}


def write_events(path: Path, examples: list[Event], count: int) -> None:
    """Write such events as lines of JSON."""
    with path.open("wb") as file:
        for each in mixed(examples, count):
            file.write(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE))
