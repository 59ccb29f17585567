"""Per field: from a value's text to the rules whose witnesses it may make true."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeVar

from secops.match.atoms import text_test
from secops.match.rule import Cidr, Compare, Listed, Pattern, Regex, Wild
from secops.match.text import fold, fold_parts, literal_of
from secops.match.witness import longest_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from secops.match.rule import Test
    from secops.match.scan import Databases, Scanner

T = TypeVar("T", str, tuple[str, str])

_SEPARATORS: Final = ("\\", "/")
CACHED_LENGTH: Final = 4096  # longer values are not remembered
CACHED_VALUES: Final = 20_000  # values remembered of one field
CACHED_CHARACTERS: Final = 2_000_000  # and their length in all


class FieldIndex:
    """Witnesses on one field, by kind of test.

    An index that takes the place of another keeps its scanners where they look for all that is needed: to compile a
    smaller one would cost more than looking for a little too much.
    """

    def __init__(
        self,
        witnesses: Iterable[tuple[Test, int]],
        databases: Databases,
        *,
        cached: bool = True,
        before: FieldIndex | None = None,
    ) -> None:
        self._exact: dict[str, tuple[int, ...]] = {}
        self._tails: dict[str, dict[str, tuple[int, ...]]] = {}
        self._present: tuple[int, ...] = ()
        self._tests: list[tuple[Callable[[str], bool], tuple[int, ...]]] = []
        self._literals: Scanner | None = None
        self._regexes: Scanner | None = None
        self._of_literal: list[tuple[int, ...]] = []
        self._of_regex: list[tuple[int, ...]] = []
        self.literals: tuple[str, ...] = before.literals if before is not None else ()
        self.regexes: tuple[tuple[str, str], ...] = before.regexes if before is not None else ()
        self._build(witnesses, databases)
        self.cache: dict[str, tuple[int, ...]] = {}
        self._room = CACHED_CHARACTERS if cached else 0

    def _build(self, witnesses: Iterable[tuple[Test, int]], databases: Databases) -> None:
        patterns: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))  # kind -> literal -> rules
        regexes = defaultdict[tuple[str, str], set[int]](set)
        tests = defaultdict[object, set[int]](set)
        present = set[int]()
        for test, rule in witnesses:
            if isinstance(test, Pattern):
                kind, literal = placed(test)
                patterns[kind][literal].add(rule)
            elif isinstance(test, Regex):
                regexes[test.pattern, test.flags].add(rule)
            elif isinstance(test, (Cidr, Compare, Listed)):
                tests[test].add(rule)
            else:
                present.add(rule)
        self._exact = _frozen(patterns["exact"])
        self._tails = {mark: _frozen(patterns[mark]) for mark in _SEPARATORS if mark in patterns}
        present.update(*patterns["present"].values())
        self._tests = [(text_test(test), tuple(sorted(rules))) for test, rules in tests.items()]
        if literals := patterns["literal"]:
            self.literals = _sought(literals, self.literals)
            self._literals = databases.literals(self.literals)
            self._of_literal = [tuple(sorted(literals.get(each, ()))) for each in self.literals]
        if regexes:
            self.regexes = _sought(regexes, self.regexes)
            self._regexes, hard = databases.regexes(self.regexes)
            self._of_regex = [tuple(sorted(regexes.get(each, ()))) for each in self.regexes]
            present.update(rule for position in hard for rule in self._of_regex[position])
        self._present = tuple(sorted(present))

    @property
    def plain(self) -> bool:
        """Whether it looks for literals only, so that several values may be looked through as one text."""
        others = (self._exact, self._tails, self._present, self._tests, self._regexes)
        return self._literals is not None and not any(others)

    def within(self, text: str) -> list[int]:
        """Rules that literals in the text may satisfy; nothing is remembered."""
        assert self._literals is not None
        return [rule for position in self._literals.scan(text) for rule in self._of_literal[position]]

    def lookup(self, text: str) -> tuple[int, ...]:
        """Rules that a value of this text may satisfy; remembers the answer."""
        rules = self._search(text)
        length = len(text)
        if length <= CACHED_LENGTH and self._room > 0:
            if len(self.cache) >= CACHED_VALUES or self._room < length:
                self.cache.clear()
                self._room = CACHED_CHARACTERS
            self.cache[text] = rules
            self._room -= length
        return rules

    def _search(self, text: str) -> tuple[int, ...]:
        folded = fold(text)
        found = list(self._present)
        if folded in self._exact:
            found += self._exact[folded]
        for mark, tails in self._tails.items():
            found += tails.get(folded[folded.rfind(mark) :], ())
        if self._literals is not None:
            for position in self._literals.scan(folded):
                found += self._of_literal[position]
        if self._regexes is not None:
            for position in self._regexes.scan(text):
                found += self._of_regex[position]
        for holds, rules in self._tests:
            if holds(text):
                found += rules
        return tuple(dict.fromkeys(found))


def _sought(wanted: Collection[T], before: tuple[T, ...]) -> tuple[T, ...]:
    """What a scanner is to look for: in order, so that equal sets share one; what it looked for before, if that will do."""
    return before if set(wanted) <= set(before) else tuple(sorted(wanted))


def placed(test: Pattern) -> tuple[str, str]:
    """Where a pattern is looked up: ``exact``, a separator (by the last path component), ``literal``, or ``present``."""
    parts = fold_parts(test.parts)
    whole = literal_of(parts)
    if whole is not None:
        return "exact", whole
    last = parts[-1]
    if not isinstance(last, Wild):
        for mark in _SEPARATORS:
            if mark in last and (tail := last[last.rindex(mark) :]) != mark:
                return mark, tail
    literal = longest_literal(test)
    return ("literal", literal) if literal else ("present", "")


def _frozen(sets: dict[str, set[int]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(sorted(rules)) for key, rules in sets.items()}
