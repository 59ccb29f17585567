"""What one test says of one value; the plain meaning that the compiled forms must agree with."""

from __future__ import annotations

import ipaddress
import operator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secops.match.indicators import MAX_LINE, read_list
from secops.match.regex import compile_regex, quote
from secops.match.rule import (
    And,
    Atom,
    Cidr,
    Compare,
    Exists,
    FieldRef,
    IsNull,
    Listed,
    Not,
    Pattern,
    Regex,
    Test,
    TimePart,
    Wild,
)
from secops.match.text import fold, fold_parts, number_of, scalars, text_of, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secops.match.rule import Expression

MISSING: Any = object()
_EPOCH_DIGITS: Final = {10: 1, 13: 1000}  # digits of seconds and of milliseconds since 1970 -> units in a second


def evaluate(expression: Expression, event: Mapping[str, Any]) -> bool:
    """Whether an expression holds for a (flat) event."""
    if isinstance(expression, Atom):
        return atom_holds(expression, event)
    if isinstance(expression, Not):
        return not evaluate(expression.child, event)
    if isinstance(expression, And):
        return all(evaluate(child, event) for child in expression.children)
    return any(evaluate(child, event) for child in expression.children)


def atom_holds(atom: Atom, event: Mapping[str, Any]) -> bool:
    """Whether a field's value, or one of its values when it is a list, satisfies the atom's test."""
    if atom.field is None:
        return any(_some(atom.test, value, event) for value in worded(event).values())
    value = event.get(atom.field, MISSING)
    if isinstance(atom.test, IsNull):
        return value is MISSING or value is None
    if isinstance(atom.test, Exists):
        return (value is not MISSING) == atom.test.wanted
    return value is not MISSING and _some(atom.test, value, event)


def atoms_of(expression: Expression) -> Iterator[Atom]:
    """Every atom of an expression, as often as it stands in it."""
    if isinstance(expression, Atom):
        yield expression
    elif isinstance(expression, Not):
        yield from atoms_of(expression.child)
    else:
        for child in expression.children:
            yield from atoms_of(child)


def positive_atoms(expression: Expression, *, positive: bool = True) -> Iterator[Atom]:
    """Atoms that speak for the expression, not against it."""
    if isinstance(expression, Not):
        yield from positive_atoms(expression.child, positive=not positive)
    elif not isinstance(expression, Atom):
        for child in expression.children:
            yield from positive_atoms(child, positive=positive)
    elif positive:
        yield expression


def _some(test: Test, value: object, event: Mapping[str, Any]) -> bool:
    if isinstance(test, FieldRef):
        holds = relation(test)
        others = [text for each in scalars(event.get(test.other)) if (text := text_of(each)) is not None]
        return any(
            holds(text, other) for each in scalars(value) if (text := text_of(each)) is not None for other in others
        )
    check = text_test(test)
    return any(check(text) for each in scalars(value) if (text := text_of(each)) is not None)


@lru_cache(maxsize=4096)
def text_test(test: Test) -> Callable[[str], bool]:
    """The test as a function of a value's text."""
    if isinstance(test, Pattern):
        return pattern_test(test)
    if isinstance(test, Regex):
        search = compile_regex(test.pattern, test.flags).search
        return lambda text: search(text) is not None
    if isinstance(test, Cidr):
        return cidr_test(test)
    if isinstance(test, Compare):
        return compare_test(test)
    if isinstance(test, Listed):
        return list_test(test)
    if isinstance(test, TimePart):
        return time_test(test)
    raise TypeError(f"{type(test).__name__} is not a test of one text")


def pattern_test(test: Pattern) -> Callable[[str], bool]:
    """A pattern as a function of the text as it came."""
    inner = glob(test.parts if test.cased else fold_parts(test.parts))
    return inner if test.cased else lambda text: inner(fold(text))


def glob(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """A matcher of whole texts, linear in the text; literals must be folded already where case does not matter."""
    if Wild.ONE in parts:
        body = "".join(".*" if part is Wild.MANY else "." if part is Wild.ONE else quote(part) for part in parts)
        search = compile_regex(rf"\A{body}\z", "s").search
        return lambda text: search(text) is not None
    literals = [part for part in parts if part is not Wild.MANY]
    head = literals.pop(0) if literals and parts[0] is not Wild.MANY else ""
    if head and parts == (head,):
        return lambda text: text == head
    tail = literals.pop() if literals and parts[-1] is not Wild.MANY else ""
    if not parts:
        return lambda text: not text
    return _many(head, tuple(literals), tail)


def _many(head: str, middle: tuple[str, ...], tail: str) -> Callable[[str], bool]:
    least = len(head) + len(tail)

    def matches(text: str) -> bool:
        if len(text) < least or not text.startswith(head) or not text.endswith(tail):
            return False
        position, end = len(head), len(text) - len(tail)
        for literal in middle:
            position = text.find(literal, position, end)
            if position < 0:
                return False
            position += len(literal)
        return True

    return matches


def cidr_test(test: Cidr) -> Callable[[str], bool]:
    """Whether the text is an address, or a network, inside the network.

    ``::ffff:10.0.0.1``, as Windows writes an IPv4 client of an IPv6 socket, is the IPv4 address; the zone of a
    link-local address (``fe80::1%eth0``) is left out.
    """
    network = ipaddress.ip_network(test.network)

    def inside(text: str) -> bool:
        try:
            other = ipaddress.ip_network(text[:64].partition("%")[0], strict=False)
        except ValueError:
            return False
        if other.version != network.version:
            mapped = other.network_address.ipv4_mapped if isinstance(other, ipaddress.IPv6Network) else None
            return mapped is not None and other.num_addresses == 1 and mapped in network
        return other.subnet_of(network)  # type: ignore[arg-type]

    return inside


def list_test(test: Listed) -> Callable[[str], bool]:
    """Whether the text is on the list; nothing is on one that went away since the rule was read."""
    try:
        listed = read_list(Path(test.path), test.indicator)
    except (OSError, ValueError):
        return lambda _text: False
    return lambda text: len(text) <= MAX_LINE and listed.find(text) is not None


_RELATIONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "eq": operator.eq,
}  # fmt: skip


def compare_test(test: Compare) -> Callable[[str], bool]:
    """Whether the text is a number in the relation to the test's number."""
    holds, against = _RELATIONS[test.operator], test.number

    def compares(text: str) -> bool:
        number = number_of(text)
        return number is not None and holds(number, against)

    return compares


def time_test(test: TimePart) -> Callable[[str], bool]:
    """Whether a part of the time that the text says is in the relation to the test's number."""
    holds, against = _RELATIONS[test.operator], test.number

    def compares(text: str) -> bool:
        number = time_part(text, test.part)
        return number is not None and holds(number, against)

    return compares


def relation(test: FieldRef) -> Callable[[str, str], bool]:
    """The relation of a field reference between two texts."""
    compare: dict[str, Callable[[str, str], bool]] = {
        "equals": lambda text, other: text == other,
        "contains": lambda text, other: other in text,
        "startswith": lambda text, other: text.startswith(other),
        "endswith": lambda text, other: text.endswith(other),
    }
    holds = compare[test.relation]
    return holds if test.cased else lambda text, other: holds(fold(text), fold(other))


def time_part(text: str, part: str) -> int | None:
    """A part, in UTC, of an RFC 3339 date-time (UTC when it names no offset) or of seconds or milliseconds since 1970."""
    moment = _moment(text[:64].strip())
    if moment is None:
        return None
    return int(moment.isocalendar().week if part == "week" else getattr(moment, part))


def _moment(text: str) -> datetime | None:
    try:
        if text.isascii() and text.isdigit() and len(text) in _EPOCH_DIGITS:
            return datetime.fromtimestamp(int(text) / _EPOCH_DIGITS[len(text)], UTC)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
