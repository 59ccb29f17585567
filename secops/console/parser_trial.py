"""Tries a parser on lines as the ingest role would: which fields each gets, or why none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitors.record import Record
from secops.normalise import normalise
from secops.normalise.custom import LONGEST_MESSAGE, UNPARSED, read_parser
from secops.records import DATASET, INGESTED, MESSAGE, RAW, TENANT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from secops.normalise.custom import CustomParser
    from secops.records import Event

MOST_LINES: Final = 100
_HIDDEN: Final = frozenset(
    {RAW, TENANT, INGESTED, MESSAGE, "agent.type", "log.source.address", "event.kind", "event.module"}
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a line; ``zh`` and ``en`` say why it got no fields, empty when it did."""

    line: str
    fields: tuple[tuple[str, Any], ...]
    zh: str = ""
    en: str = ""


def read_text(text: str, name: str) -> CustomParser:
    """A parser from the text of a form.

    Raises:
        UserError: ``parser.file``: it cannot be used; the text names line and reason.
    """
    return read_parser(text.encode(), Path(f"{name}.yml"))


def try_lines(parser: CustomParser, lines: Sequence[str], now: datetime) -> list[Tried]:
    """Each line by itself, as from the collector that the parser names, in a form that is told by its beginning."""
    return [_try(parser, line, now) for line in lines[:MOST_LINES] if line.strip()]


def _try(parser: CustomParser, line: str, now: datetime) -> Tried:
    collector = parser.collector or "syslog"
    form = "syslog" if line.startswith("<") else "line"
    record = Record(line.encode("utf-8", "replace"), now, collector, "192.0.2.1:514", "trial", form)
    plain = normalise([record])[0]
    made = normalise([record], custom={"trial": [parser]})[0]
    if made[DATASET] == f"custom.{parser.name}":
        return Tried(line, _fields(made))
    return Tried(line, _fields(made), *_why(parser, plain))


def _why(parser: CustomParser, event: Event) -> tuple[str, str]:
    dataset = event[DATASET]
    if dataset not in UNPARSED:
        return f"内置解析器 {dataset} 已能解析", f"the built-in parser {dataset} reads it already"
    if len(event.get(MESSAGE) or "") > LONGEST_MESSAGE:
        return f"消息超过 {LONGEST_MESSAGE} 个字符", f"the message is longer than {LONGEST_MESSAGE} characters"
    if not parser.claims(event):
        program, host = event.get("process.name", ""), event.get("host.name", "")
        return (
            f"不符合 match：程序为 {program!r}，主机为 {host!r}",
            f"match does not fit: the program is {program!r}, the host {host!r}",
        )
    return f"没有模式匹配：{event.get(MESSAGE, '')[:200]!r}", f"no pattern fits {event.get(MESSAGE, '')[:200]!r}"


def _fields(event: Event) -> tuple[tuple[str, Any], ...]:
    found: list[tuple[str, Any]] = []
    for name, value in sorted(event.items()):
        if name in _HIDDEN:
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", one) for key, one in sorted(value.items())]
        else:
            found.append((name, value))
    return tuple(found)
