"""YAML to plain data that remembers its lines, from parser events, with bounds on size, depth and repetition.

The parser's events are consumed here rather than by PyYAML's composer, because the composer recurses without a bound,
expands aliases without a bound, and lets the second of two equal keys win in silence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_NODES = 200_000  # in one file, aliases counted as often as they are used
_MOST_NUMBER = 1 << 63

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))


class RuleError(Exception):
    """A rule cannot be understood; names the line and the way out in Chinese and English."""

    def __init__(self, line: int, zh: str, en: str) -> None:
        super().__init__(en)
        self.line = line
        self.zh = zh
        self.en = en


class Block(dict[str, Any]):
    """A mapping with the line of itself and of each key (counted from 1)."""

    def __init__(self, line: int = 1) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def at(self, key: str) -> int:
        """Line of a key, or of the mapping when the key is not there."""
        return self.lines.get(key, self.line)


class Items(list[Any]):
    """A sequence with the line of itself and of each entry (counted from 1)."""

    def __init__(self, line: int = 1) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class _Reader:
    """Builds the documents of one text from the parser's events."""

    def __init__(self, text: str) -> None:
        self._loader = _Loader(text)
        self._budget = MAX_NODES
        self._anchors: dict[str, tuple[Any, int]] = {}  # name -> (value, number of nodes in it)

    def documents(self) -> Iterator[tuple[int, Any]]:
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                first = self._next()
                yield _line(first), self._value(first, 0)

    def _next(self) -> Any:  # noqa: ANN401 - the parser's events have no common type
        return self._loader.get_event()

    def _value(self, event: Any, depth: int) -> Any:  # noqa: ANN401 - any YAML value
        before = self._spend(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise RuleError(_line(event), f"嵌套超过 {MAX_DEPTH} 层", f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, depth)
        else:
            value = self._sequence(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, before - self._budget)
        return value

    def _spend(self, event: Any, nodes: int) -> int:  # noqa: ANN401 - see _next
        before = self._budget
        self._budget -= nodes
        if self._budget < 0:
            raise RuleError(_line(event), "文件过大：节点太多", f"more than {MAX_NODES} nodes in one file")
        return before

    def _alias(self, event: Any) -> Any:  # noqa: ANN401 - see _next
        if event.anchor not in self._anchors:
            raise RuleError(_line(event), f"别名 *{event.anchor} 没有定义", f"alias *{event.anchor} is not defined")
        value, nodes = self._anchors[event.anchor]
        self._spend(event, nodes)
        return value

    def _scalar(self, event: Any) -> Any:  # noqa: ANN401 - see _next
        tag = event.tag or self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _PLAIN_TAGS:
            return event.value  # dates too stay as they were written
        try:
            node = yaml.ScalarNode(tag, event.value, event.start_mark)
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise RuleError(
                _line(event), f"数值无法读取：{event.value[:100]}", f"cannot read value: {error}"
            ) from error
        return value if _countable(value) else event.value

    def _mapping(self, start: Any, depth: int) -> Block:  # noqa: ANN401 - see _next
        block = Block(_line(start))
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            key = self._value(event, depth + 1)
            if isinstance(key, (Block, Items)):
                raise RuleError(line, "键必须是文本", "a key must be text")
            name = event.value if isinstance(event, yaml.ScalarEvent) else str(key)
            if name in block:
                raise RuleError(line, f"键 {name!r} 重复", f"key {name!r} is there twice")
            block[name] = self._value(self._next(), depth + 1)
            block.lines[name] = line
        return block

    def _sequence(self, start: Any, depth: int) -> Items:  # noqa: ANN401 - see _next
        items = Items(_line(start))
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.lines.append(_line(event))
            items.append(self._value(event, depth + 1))
        return items


def _countable(value: object) -> bool:
    """Whether it can be calculated with and kept as JSON; other numbers (infinite, beyond 64 bits) stay texts."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < _MOST_NUMBER


def _line(event: Any) -> int:  # noqa: ANN401 - the parser's events have no common type
    return int(event.start_mark.line) + 1


def read_documents(data: bytes) -> Iterator[tuple[int, Any]]:
    """Documents of a YAML file, each with the line on which it starts.

    Raises:
        RuleError: the file is too large, not UTF-8, not YAML, or beyond the bounds of this module.
    """
    if len(data) > MAX_BYTES:
        raise RuleError(1, f"文件超过 {MAX_BYTES} 字节", f"file is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RuleError(line, "文件不是 UTF-8 编码", f"not UTF-8: {error.reason}") from error
    try:
        yield from _Reader(text).documents()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise RuleError(mark.line + 1 if mark else 1, f"不是合法的 YAML：{problem}", f"not YAML: {problem}") from error


def document_at(text: str, line: int) -> str:
    """The text of the document that starts on a line (as ``read_documents`` counts them), without those around it."""
    lines = text.splitlines()[max(line - 1, 0) :]
    end = next((at for at, each in enumerate(lines) if at and each.startswith("---")), len(lines))
    return "\n".join(lines[:end]).strip("\n")
