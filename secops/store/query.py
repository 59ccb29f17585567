"""The query language: Lucene syntax, parsed by luqum, reduced to the few shapes that we evaluate.

Words side by side are joined by AND. What we do not offer (fuzzy, proximity) is refused, never ignored; boosts are
taken off, because hits are ordered by time. Size, clauses and nesting are bounded before anything is done.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from luqum import tree
from luqum.exceptions import ParseError
from luqum.thread import parse as luqum_parse

from secops.store.index import QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT: Final = 4096
MAX_CLAUSES: Final = 200
MAX_DEPTH: Final = 20
MAX_WILDCARDS: Final = 16
ANY: Final = "*"
ONE: Final = "?"


@dataclass(frozen=True, slots=True)
class All:
    """Every event."""


@dataclass(frozen=True, slots=True)
class Not:
    """Events that ``item`` does not match."""

    item: Node


@dataclass(frozen=True, slots=True)
class And:
    """Events that all items match."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Events that some item matches."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """Events where the field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Term:
    """A value or phrase; field None is all text."""

    field: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Wild:
    """A pattern: literal texts, ``ANY`` and ``ONE`` in alternation; literals are marked by their index being even."""

    field: str | None
    literals: tuple[str, ...]  # one more than gaps
    gaps: tuple[str, ...]  # what stands between them


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that must match the whole value (RE2 syntax), or a whole word of a text."""

    field: str | None
    pattern: str
    position: int


@dataclass(frozen=True, slots=True)
class Range:
    """Values between two bounds; None is open."""

    field: str
    low: str | None
    high: str | None
    include_low: bool
    include_high: bool


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses within a network."""

    field: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network


Node: TypeAlias = All | Not | And | Or | Exists | Term | Wild | Regex | Range | Network


def parse(text: str) -> Node:
    """The query as a tree of our shapes.

    Raises:
        QuerySyntaxError: with the place, in Chinese and English.
    """
    _refuse_oversized(text)
    if not text.strip():
        return All()
    try:
        found = luqum_parse(text)
    except (ParseError, ValueError, ArithmeticError) as error:  # a boost that is no number is a decimal error
        raise _syntax_error(text, str(error)) from error
    return _Reducer().reduce(found, None, 0)


def _refuse_oversized(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise QuerySyntaxError(
            f"查询过长：{len(text)} 个字符，最多 {MAX_TEXT} 个",
            f"the query has {len(text)} characters; at most {MAX_TEXT}",
        )
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth > MAX_DEPTH:
            raise QuerySyntaxError(
                f"括号嵌套超过 {MAX_DEPTH} 层", f"more than {MAX_DEPTH} nested parentheses", position
            )


def _syntax_error(text: str, message: str) -> QuerySyntaxError:
    place = re.search(r"position (\d+)", message)
    if place is None:
        return QuerySyntaxError(
            "查询不完整：缺少条件、右括号或引号",
            "the query is incomplete: a term, parenthesis or quote is missing",
            len(text),
        )
    position = int(place[1])
    rest = text[position : position + 20]
    return QuerySyntaxError(
        f"无法理解“{rest}”；特殊字符请加引号或用反斜杠转义",
        f"cannot understand {rest!r}; put special characters in quotes or after a backslash",
        position,
    )


class _Reducer:
    """luqum's tree to ours, counting clauses."""

    def __init__(self) -> None:
        self._clauses = 0

    def reduce(self, item: tree.Item, field: str | None, depth: int) -> Node:
        position = item.pos if item.pos is not None else 0
        self._clauses += not item.children
        if self._clauses > MAX_CLAUSES or depth > 4 * MAX_DEPTH:
            raise QuerySyntaxError(
                f"查询条件过多：最多 {MAX_CLAUSES} 个",
                f"the query has too many clauses; at most {MAX_CLAUSES}",
                position,
            )
        for kind, reduced in self._kinds().items():
            if isinstance(item, kind):
                return reduced(item, field, depth + 1)
        raise QuerySyntaxError(
            f"不支持的查询写法“{str(item)[:40]}”（模糊与邻近查询不提供）",
            f"{str(item)[:40]!r} is not offered (no fuzzy or proximity search)",
            position,
        )

    def _kinds(self) -> dict[type, Callable[[tree.Item, str | None, int], Node]]:
        return {
            tree.SearchField: self._field,
            tree.OrOperation: lambda item, field, depth: Or(self._children(item, field, depth)),
            tree.BaseOperation: lambda item, field, depth: And(self._children(item, field, depth)),
            tree.Not: lambda item, field, depth: Not(self.reduce(item.a, field, depth)),
            tree.Prohibit: lambda item, field, depth: Not(self.reduce(item.a, field, depth)),
            tree.Plus: lambda item, field, depth: self.reduce(item.a, field, depth),
            tree.BaseGroup: lambda item, field, depth: self.reduce(item.expr, field, depth),
            tree.Boost: lambda item, field, depth: self.reduce(item.expr, field, depth),
            tree.Range: lambda item, field, _: _range(item, field),
            tree.From: lambda item, field, _: _open_range(item, field),
            tree.To: lambda item, field, _: _open_range(item, field),
            tree.Regex: lambda item, field, _: Regex(field, item.value[1:-1].replace("\\/", "/"), item.pos or 0),
            tree.Phrase: lambda item, field, _: _value(field, unescape(item.value[1:-1])),
            tree.Word: lambda item, field, _: _word(item, field),
        }

    def _children(self, item: tree.Item, field: str | None, depth: int) -> tuple[Node, ...]:
        return tuple(self.reduce(child, field, depth) for child in item.children)

    def _field(self, item: tree.SearchField, field: str | None, depth: int) -> Node:
        name, expression = unescape(item.name), item.expr
        if field is not None or isinstance(expression, tree.SearchField):
            raise QuerySyntaxError(
                "字段中不能再指定字段；含冒号的值（如 IPv6 地址、时间）请加引号",
                "a field within a field; put values with colons (IPv6 addresses, times) in quotes",
                item.pos or 0,
            )
        if name == "_exists_":
            return Exists(unescape(str(expression).strip().strip('"')))
        if name == ANY and str(expression).strip() == ANY:
            return All()
        if isinstance(expression, tree.Prohibit) and isinstance(expression.a, tree.Word):
            return _value(name, "-" + unescape(expression.a.value))  # a negative number
        return self.reduce(expression, name, depth)


def _word(item: tree.Word, field: str | None) -> Node:
    text = item.value
    if text in {"&&", "||"}:
        raise QuerySyntaxError("请使用 AND、OR、NOT", "write AND, OR, NOT", item.pos or 0)
    literals, gaps = _split(text)
    if not gaps:
        return _value(field, literals[0])
    if len(gaps) > MAX_WILDCARDS:
        raise QuerySyntaxError(
            f"通配符过多：最多 {MAX_WILDCARDS} 个", f"too many wildcards; at most {MAX_WILDCARDS}", item.pos or 0
        )
    if gaps == (ANY,) and literals == ("", ""):
        return All() if field is None else Exists(field)
    return Wild(field, literals, gaps)


def _split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    literals: list[str] = [""]
    gaps: list[str] = []
    escaped = False
    for character in text:
        if escaped or character not in "\\*?":
            literals[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif not (gaps and character == ANY == gaps[-1] and not literals[-1]):  # ** is *
            gaps.append(character)
            literals.append("")
    return tuple(literals), tuple(gaps)


def _value(field: str | None, text: str) -> Node:
    network = _network(text) if field is not None and "/" in text else None
    return Term(field, text) if network is None or field is None else Network(field, network)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _range(item: tree.Range, field: str | None) -> Node:
    if field is None:
        raise QuerySyntaxError("范围查询须指定字段", "a range needs a field", item.pos or 0)
    low, high = _bound(item.low), _bound(item.high)
    return Range(field, low, high, bool(item.include_low), bool(item.include_high))


def _open_range(item: tree.From | tree.To, field: str | None) -> Node:
    if field is None:
        raise QuerySyntaxError("比较须指定字段", "a comparison needs a field", item.pos or 0)
    bound, include = _bound(item.a), bool(item.include)
    if isinstance(item, tree.From):
        return Range(field, bound, None, include, True)
    return Range(field, None, bound, True, include)


def _bound(item: tree.Item) -> str | None:
    text = str(item).strip()
    text = text[1:-1] if isinstance(item, tree.Phrase) else text
    return None if text == ANY else unescape(text)


def unescape(text: str) -> str:
    """Take the backslashes off."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
