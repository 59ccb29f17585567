"""What remains of the rules for events of one signature, indexed by field."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from secops.match.atoms import atoms_of, evaluate, text_test
from secops.match.generate import Folded, ManyValued, Texts, generate
from secops.match.index import FieldIndex
from secops.match.rule import And, Atom, Detection, FieldRef, Not, Or, Pattern, Rule
from secops.match.text import literal_of, scalars, text_of, worded
from secops.match.tune import NOISY, SIZE, Sample
from secops.match.witness import witness
from secops.records import RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from secops.match.costs import Costs
    from secops.match.generate import Confirm
    from secops.match.rule import Expression, Test
    from secops.match.scan import Databases

_LARGE: Final = 1 << 63  # nearer to nothing whole numbers are written without asking further
FIRST_TUNE: Final = 1000  # candidates looked at before a sample is taken


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
    """The rules of one signature.

    When rules have been looked at often in vain, a sample of the next events is taken and the witnesses of the noisiest
    rules are chosen anew by what it shows; then again after eight times as many.
    """

    def __init__(self, candidates: Sequence[Candidate], databases: Databases, *, cached: bool = True) -> None:
        self._candidates = tuple(candidates)
        self.dress: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None  # see route.dress_of
        self.reads_raw = any(_reads_raw(atom) for each in candidates for atom in atoms_of(each.expression))
        self._databases = databases
        self._cached = cached
        self._witnesses = [witness(candidate.expression) for candidate in candidates]
        self._always = [number for number, found in enumerate(self._witnesses) if found is None]
        self._indexes: dict[str | None, tuple[tuple[tuple[Test, int], ...], FieldIndex]] = {}
        self._sample: list[Mapping[str, Any]] | None = None
        self._tried, self._tune_at = 0, FIRST_TUNE
        self._arrange()

    def _arrange(self) -> None:
        """Build the indexes that the witnesses ask for; those that stay as they were are kept with their caches."""
        by_field: dict[str | None, list[tuple[Test, int]]] = defaultdict(list)
        for number, found in enumerate(self._witnesses):
            for atom in found.atoms if found is not None else ():
                by_field[atom.field].append((atom.test, number))
        before, self._indexes = self._indexes, {}
        for field, listed in by_field.items():
            tests = tuple(listed)
            asked, index = before.get(field, ((), None))
            if index is None or asked != tests:
                index = FieldIndex(tests, self._databases, cached=self._cached, before=index)
            self._indexes[field] = tests, index
        self._fields = [
            (field, index.cache, index.lookup) for field, (_, index) in self._indexes.items() if field is not None
        ]
        keywords = self._indexes.get(None)
        self._keywords = (keywords[1].cache, keywords[1].lookup) if keywords is not None else None
        self._within = keywords[1].within if keywords is not None and keywords[1].plain else None

    def match(self, view: Mapping[str, Any], costs: Costs | None = None) -> list[Rule]:
        """Rules that hold for the event, in the order of the rule set; ``costs`` measures each that is looked at."""
        if self._sample is not None:
            self._take(self._sample, view)
        found = self._find(view)
        if not found:
            return []
        texts = Texts(view)
        folded = Folded(texts)
        candidates = self._candidates
        self._tried += len(found)
        if self._tried >= self._tune_at and self._sample is None:
            self._sample = []
        numbers = sorted(set(found)) if len(found) > 1 else found
        if costs is not None:
            looked = [candidates[number] for number in numbers]
            return [candidate.rule for candidate in looked if costs.holds(candidate, texts, folded, view)]
        return [candidate.rule for number in numbers if (candidate := candidates[number]).holds(texts, folded, view)]

    def _find(self, view: Mapping[str, Any]) -> list[int]:
        """Numbers of the candidates, some perhaps twice."""
        found = list(self._always)
        get = view.get
        for field, cache, lookup in self._fields:
            value = get(field)
            if value is None:
                continue
            if type(value) is not str:
                found += _many(value, cache, lookup)
                continue
            rules = cache.get(value)
            if rules is None:
                rules = lookup(value)
            if rules:
                found += rules
        if self._keywords is not None:
            found += self._worded(view, *self._keywords)
        return found

    def _worded(
        self, view: Mapping[str, Any], cache: Mapping[str, tuple[int, ...]], lookup: Callable[[str], tuple[int, ...]]
    ) -> list[int]:
        """Numbers of the candidates that keywords bring up: one scan of all texts together, where that will do.

        A literal found across two of the texts brings up a candidate in vain.
        """
        values = worded(view).values()
        if self._within is not None:
            return self._within("\n".join([v if type(v) is str else _said(v) for v in values]))
        found: list[int] = []
        for value in values:
            if type(value) is not str:
                found += _many(value, cache, lookup)
                continue
            rules = cache.get(value)
            found += lookup(value) if rules is None else rules
        return found

    def _take(self, sample: list[Mapping[str, Any]], view: Mapping[str, Any]) -> None:
        sample.append(view)
        if len(sample) >= SIZE:
            self._tune(sample)
            self._sample = None
            self._tune_at = self._tried * 8

    def _tune(self, views: Sequence[Mapping[str, Any]]) -> None:
        """Choose the witnesses of noisy rules anew."""
        sample = Sample(views)
        counts = Counter(number for view in views for number in set(self._find(view)))
        changed = False
        for number, count in counts.items():
            current = self._witnesses[number]
            if current is None or count < NOISY * len(views):
                continue
            better = sample.better(self._candidates[number].expression, current)
            if better is not None:
                self._witnesses[number] = better
                changed = True
        if changed:
            self._arrange()


def _reads_raw(atom: Atom) -> bool:
    return atom.field == RAW or (isinstance(atom.test, FieldRef) and atom.test.other == RAW)


def _many(value: object, cache: Mapping[str, tuple[int, ...]], lookup: Callable[[str], tuple[int, ...]]) -> list[int]:
    """Rules that a value which may not be a text, or a list of such, may satisfy."""
    found: list[int] = []
    for each in scalars(value):
        text = text_of(each)
        if text is not None:
            rules = cache.get(text)
            found += lookup(text) if rules is None else rules
    return found


def _said(value: object) -> str:
    """The texts of a value that is no text itself, each on a line of its own."""
    if type(value) is int and -_LARGE < value < _LARGE:
        return str(value)
    if type(value) is list and len(value) == 1 and type(value[0]) is str:
        return value[0]  # as most lists are
    return "\n".join([text for each in scalars(value) if (text := text_of(each)) is not None])


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
