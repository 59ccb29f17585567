"""Parsers that tenants write in YAML: patterns over what no built-in parser knew, in time linear in the message.

A pattern is a regular expression of RE2 in which ``%{NAME:field}`` stands for one of ``PATTERNS`` and the ECS field that gets
what it matches. Every file is bounded, as is what it is asked about; a tenant's parsers see the tenant's own events only, and never
those that a built-in parser understood, so that nobody can hide from a rule by writing one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import re2
import yaml

from secops.normalise.schema import FIELDS, SENDERS_MAY_NOT_SET
from secops.normalise.times import bsd, canonical, epoch, iso
from secops.yamlfile import Node, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from secops.normalise.parser import Desk
    from secops.records import Event

CODE: Final = "parser.file"
MOST_BYTES: Final = 64 * 1024
MOST_PATTERNS: Final = 20
LONGEST_PATTERN: Final = 2000
LONGEST_MESSAGE: Final = 8192  # characters; longer messages stay unparsed
LONGEST_TIME: Final = 64
MEMORY: Final = 1 << 20  # RE2's budget for one pattern
UNPARSED: Final = frozenset({"syslog.generic", "json.generic"})
TIME: Final = "@timestamp"
OWN: Final = "original."
RESERVED: Final = SENDERS_MAY_NOT_SET | {"event.kind", "event.module", "event.dataset"}

PATTERNS: Final[Mapping[str, str]] = {
    "WORD": r"[\pL\pN_]+",
    "NOTSPACE": r"\S+",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "INT": r"[+-]?\d{1,18}",
    "NUMBER": r"[+-]?\d{1,18}(?:\.\d{1,18})?",
    "IP": r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+)",
    "MAC": r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}",
    "HOSTNAME": r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,253}[0-9A-Za-z])?",
    "USER": r"[\pL\pN_.@$\\-]+",
    "PATH": r"/[^\s\"']*",
    "URI": r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"']+",
    "UNQUOTED": r"[^\"]*",
    "UUID": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "LEVEL": r"(?i:emerg(?:ency)?|alert|crit(?:ical)?|err(?:or)?|warn(?:ing)?|notice|info(?:rmation)?|debug|trace|fatal)",
    "ISO8601": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?",
    "SLASHTIME": r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d",
    "BSDTIME": r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d",
    "HTTPTIME": r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
    "EPOCH": r"\d{9,19}(?:\.\d{1,9})?",
}
_MACRO: Final = re.compile(r"%\{([^{}:]{1,40})(?::([^{}]{1,120}))?\}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_ORIGINAL: Final = re.compile(r"original\.[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_DIRECTIVES: Final = frozenset("YmdHMSfzbyIpj%")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; ``fields[i]`` gets the text of group i + 1."""

    text: str
    regex: Any  # google-re2 has no type information
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CustomParser:
    """One file."""

    name: str
    patterns: tuple[Pattern, ...]
    collector: str = ""
    program: str = ""  # lower case
    host: Any = None  # compiled glob
    times: tuple[str, ...] = ("iso",)
    constants: Mapping[str, Any] = field(default_factory=dict)

    def claims(self, event: Event) -> bool:
        """Whether the file is about events of this collector, host and program."""
        if self.collector and event.get("agent.type") != self.collector:
            return False
        if self.program and str(event.get("process.name", "")).lower() != self.program:
            return False
        return self.host is None or self.host.fullmatch(str(event.get("host.name", ""))[:255]) is not None

    def parse(self, event: Event, message: str, desk: Desk) -> bool:
        """Fill the event from the first pattern that fits; ``False`` when none does."""
        for pattern in self.patterns:
            found = pattern.regex.search(message)
            if found is not None:
                self._fill(event, pattern.fields, found.groups(), desk)
                return True
        return False

    def _fill(self, event: Event, names: Sequence[str], values: Sequence[str | None], desk: Desk) -> None:
        event["event.module"], event["event.dataset"] = "custom", f"custom.{self.name}"
        for name, value in zip(names, values, strict=True):
            if value is None:
                continue
            if name == TIME:
                if claimed := read_time(value, self.times, desk.ingested[:10], desk.zone):
                    desk.stamp(event, claimed)
            elif name.startswith(OWN):
                event["original"] = {**event.get("original", {}), name.removeprefix(OWN): value}
            elif (typed := FIELDS[name](value)) is not None:
                event[name] = typed
        event.update(self.constants)


def refine_unparsed(events: Sequence[Event], parsers: Sequence[CustomParser], desk: Desk) -> None:
    """Ask the tenant's parsers about those events that no built-in parser knew."""
    for event in events:
        message = event.get("message") or ""
        if event["event.dataset"] in UNPARSED and len(message) <= LONGEST_MESSAGE:
            for parser in parsers:
                if parser.claims(event) and parser.parse(event, message, desk):
                    break


def read_parser(data: bytes, file: Path) -> CustomParser:
    """Read a file; its name without the ending names the dataset.

    Raises:
        UserError: ``parser.file``; the text names file, line and reason.
    """
    head = Node(parse(data[: MOST_BYTES + 1], file, CODE).raw, Path(file.name), CODE)
    if len(data) > MOST_BYTES:
        head.fail("文件过大", f"the file is larger than {MOST_BYTES} bytes")
    if not _NAME.fullmatch(file.stem):
        head.fail("文件名只能用小写字母、数字、- 和 _", "a file's name consists of a-z, 0-9, - and _")
    said = head.fields(("patterns",), ("match", "timestamp", "constants", "description"))
    match = said["match"].fields((), ("collector", "host", "program")) if "match" in said else {}
    items = said["patterns"].items()
    if not 0 < len(items) <= MOST_PATTERNS:
        said["patterns"].fail(f"须有 1 到 {MOST_PATTERNS} 条模式", f"1 to {MOST_PATTERNS} patterns are expected")
    return CustomParser(
        name=file.stem,
        patterns=tuple(_pattern(node) for node in items),
        collector=match["collector"].text() if "collector" in match else "",
        program=match["program"].text().lower() if "program" in match else "",
        host=_glob(match["host"]) if "host" in match else None,
        times=tuple(_time_format(node) for node in _several(said["timestamp"])) if "timestamp" in said else ("iso",),
        constants=_constants(said["constants"]) if "constants" in said else {},
    )


def read_time(text: str, formats: Sequence[str], received_day: str, zone: tzinfo) -> str | None:
    """Read a time by the first format that fits; ``zone`` counts where the text names none."""
    for form in formats if len(text) <= LONGEST_TIME else ():
        found = _TIMES[form](text, received_day, zone) if form in _TIMES else _by_format(text, form, zone)
        if found is not None:
            return found
    return None


def _epoch(text: str, _day: str, _zone: tzinfo) -> str | None:
    try:
        return epoch(float(text))
    except (ValueError, OverflowError):
        return None


_TIMES: Final[Mapping[str, Callable[[str, str, tzinfo], str | None]]] = {
    "iso": lambda text, _day, zone: iso(text, zone),
    "bsd": bsd,
    "epoch": _epoch,
}


def _by_format(text: str, form: str, zone: tzinfo) -> str | None:
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone follows
        return canonical(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None


def _pattern(node: Node) -> Pattern:
    text, names = node.text(), []
    if len(text) > LONGEST_PATTERN:
        node.fail("模式过长", f"a pattern has at most {LONGEST_PATTERN} characters")

    def macro(found: re.Match[str]) -> str:
        if found[1] not in PATTERNS:
            known = ", ".join(PATTERNS)
            node.fail(f"没有名为 {found[1]} 的模式，可用的有：{known}", f"no pattern {found[1]!r}; there are: {known}")
        if not found[2]:
            return f"(?:{PATTERNS[found[1]]})"
        names.append(_field(node, found[2]))
        return f"({PATTERNS[found[1]]})"

    regex = _compiled(node, _MACRO.sub(macro, text))
    if regex.groups != len(names):
        node.fail("请用 (?: ) 代替普通括号；字段用 %{名称:字段}", "write (?: ) for groups; fields are %{NAME:field}")
    return Pattern(text, regex, tuple(names))


def _compiled(node: Node, expression: str) -> Any:  # noqa: ANN401 - google-re2 has no type information
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        node.fail(f"模式无法使用：{reason}", f"the pattern cannot be used: {reason}")


def _field(node: Node, name: str) -> str:
    if name == TIME or _ORIGINAL.fullmatch(name):
        return name
    if name in RESERVED:
        node.fail(f"{name} 由系统填写，不能设置", f"{name} is set by the service")
    if name not in FIELDS:
        node.fail(
            f"没有名为 {name} 的 ECS 字段；其他名称请写成 original.名称",
            f"no ECS field {name!r}; write original.NAME for names of your own",
        )
    return name


def _glob(node: Node) -> Any:  # noqa: ANN401 - google-re2 has no type information
    text = node.text()[:255]
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
    return _compiled(node, "".join(parts))


def _several(node: Node) -> list[Node]:
    return node.items() if isinstance(node.raw, yaml.SequenceNode) else [node]


def _time_format(node: Node) -> str:
    text = node.text()
    if text in _TIMES:
        return text
    used = set(re.findall(r"%(.)", text))
    whole = "j" in used or {"d"} | ({"m"} if "m" in used else {"b"}) <= used
    if not (used <= _DIRECTIVES and used & {"Y", "y"} and whole and len(text) <= LONGEST_TIME):
        node.fail(
            "时间格式为 iso、bsd、epoch，或含年月日的 strptime 格式，如 %Y/%m/%d %H:%M:%S",
            "a time format is iso, bsd, epoch, or one of strptime with year, month and day, as %Y/%m/%d %H:%M:%S",
        )
    return text


def _constants(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in node.fields(optional=None).items():
        known = _field(value, name)
        texts = list(value.texts())
        typed = FIELDS[known](texts if len(texts) != 1 else texts[0]) if known in FIELDS else None
        if typed is None:
            value.fail(f"该值不适合 {name}", f"the value does not fit {name}")
        found[known] = typed
    return found
