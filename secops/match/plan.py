"""What remains of the rules for events of one signature, indexed by field."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from secops.match.atoms import evaluate, text_test
from secops.match.generate import Folded, ManyValued, Texts, generate
from secops.match.index import FieldIndex
from secops.match.rule import And, Atom, Detection, Not, Or, Pattern, Rule
from secops.match.text import literal_of, scalars, text_of
from secops.match.witness import witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from secops.match.generate import Confirm
    from secops.match.rule import Expression, Test
    from secops.match.scan import Databases


class Candidate:
    """A rule that may hold, with what confirms it (made when first needed)."""

    __slots__ = ("_function", "expression", "rule")

    def __init__(self, rule: Rule, expression: Expression) -> None:
        self.rule = rule
        self.expression = expression
        self._function: Confirm | None = None

    def holds(self, texts: Texts, folded: Folded, view: Mapping[str, Any]) -> bool:
        """Whether the rule holds for the event."""
        function = self._function
        if function is None:
            function = self._function = generate(self.expression)
        try:
            return function(texts, folded, view)
        except ManyValued:
            return evaluate(self.expression, view)


class Plan:
    """The rules of one signature."""

    def __init__(self, candidates: Sequence[Candidate], databases: Databases, *, cached: bool = True) -> None:
        self._candidates = tuple(candidates)
        self._always: list[int] = []
        by_field: dict[str | None, list[tuple[Test, int]]] = defaultdict(list)
        for number, candidate in enumerate(candidates):
            found = witness(candidate.expression)
            if found is None:
                self._always.append(number)
                continue
            for atom in found.atoms:
                by_field[atom.field].append((atom.test, number))
        keywords = by_field.pop(None, None)
        self._fields = [
            (field, index.cache, index.lookup)
            for field, index in (
                (name, FieldIndex(tests, databases, cached=cached))
                for name, tests in by_field.items()
                if name is not None
            )
        ]
        self._keywords = FieldIndex(keywords, databases, cached=cached) if keywords else None

    def match(self, view: Mapping[str, Any]) -> list[Rule]:
        """Rules that hold for the event, in the order of the rule set."""
        found = list(self._always)
        get = view.get
        for field, cache, lookup in self._fields:
            value = get(field)
            if value is None:
                continue
            if type(value) is not str:
                found += _many(value, lookup)
                continue
            rules = cache.get(value)
            if rules is None:
                rules = lookup(value)
            if rules:
                found += rules
        if self._keywords is not None:
            for value in view.values():
                found += _many(value, self._keywords.lookup)
        return self._confirm(found, view) if found else []

    def _confirm(self, found: list[int], view: Mapping[str, Any]) -> list[Rule]:
        texts = Texts(view)
        folded = Folded(texts)
        candidates = self._candidates
        return [
            candidate.rule
            for number in (sorted(set(found)) if len(found) > 1 else found)
            if (candidate := candidates[number]).holds(texts, folded, view)
        ]


def _many(value: object, lookup: Callable[[str], tuple[int, ...]]) -> Iterable[int]:
    """Rules that a value which is not a text may satisfy."""
    for each in scalars(value):
        text = text_of(each)
        if text is not None:
            yield from lookup(text)


def fold_event_id(expression: Expression, event_id: str) -> Expression | bool:
    """The expression when EventID is known: its tests become true or false, and are gone."""
    if isinstance(expression, Atom):
        return _known(expression.test, event_id) if expression.field == "EventID" else expression
    if isinstance(expression, Not):
        inner = fold_event_id(expression.child, event_id)
        return not inner if isinstance(inner, bool) else expression if inner is expression.child else Not(inner)
    absorbing = isinstance(expression, Or)
    kept: list[Expression] = []
    for child in expression.children:
        folded = fold_event_id(child, event_id)
        if folded is absorbing:
            return absorbing
        if not isinstance(folded, bool):
            kept.append(folded)
    if not kept:
        return not absorbing
    if len(kept) == 1:
        return kept[0]
    return (Or if absorbing else And)(tuple(kept))


def _known(test: Test, event_id: str) -> bool | Expression:
    if not isinstance(test, Pattern) or literal_of(test.parts) is None:
        return Atom("EventID", test)
    return text_test(test)(event_id)


def alive(rules: Iterable[Rule], event_id: str | None) -> list[Candidate]:
    """The rules that can hold for events of this id, with what remains to be asked; None asks everything."""
    candidates: list[Candidate] = []
    for rule in rules:
        assert isinstance(rule.body, Detection)
        expression = rule.body.expression
        folded = expression if event_id is None else fold_event_id(expression, event_id)
        if folded is True:
            folded = And(())
        if not isinstance(folded, bool):
            candidates.append(Candidate(rule, folded))
    return candidates
