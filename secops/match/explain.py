"""What made a rule hold: the fields whose positive atoms are true, with their values. Made only for hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.match.atoms import evaluate, positive_atoms
from secops.match.generate import Folded, ManyValued, Texts, generate
from secops.match.rule import Detection, Or
from secops.match.text import worded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.match.generate import Confirm
    from secops.match.rule import Atom, Expression, Rule

MAX_FIELDS: Final = 64  # fields reported with a hit


class Explanation:
    """One rule's positive atoms, by field."""

    def __init__(self, rule: Rule) -> None:
        assert isinstance(rule.body, Detection)
        by_field: dict[str | None, list[Atom]] = {}
        for atom in positive_atoms(rule.body.expression):
            by_field.setdefault(atom.field, []).append(atom)
        self._keywords = by_field.pop(None, [])
        self._fields: list[tuple[str, Expression, Confirm]] = []
        for field, atoms in by_field.items():
            assert field is not None
            expression = Or(tuple(dict.fromkeys(atoms)))
            self._fields.append((field, expression, generate(expression)))

    def fields(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """The fields behind a hit; those in which a keyword was found come last."""
        texts = Texts(view)
        folded = Folded(texts)
        found: dict[str, Any] = {}
        for field, expression, confirm in self._fields:
            try:
                holds = confirm(texts, folded, view)
            except ManyValued:
                holds = evaluate(expression, view)
            if holds:
                found[field] = view.get(field)  # a test for null holds of an absent field
        if self._keywords:
            found |= {name: value for name, value in worded(view).items() if self._holds(name, value)}
        return dict(list(found.items())[:MAX_FIELDS])

    def _holds(self, name: str, value: object) -> bool:
        return any(evaluate(keyword, {name: value}) for keyword in self._keywords)
