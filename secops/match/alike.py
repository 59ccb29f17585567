"""Which rules look like one another: the same log source, and near the same values looked for. Pure.

Two detection rules are compared by the texts that they look for, whatever the field is called and however the rule is
laid out; what stands under ``not`` is left out, as exceptions differ where the finding is the same. A text weighs the less
the more rules have it: ``powershell.exe`` says little, ``1131f6aa-9c07-…`` everything. The likeness of two rules is
the weight of what both look for, as a share of the weight of what either does (a weighted Jaccard index).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.match.rule import Atom, Detection, Not, Pattern, Wild

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from secops.match.rule import Expression, LogSource, Rule

ENOUGH: Final = 0.4  # finds 14 of SigmaHQ's 3,141 rules beside our 393, each of which a person would call alike
_COMMON: Final = 100  # a text that more rules have brings no pair together by itself


@dataclass(frozen=True, slots=True)
class Alike:
    """A rule, one that it looks like, and how much: 0 to 1."""

    rule: Rule
    like: Rule
    share: float


def alike(rules: Sequence[Rule], others: Iterable[Rule], enough: float = ENOUGH) -> list[Alike]:
    """Give for each of ``rules`` that looks like one of ``others`` the one it looks most like, the likest first."""
    if not rules:
        return []
    texts = {rule.id: texts_of(rule) for rule in rules if isinstance(rule.body, Detection)}
    standing = {rule.id: rule for rule in others if isinstance(rule.body, Detection) and rule.id not in texts}
    theirs = {key: texts_of(rule) for key, rule in standing.items()}
    weights = _weights([*texts.values(), *theirs.values()])
    having: defaultdict[str, list[str]] = defaultdict(list)
    for key, found in theirs.items():
        for text in found:
            having[text].append(key)
    pairs = []
    for rule in rules:
        best = Alike(rule, rule, 0.0)
        mine = texts.get(rule.id, frozenset())
        for key in {key for text in mine if 1 / weights[text] <= _COMMON for key in having.get(text, ())}:
            if _same_source(_source(rule), _source(standing[key])):
                share = _share(mine, theirs[key], weights)
                best = Alike(rule, standing[key], share) if share > best.share else best
        if best.share >= enough:
            pairs.append(best)
    return sorted(pairs, key=lambda pair: (-pair.share, pair.rule.id))


def texts_of(rule: Rule) -> frozenset[str]:
    """The texts that a detection rule looks for, folded and without wildcards; of other tests what they say."""
    assert isinstance(rule.body, Detection)
    return frozenset(_texts(rule.body.expression))


def _texts(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Atom):
        test = expression.test
        said = (
            "".join(part for part in test.parts if not isinstance(part, Wild))
            if isinstance(test, Pattern)
            else str(test)
        )
        if folded := said.strip().casefold():
            yield folded
    elif not isinstance(expression, Not):
        for child in expression.children:
            yield from _texts(child)


def _weights(found: Iterable[frozenset[str]]) -> dict[str, float]:
    counted = Counter(text for texts in found for text in texts)
    return {text: 1 / number for text, number in counted.items()}


def _share(one: frozenset[str], other: frozenset[str], weights: Mapping[str, float]) -> float:
    both = sum(weights[text] for text in one & other)
    return both / sum(weights[text] for text in one | other)


def _source(rule: Rule) -> LogSource:
    assert isinstance(rule.body, Detection)
    return rule.body.logsource


def _same_source(one: LogSource, other: LogSource) -> bool:
    """Whether both name some part alike and none differently; a part left open may be anything."""
    parts = ((one.product, other.product), (one.category, other.category), (one.service, other.service))
    return any(a and a == b for a, b in parts) and all(a == b or not (a and b) for a, b in parts)
