"""Whether an event matches a query: the meaning of the query language, as a pure function.

The index only narrows down; what it offers is confirmed here, so its answers are those of a scan over all events.

* A keyword field (``fields.KEYWORDS``) matches a term by its whole value; any other field by its whole value or by a
  phrase within it. Bare terms look at all text the same way. Case and width do not count (``text.fold``).
* Wildcards and regular expressions match a whole value, or outside keyword fields a whole word.
* Ranges compare numbers as numbers, times as times, all else as text.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import re2

from secops.store import query, text
from secops.store.fields import KEYWORD_SET, all_texts, lookup, scalars
from secops.store.index import QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secops.records import Event

    Predicate: TypeAlias = Callable[[Event], bool]
    Values: TypeAlias = Callable[[Event], Iterator[str]]

REGEX_MEMORY: Final = 2**20
NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)


def compile_query(node: query.Node) -> Predicate:
    """A function that says whether an event matches.

    Raises:
        QuerySyntaxError: a regular expression is not RE2, or too large.
    """
    match node:
        case query.All():
            return lambda _: True
        case query.Not(item):
            inner = compile_query(item)
            return lambda event: not inner(event)
        case query.And(items):
            every = [compile_query(item) for item in items]
            return lambda event: all(predicate(event) for predicate in every)
        case query.Or(items):
            some = [compile_query(item) for item in items]
            return lambda event: any(predicate(event) for predicate in some)
        case query.Exists(field):
            return lambda event: next(scalars(lookup(event, field)), None) is not None
        case _:
            return _leaf(node)


def _leaf(node: query.Term | query.Wild | query.Regex | query.Range | query.Network) -> Predicate:
    values = _values(node.field)
    test = value_test(node)
    return lambda event: any(map(test, values(event)))


def _values(field: str | None) -> Values:
    if field is None:
        return all_texts
    return lambda event: scalars(lookup(event, field))


def value_test(node: query.Term | query.Wild | query.Regex | query.Range | query.Network) -> Callable[[str], bool]:
    """What one value of the node's field must satisfy."""
    keyword = node.field in KEYWORD_SET
    match node:
        case query.Term():
            return _equals(node.text) if keyword else _contains(node.text)
        case query.Wild():
            return _like(node, keyword=keyword)
        case query.Regex():
            return _regex(node, keyword=keyword)
        case query.Range():
            return _between(node)
        case query.Network():
            return _within(node.network)


def _equals(wanted: str) -> Callable[[str], bool]:
    folded = text.fold(wanted)
    return lambda value: text.fold(value) == folded


def _contains(wanted: str) -> Callable[[str], bool]:
    folded = text.fold(wanted)
    phrase = text.line(folded)
    if not phrase.strip():
        return _equals(wanted)

    def test(value: str) -> bool:
        other = text.fold(value)
        return other == folded or phrase in text.line(other)

    return test


def _like(node: query.Wild, *, keyword: bool) -> Callable[[str], bool]:
    literals = [text.fold(literal) for literal in node.literals]
    if node.gaps == (query.ANY, query.ANY) and literals[0] == literals[2] == "":  # *part*
        return lambda value: literals[1] in text.fold(value)
    pattern = _escape(literals[0])
    for gap, literal in zip(node.gaps, literals[1:], strict=True):
        pattern += (".*" if gap == query.ANY else ".") + _escape(literal)
    anywhere = not keyword and text.IS_CJK.search("".join(literals)) is not None
    whole_only = keyword or (node.gaps[0] == node.gaps[-1] == query.ANY and literals[0] == literals[-1] == "")
    return _matcher(_re2(f"(?s){pattern}", 0), keyword=whole_only, anywhere=anywhere, prepare=text.fold)


def _regex(node: query.Regex, *, keyword: bool) -> Callable[[str], bool]:
    return _matcher(_re2(f"(?s)(?:{node.pattern})", node.position), keyword=keyword, anywhere=False, prepare=str)


def _matcher(
    compiled: Any,  # noqa: ANN401 - re2 has no types
    *,
    keyword: bool,
    anywhere: bool,
    prepare: Callable[[str], str],
) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        whole = prepare(value)
        if anywhere:
            return compiled.search(_encodable(whole)) is not None
        if compiled.fullmatch(_encodable(whole)):
            return True
        return not keyword and any(compiled.fullmatch(run) for run in text.RUN.findall(whole))

    return test


def _encodable(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _escape(literal: str) -> str:
    return str(re2.escape(_encodable(literal)))


def _re2(pattern: str, position: int) -> Any:  # noqa: ANN401 - re2 has no types
    options = re2.Options()
    options.max_mem = REGEX_MEMORY
    options.log_errors = False
    try:
        return re2.compile(_encodable(pattern), options=options)
    except re2.error as error:
        raise QuerySyntaxError(
            "正则表达式无效或过大（RE2 语法）", "the regular expression is not valid RE2, or too large", position
        ) from error


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


def _between(node: query.Range) -> Callable[[str], bool]:
    for convert in (number, moment, text.fold):
        bounds = [None if bound is None else convert(bound) for bound in (node.low, node.high)]
        if all(
            converted is not None or bound is None
            for converted, bound in zip(bounds, (node.low, node.high), strict=True)
        ):
            return _comparison(node, convert, bounds[0], bounds[1])
    raise AssertionError("text bounds always convert")


def _comparison(
    node: query.Range,
    convert: Callable[[str], Any],
    low: Any,  # noqa: ANN401 - whatever convert gives
    high: Any,  # noqa: ANN401 - whatever convert gives
) -> Callable[[str], bool]:
    open_both = low is None and high is None

    def test(value: str) -> bool:
        if open_both:
            return True
        found = convert(value)
        if found is None:
            return False
        above = low is None or found > low or (node.include_low and found == low)
        return above and (high is None or found < high or (node.include_high and found == high))

    return test


def number(value: str) -> float | None:
    """A decimal number, else None."""
    return float(value) if NUMBER.fullmatch(value) else None


def moment(value: str) -> datetime | None:
    """An ISO 8601 date or time (UTC where no zone is given), else None."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
