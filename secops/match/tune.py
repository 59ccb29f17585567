"""Measures, on events that really came, how often an index would bring a rule up, to choose better witnesses.

An estimate from the text of an atom is often wrong (``GrantedAccess: '0x1400'`` is the commonest value of its field), and
a rule that is looked at for every second event in vain costs more than all others together.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from secops.match.atoms import text_test
from secops.match.index import placed
from secops.match.rule import Cidr, Compare, Listed, Pattern, Regex
from secops.match.text import fold, scalars, text_of
from secops.match.witness import Witness, estimate, witness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secops.match.rule import Atom, Expression

SIZE: Final = 256  # events of a sample
NOISY: Final = 0.02  # share of events from which on a rule's witnesses are looked at again
_TRUST: Final = 0.9  # weight of what was counted; the rest is the estimate's, which tells unseen atoms apart
_WORTH: Final = 0.5  # a new witness must at least halve the cost


class Sample:
    """Values of some events, by field."""

    def __init__(self, views: Sequence[Mapping[str, Any]]) -> None:
        self._views = views
        self._texts: dict[str, Counter[str]] = {}
        self._shares: dict[Atom, float] = {}

    def better(self, expression: Expression, current: Witness) -> Witness | None:
        """Witnesses that are much rarer in the sample than the current ones, if there are any."""
        cost = sum(map(self.share, current.atoms))
        found = witness(expression, share=self.share)
        return found if found is not None and found.cost < cost * _WORTH else None

    def share(self, atom: Atom) -> float:
        """Share of events for which the index brings the atom's rules up."""
        known = self._shares.get(atom)
        if known is None:
            counted = self._count(atom) / len(self._views)
            known = self._shares[atom] = _TRUST * counted + (1 - _TRUST) * estimate(atom)
        return known

    def _count(self, atom: Atom) -> int:
        fields = [atom.field] if atom.field is not None else sorted({name for view in self._views for name in view})
        raised = raises(atom)
        return sum(count for field in fields for text, count in self._of(field).items() if raised(text))

    def _of(self, field: str) -> Counter[str]:
        if field not in self._texts:
            values = (each for view in self._views for each in scalars(view.get(field)))
            self._texts[field] = Counter(text for each in values if (text := text_of(each)) is not None)
        return self._texts[field]


def raises(atom: Atom) -> Callable[[str], bool]:
    """Whether a value's text makes the index bring the atom's rules up, as ``FieldIndex`` is built."""
    test = atom.test
    if isinstance(test, Pattern):
        kind, literal = placed(test)
        if kind == "exact":
            return lambda text: fold(text) == literal
        if kind == "literal":
            return lambda text: literal in fold(text)
        if kind == "present":
            return lambda _text: True
        return lambda text: fold(text).endswith(literal)
    return text_test(test) if isinstance(test, (Regex, Cidr, Compare, Listed)) else lambda _text: True
