"""Chooses, for each rule, a few atoms of which at least one is true whenever the rule is.

An event that makes none of a rule's witnesses true cannot satisfy the rule, so the rule is not looked at. The rarer
the witnesses, the less often it is looked at in vain; how rare an atom is, is estimated from its text, because real
counts are known only later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from secops.match.rule import And, Atom, Cidr, Compare, Exists, IsNull, Listed, Not, Pattern, Regex, Wild
from secops.match.text import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secops.match.rule import Expression


class Witness(NamedTuple):
    """Atoms of which one must be true, and the share of events that make one true (an estimate, may exceed 1)."""

    cost: float
    atoms: tuple[Atom, ...]


PRESENCE_COST: Final = 0.9
_MATCHED_COST: Final = 0.4  # of tests that are made on every value: comparisons, networks, references
_COST_PER_ATOM: Final = 0.00002  # between equally rare witnesses, the fewer

# Share of values that contain a literal of this length, from counts over Windows events.
_LENGTH_COST: Final = (1.0, 0.9, 0.6, 0.35, 0.2, 0.1, 0.06, 0.04, 0.025, 0.02, 0.015, 0.012, 0.01)
_FREQUENT: Final[Mapping[str, float]] = {
    **dict.fromkeys((".exe", "\\", "c:\\", "windows", "c:\\windows\\", "\\windows\\", "system32", "\\system32\\"), 0.8),
    **dict.fromkeys(("c:\\windows\\system32\\", "\\windows\\system32\\", "hklm\\", "\\microsoft\\", "software\\"), 0.5),
    **dict.fromkeys((".dll", "http", "https", "://", "microsoft", "\\currentversion\\", "\\software\\"), 0.4),
    **dict.fromkeys(
        ("\\svchost.exe", "system", "true", "false", "high", "medium", "\\services\\", "c:\\users\\"), 0.25
    ),
    **dict.fromkeys(("\\powershell.exe", "\\cmd.exe", "\\lsass.exe", "\\explorer.exe", "powershell", "-"), 0.1),
    **dict.fromkeys(("\\pwsh.exe", "\\rundll32.exe", "\\reg.exe", "\\wscript.exe", "\\net.exe", "\\sc.exe"), 0.03),
}


def witness(
    expression: Expression, *, positive: bool = True, share: Callable[[Atom], float] | None = None
) -> Witness | None:
    """The cheapest witnesses of an expression (or of its negation); None when it can be true of an empty event.

    ``share`` gives the share of events for which an atom is true; by default it is estimated.
    """
    if isinstance(expression, Atom):
        return _of_atom(expression, share or estimate) if positive else None
    if isinstance(expression, Not):
        return witness(expression.child, positive=not positive, share=share)
    if not expression.children:
        return None if isinstance(expression, And) == positive else Witness(0.0, ())
    found = [witness(child, positive=positive, share=share) for child in expression.children]
    if isinstance(expression, And) == positive:
        return min((each for each in found if each is not None), default=None, key=lambda each: each.cost)
    return _union(found)


def _union(found: Iterable[Witness | None]) -> Witness | None:
    cost, atoms = 0.0, dict[Atom, None]()
    for each in found:
        if each is None:
            return None
        cost += each.cost
        atoms.update(dict.fromkeys(each.atoms))
    return Witness(cost, tuple(atoms))


def _of_atom(atom: Atom, share: Callable[[Atom], float]) -> Witness | None:
    test = atom.test
    if isinstance(test, (IsNull, Exists)):
        return None  # true of absent or null fields, which have no text to look up
    return Witness(share(atom) + _COST_PER_ATOM, (atom,))


def estimate(atom: Atom) -> float:
    """Share of events that make an atom true, judged by its text alone."""
    test = atom.test
    if isinstance(test, Pattern):
        share = _pattern_share(test)
        return min(1.0, share * 5) if atom.field is None else share
    if isinstance(test, Regex):
        return 0.06 + 2.0 / float((2 + len(test.pattern)) ** 1.2)
    return _MATCHED_COST if isinstance(test, (Cidr, Compare, Listed)) else PRESENCE_COST


def _pattern_share(test: Pattern) -> float:
    literal = longest_literal(test)
    if not literal:
        return PRESENCE_COST
    if (known := _FREQUENT.get(literal)) is not None:
        return known
    by_length = _LENGTH_COST[min(len(literal), len(_LENGTH_COST) - 1)] / max(1.0, len(literal) / 12)
    anchors = (test.parts[0] is not Wild.MANY) + (test.parts[-1] is not Wild.MANY)
    return by_length * (1.0, 0.3, 0.1)[anchors]


def longest_literal(test: Pattern) -> str:
    """The folded longest literal of a pattern, "" when it has none."""
    return max((fold(part) for part in test.parts if not isinstance(part, Wild)), key=len, default="")
