"""From a query to Elasticsearch's query DSL: the same narrowing as ``plan`` does for FTS5, with more that is exact.

``exact`` says that the DSL finds what ``evaluate`` would find and nothing else, as long as no event in question bears one of
the marks ``provisos`` (``elasticsearch_document``). Given the marks that do occur, ``make`` lets those events through too, and
the hits are confirmed. Pure.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from secops.records import MESSAGE, TIMESTAMP
from secops.store import plan, query, text
from secops.store.elasticsearch_document import (
    ADDRESSES,
    LONG,
    MAX_VALUE,
    MAX_WORD,
    TIME,
    address,
    chunks,
    long,
    to_micros,
)
from secops.store.evaluate import moment, number
from secops.store.fields import KEYWORD_SET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Dsl: TypeAlias = "dict[str, Any]"

MAX_NESTING: Final = 20  # Elasticsearch takes 30 levels of bool
MAX_PHRASE: Final = 200
_MAPPED: Final = ipaddress.ip_network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Plan:
    """``dsl`` None: all events."""

    dsl: Dsl | None
    exact: bool
    provisos: frozenset[str] = frozenset()


_ALL: Final = Plan(None, exact=False)


def make(node: query.Node, odd: frozenset[str] = frozenset(), depth: int = 0) -> Plan:
    """The candidates of a query, where events with the marks ``odd`` are about."""
    if depth > MAX_NESTING:
        return _ALL
    match node:
        case query.All():
            return Plan(None, exact=True)
        case query.Not(item):
            return _not(make(item, odd, depth + 1))
        case query.And(items):
            return _joined([make(item, odd, depth + 1) for item in items], every=True)
        case query.Or(items):
            return _joined([make(item, odd, depth + 1) for item in items], every=False)
        case _:
            return _leaf(node, odd)


def _not(inner: Plan) -> Plan:
    if not inner.exact:
        return _ALL
    return Plan({"bool": {"must_not": [inner.dsl or {"match_all": {}}]}}, exact=True, provisos=inner.provisos)


def _leaf(node: query.Node, odd: frozenset[str]) -> Plan:
    match node:
        case query.Term(field, value):
            return _term(field, value)
        case query.Wild():
            return _wild(node, odd)
        case query.Range():
            return _range(node, odd)
        case query.Network(field, network) if field in ADDRESSES:
            return _network(field, network, odd)
        case query.Exists(field) | query.Regex(field) | query.Network(field) if field in KEYWORD_SET:
            return Plan(_exists(field or ""), exact=isinstance(node, query.Exists))
        case _:
            return _ALL


def _exists(field: str) -> Dsl:
    return {"exists": {"field": f"folded.{field}"}}


def either(dsl: Dsl | None, mark: Iterable[str]) -> Dsl | None:
    """Also the events with one of the marks."""
    return None if dsl is None else _any([dsl, {"terms": {"odd": sorted(mark)}}])


def _joined(plans: list[Plan], *, every: bool) -> Plan:
    found = [each.dsl for each in plans if each.dsl is not None]
    provisos = frozenset[str]().union(*(each.provisos for each in plans))
    exact = all(each.exact for each in plans)
    if every:
        return Plan(_all(found) if found else None, exact, provisos)
    return Plan(_any(found) if len(found) == len(plans) else None, exact, provisos)


def _all(found: list[Dsl]) -> Dsl:
    return found[0] if len(found) == 1 else {"bool": {"filter": found}}


def _any(found: list[Dsl]) -> Dsl:
    return found[0] if len(found) == 1 else {"bool": {"should": found, "minimum_should_match": 1}}


def _decided(dsl: Dsl, odd: frozenset[str], *provisos: str) -> Plan:
    broken = odd.intersection(provisos)
    return Plan(either(dsl, broken) if broken else dsl, exact=not broken, provisos=frozenset(provisos))


def _term(field: str | None, value: str) -> Plan:
    folded = text.fold(value)
    if field in KEYWORD_SET:
        return Plan({"term": {f"folded.{field}": folded[:MAX_VALUE]}}, exact=len(folded) < MAX_VALUE)
    words = text.words(folded)
    if not words or plan.unseen(field):
        return _ALL
    phrase = _phrase(_column(field), words[:MAX_PHRASE])
    return Plan(phrase, exact=field in {None, MESSAGE} and len(words) <= MAX_PHRASE)


def _column(field: str | None) -> str:
    return "text.message" if field == MESSAGE else "text.all"


def _phrase(column: str, words: list[str]) -> Dsl:
    tokens = [piece for word in words for piece in chunks(word)]
    if len(tokens) == 1:
        return {"term": {column: tokens[0]}}
    return {"match_phrase": {column: " ".join(tokens)}}


def _wild(node: query.Wild, odd: frozenset[str]) -> Plan:
    literals = [text.fold(literal) for literal in node.literals]
    if node.field in KEYWORD_SET:
        pattern = _escape(literals[0])
        for gap, literal in zip(node.gaps, literals[1:], strict=True):
            pattern += gap + _escape(literal)
        return _decided(_like(f"folded.{node.field}", pattern), odd, long(node.field or ""))
    if plan.unseen(node.field):
        return _ALL
    column = _column(node.field)
    if node.gaps == (query.ANY, query.ANY) and literals[0] == literals[2] == "" and _one_word(literals[1]):
        found = _decided(_like(column, f"*{literals[1]}*"), odd, LONG)
        return found if node.field in {None, MESSAGE} else Plan(found.dsl, exact=False, provisos=found.provisos)
    anywhere = text.IS_CJK.search("".join(literals)) is not None  # such a pattern is looked for within words, too
    last = len(literals) - 1
    pieces = [
        piece
        for number_, literal in enumerate(literals)
        for piece in _pieces(
            column, literal, at_start=number_ == 0 and not anywhere, at_end=number_ == last and not anywhere
        )
    ]
    return Plan(_all(pieces), exact=False) if pieces else _ALL


def _one_word(literal: str) -> bool:
    found = text.words(literal)
    return len(literal) <= MAX_WORD and found == [literal] and not text.is_cjk(literal)


def _pieces(column: str, literal: str, *, at_start: bool, at_end: bool) -> Iterator[Dsl]:
    """What is certain to be in a text that contains ``literal`` between wildcards."""
    pattern = text.ASCII_WORD if literal.isascii() else text.ANY_WORD
    for found in pattern.finditer(literal):
        word = found[0]
        if text.is_cjk(word):
            yield {"term": {column: word}}
        elif found.start() == 0 and not at_start:
            continue  # its beginning is unknown
        elif found.end() == len(literal) and not at_end:
            yield {"prefix": {column: word[:MAX_WORD]}}
        else:
            yield _phrase(column, [word])


def _like(column: str, pattern: str) -> Dsl:
    return {"wildcard": {column: {"value": pattern}}}


def _escape(literal: str) -> str:
    return "".join(f"\\{character}" if character in "\\*?" else character for character in literal)


def _range(node: query.Range, odd: frozenset[str]) -> Plan:
    field = node.field
    bounds = [bound for bound in (node.low, node.high) if bound is not None]
    if field == TIMESTAMP and bounds and not _all_of(number, bounds) and _all_of(moment, bounds):
        return _decided(_span("micros", node, _micros), odd, TIME)
    if field not in KEYWORD_SET:
        return _ALL
    if not bounds:
        return Plan(_exists(field), exact=True)
    if _all_of(number, bounds):
        return Plan(_span(f"number.{field}", node, number), exact=True)
    if _all_of(moment, bounds) or any(len(text.fold(bound)) >= MAX_VALUE for bound in bounds):
        return Plan(_exists(field), exact=False)
    return Plan(_span(f"folded.{field}", node, text.fold), exact=True)


def _all_of(convert: Any, bounds: list[str]) -> bool:  # noqa: ANN401 - any of evaluate's conversions
    return all(convert(bound) is not None for bound in bounds)


def _span(column: str, node: query.Range, convert: Any) -> Dsl:  # noqa: ANN401 - likewise
    found = {}
    if node.low is not None:
        found["gte" if node.include_low else "gt"] = convert(node.low)
    if node.high is not None:
        found["lte" if node.include_high else "lt"] = convert(node.high)
    return {"range": {column: found}}


def _micros(bound: str) -> int:
    at = moment(bound)
    assert at is not None
    return to_micros(at)


def _network(field: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network, odd: frozenset[str]) -> Plan:
    """Elasticsearch keeps IPv4 as a part of IPv6; for us they are apart."""
    if isinstance(network, ipaddress.IPv6Network) and network.overlaps(_MAPPED):
        return Plan(_exists(field), exact=False)
    return _decided({"term": {field: str(network)}}, odd, address(field))
