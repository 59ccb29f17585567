"""``secops detect``: run a folder of rules over a file of events, offline."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import orjson
import typer

from secops.cli.lines import DamagedError, folders_of_rules, open_lines, read_lines
from secops.cli.nested import flat
from secops.match.detector import Detector
from secops.match.scan import Databases
from secops.match.stored import load_stored
from secops.records import EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from secops.match.rule import RuleSet

WRONG_INPUT = 2
SHOWN_REFUSALS = 5
BATCH = 512


@dataclass(slots=True)
class Tally:
    """What came of a run."""

    events: int = 0
    unreadable: int = 0
    hits: Counter[str] = field(default_factory=Counter)


def detect(
    rules: Annotated[list[Path], typer.Option("--rules", help="规则目录或文件 / folder or file of rules", exists=True)],
    events: Annotated[Path, typer.Option("--events", help="每行一个 JSON 事件，可为 .zst / one JSON event a line")],
    hits: Annotated[bool, typer.Option("--hits", help="每个命中输出一行 JSON / print a JSON line a hit")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出各规则命中数与速率 / hits per rule, rate")] = False,
    cache: Annotated[bool, typer.Option(help="使用缓存 / remember values and compiled rules")] = True,
) -> None:
    """对文件中的事件离线运行规则 / Run rules over the events of a file."""
    started = time.process_time()
    directory = cache_directory()
    ruleset = load_stored(folders_of_rules(rules), directory)
    detector = Detector(ruleset, databases=Databases(directory), cached=cache)
    detector.engine.prepare()
    loaded = time.process_time()
    _report_refusals(ruleset)
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)  # batches of events are no garbage, and have no cycles
    tally = Tally()
    try:
        with open_lines(events) as pieces:
            _run(detector, pieces, tally, sys.stdout.buffer if hits else None)
    except (OSError, DamagedError) as error:
        sys.stderr.write(f"无法读取事件文件 / cannot read the events: {error}\n")
        raise typer.Exit(WRONG_INPUT) from error
    seconds = time.process_time() - loaded
    if tally.unreadable:
        sys.stderr.write(f"{tally.unreadable} 行无法读取，已跳过 / lines that are no JSON object were skipped\n")
    summary = _summary(ruleset, tally, loaded - started, seconds)
    if as_json:
        sys.stdout.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode() + "\n")
    elif not hits:
        sys.stdout.write(_text(ruleset, summary))


def cache_directory() -> Path:
    """Where compiled rules are kept between runs of offline commands."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secops" / "rules"


def _run(detector: Detector, pieces: Iterable[bytes], tally: Tally, out: BinaryIO | None) -> None:
    number = 0  # line number of the last event seen
    for lines in read_lines(pieces):
        for start in range(0, len(lines), BATCH):
            part = lines[start : start + BATCH]
            batch, numbers = _events(part, number, tally)
            number += len(part)
            for rule_id, at, fields, extra in _hits(detector, batch, numbers, explained=out is not None):
                tally.hits[rule_id] += 1
                if out is not None:
                    line = {"rule_id": rule_id, "event": at, "fields": fields, **extra}
                    out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))
    if out is not None:
        out.flush()


def _events(lines: list[bytes | None], number: int, tally: Tally) -> tuple[list[dict[str, Any]], list[int]]:
    """Events of some lines with their line numbers; what is no JSON object is counted and left out."""
    events: list[dict[str, Any]] = []
    numbers: list[int] = []
    for line in lines:
        number += 1
        if not line or line.isspace():
            tally.unreadable += line is None
            continue
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            event = None
        if type(event) is dict:
            events.append(event if "Channel" in event else flat(event))
            numbers.append(number)
        else:
            tally.unreadable += 1
    tally.events += len(events)
    return events, numbers


def _hits(
    detector: Detector, events: list[dict[str, Any]], numbers: list[int], *, explained: bool
) -> Iterator[tuple[str, int, Any, dict[str, Any]]]:
    """(rule id, line number, fields, what else is to be said) of every hit, plain ones first."""
    found = detector.engine.find(events)
    for hit in found:
        if detector.watches(hit.rule.id):
            continue
        yield hit.rule.id, numbers[hit.index], detector.engine.explain(hit) if explained else {}, {}
    if detector.correlates:
        for index in {hit.index for hit in found}:
            events[index][EVENT_ID] = str(numbers[index])
        for match in detector.correlate(found, events):
            lines = [int(each) for each in match.event_ids]
            yield match.rule_id, lines[-1], match.fields, {"events": lines, "count": match.count}


def _report_refusals(ruleset: RuleSet) -> None:
    refused = ruleset.refused
    for refusal in refused[:SHOWN_REFUSALS]:
        sys.stderr.write(f"{refusal}\n")
    if refused:
        sys.stderr.write(
            f"{len(refused)} 条规则被拒绝，{len(ruleset.rules)} 条运行（secops rules check 列出全部）"
            f" / {len(refused)} rules refused, {len(ruleset.rules)} run (secops rules check lists all)\n"
        )


def _summary(ruleset: RuleSet, tally: Tally, load: float, seconds: float) -> dict[str, Any]:
    return {
        "rules": len(ruleset.rules),
        "refused": len(ruleset.refused),
        "events": tally.events,
        "unreadable": tally.unreadable,
        "hits": sum(tally.hits.values()),
        "rules_hit": len(tally.hits),
        "load_seconds": round(load, 3),
        "cpu_seconds": round(seconds, 3),
        "events_per_second": round(tally.events / seconds) if seconds else None,
        "by_rule": dict(tally.hits.most_common()),
    }


def _text(ruleset: RuleSet, summary: dict[str, Any]) -> str:
    infos = ruleset.infos()
    lines = [f"{count:8d}  {rule_id}  {infos[rule_id].title}" for rule_id, count in summary["by_rule"].items()]
    lines.append(
        f"{summary['events']} 个事件，{summary['hits']} 次命中，{summary['rules_hit']} 条规则"
        f" / {summary['events']} events, {summary['hits']} hits, {summary['rules_hit']} rules;"
        f" {summary['events_per_second']} events/s, load {summary['load_seconds']} s"
    )
    return "\n".join(lines) + "\n"
