"""From a query to an FTS5 expression that finds every match, and perhaps more: the candidates.

``exact`` says that it finds nothing else, so that hits can be counted without looking at events. Pure.

Tokens of the index, disjoint by their first character: words of all text as they are; keyword fields as
``<marker>field=value`` with ASCII punctuation moved out of the tokenizer's reach; one token that every event has.
Tenants are never folded together: they are told apart by their column (``mask``).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.store import query, text
from secops.store.fields import HIDDEN, KEYWORD_SET, KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Characters of the C1 controls: never part of a word, and token characters for FTS5's ascii tokenizer.
ASCII_VALUE: Final = "\x80"
OTHER_VALUE: Final = "\x81"
LONG_VALUE: Final = "\x82"
EVERY: Final = "\x84"
MAX_VALUE: Final = 128
_SHIFT: Final = {code: chr(0xE000 + code) for code in range(128) if not chr(code).isalnum()}


_PREFIXES: Final = {field: f"{field}=".translate(_SHIFT) for field in KEYWORDS}


@dataclass(frozen=True, slots=True)
class Plan:
    """``match`` is an FTS5 expression, None for all events."""

    match: str | None
    exact: bool


def keyword_token(field: str, value: str) -> str:
    """The token of a keyword field's value."""
    folded = text.fold(value)
    if len(folded) > MAX_VALUE:
        return LONG_VALUE + _PREFIXES[field] + _shift(folded[:MAX_VALUE])
    return (ASCII_VALUE if folded.isascii() else OTHER_VALUE) + _PREFIXES[field] + _shift(folded)


def _shift(folded: str) -> str:
    return folded if folded.isalnum() else folded.translate(_SHIFT)


def make(node: query.Node) -> Plan:
    """The candidates of a query."""
    match node:
        case query.All():
            return Plan(None, exact=True)
        case query.Not(item):
            return _not(make(item))
        case query.And(items):
            plans = [make(item) for item in items]
            found = [plan.match for plan in plans if plan.match is not None]
            return Plan(_all(found) if found else None, exact=all(plan.exact for plan in plans))
        case query.Or(items):
            plans = [make(item) for item in items]
            found = [plan.match for plan in plans if plan.match is not None]
            matches = _any(found) if len(found) == len(plans) else None
            return Plan(matches, exact=all(plan.exact for plan in plans))
        case _:
            return _leaf(node)


def _not(inner: Plan) -> Plan:
    return Plan(f"({quote(EVERY)} NOT {inner.match})", exact=True) if inner.exact and inner.match else _ALL


def _leaf(node: query.Node) -> Plan:
    match node:
        case query.Term(field, value):
            return _term(field, value)
        case query.Wild():
            return _wild(node)
        case query.Network(field, network) if field in KEYWORD_SET and isinstance(network, ipaddress.IPv4Network):
            return _network(field, network)
        case _:
            return _ALL


_ALL: Final = Plan(None, exact=False)


def _term(field: str | None, value: str) -> Plan:
    if field in KEYWORD_SET:
        token = keyword_token(field, value)
        return Plan(quote(token), exact=token.startswith(ASCII_VALUE))
    pieces = [_piece(word) for word in _pairs(text.fold(value))]
    if unseen(field) or not pieces:
        return _ALL
    return Plan(_all(pieces), exact=field is None and len(pieces) == 1)


def unseen(field: str | None) -> bool:
    """Whether a field's texts may be missing from the text of all fields."""
    return field is not None and (field in HIDDEN or any(field.endswith(f".{each}") for each in HIDDEN))


def _pairs(folded: str) -> list[str]:
    """The index words certain to be there where the phrase is: the last CJK character's own pair is not known."""
    found = text.index_words(folded)
    return [
        word for number, word in enumerate(found) if not (number and text.is_cjk(word) and _ends_run(found, number))
    ]


def _ends_run(found: list[str], number: int) -> bool:
    before = found[number - 1]
    return len(before) == 2 and before[1] == found[number] and text.is_cjk(before[0])  # noqa: PLR2004 - a pair


def _piece(word: str) -> str:
    """A lone CJK character may be followed by another one, and is then the beginning of a pair."""
    return quote(word) + " *" if text.is_cjk(word) else quote(word)


def _wild(node: query.Wild) -> Plan:
    literals = [text.fold(literal) for literal in node.literals]
    if node.field in KEYWORD_SET and node.gaps == (query.ANY,) and literals[0] and not literals[1]:
        return _keyword_prefix(node.field, literals[0])
    if unseen(node.field):
        return _ALL
    last = len(literals) - 1
    anywhere = node.field not in KEYWORD_SET and text.IS_CJK.search("".join(literals)) is not None  # within words, too
    pieces = [
        piece
        for number, literal in enumerate(literals)
        for piece in _literal_pieces(
            literal, at_start=number == 0 and not anywhere, at_end=number == last and not anywhere
        )
    ]
    return Plan(_all(pieces), exact=False) if pieces else _ALL


def _literal_pieces(literal: str, *, at_start: bool, at_end: bool) -> Iterator[str]:
    """Index words, or beginnings of such, certain to be in a text that contains ``literal`` between wildcards."""
    pattern = text.ASCII_WORD if literal.isascii() else text.ANY_WORD
    for found in pattern.finditer(literal):
        word = found[0]
        if text.is_cjk(word):
            yield quote(word) + " *"
        elif found.start() == 0 and not at_start:
            continue  # its beginning is unknown
        elif found.end() == len(literal) and not at_end:
            yield quote(word) + " *"
        else:
            yield quote(word)


def _keyword_prefix(field: str, prefix: str) -> Plan:
    if len(prefix) > MAX_VALUE:
        return _ALL
    shifted = _PREFIXES[field] + _shift(prefix)
    tokens = [quote(marker + shifted) + " *" for marker in (ASCII_VALUE, OTHER_VALUE, LONG_VALUE)]
    return Plan(_any(tokens), exact=prefix.isascii() and prefix.isalnum())


def _network(field: str, network: ipaddress.IPv4Network) -> Plan:
    octets = network.prefixlen // 8
    if not octets:
        return _ALL
    known = ".".join(str(network.network_address).split(".")[:octets])
    if octets == 4:  # noqa: PLR2004 - an address has four octets
        return Plan(quote(keyword_token(field, known)), exact=False)  # full-width digits are no address
    return Plan(quote(ASCII_VALUE + _PREFIXES[field] + _shift(f"{known}.")) + " *", exact=False)


def quote(token: str) -> str:
    """A token as an FTS5 string."""
    return '"' + token.replace('"', '""') + '"'


def _all(pieces: Iterable[str]) -> str:
    return "(" + " AND ".join(dict.fromkeys(pieces)) + ")"


def _any(pieces: Iterable[str]) -> str:
    return "(" + " OR ".join(dict.fromkeys(pieces)) + ")"
